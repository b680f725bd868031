"""A version gets nothing before the network can have heard of its first ready pod."""

import asyncio

import pytest

from controller.api.resources import ENDPOINT_SLICES, HTTP_ROUTES, RELEASES
from controller.kube.objects import Key
from controller.runtime.reachability import NETWORK_S, Reachability
from tests.unit.runtime.fake_api import Change
from tests.unit.runtime.fault_world import World, release, run

WEB, API = Key("shop", "web"), Key("shop", "api")


@pytest.fixture
def seconds():
    return [1000.0]


@pytest.fixture
def reachability(seconds):
    made = Reachability(lambda: seconds[0], network_s=3.0)
    made.awaited(WEB, {"one"})
    return made


def test_a_version_is_awaited_from_its_first_ready_pod_on(reachability, seconds):
    assert reachability.awaited(WEB, {"one", "two"}) == {"two": 3.0}
    seconds[0] += 2
    assert reachability.awaited(WEB, {"one", "two"}) == {"two": 1.0}
    seconds[0] += 1
    assert reachability.awaited(WEB, {"one", "two"}) == {}


def test_one_that_lost_its_pods_is_awaited_again(reachability, seconds):
    seconds[0] += 60
    assert reachability.awaited(WEB, set()) == {}
    assert reachability.awaited(WEB, {"one"}) == {"one": 3.0}


def test_what_is_found_after_a_restart_may_have_work_and_keeps_it():
    assert Reachability(lambda: 1000.0).awaited(WEB, {"one", "two"}) == {}


def test_a_release_made_anew_begins_anew(reachability):
    reachability.forget(WEB)
    assert reachability.awaited(WEB, {"two"}) == {}
    assert reachability.awaited(API, set()) == {}
    assert reachability.awaited(API, {"two"}) == {"two": 3.0}


def test_a_network_without_delay_is_not_awaited():
    quick = Reachability(lambda: 1000.0, network_s=0.0)
    quick.awaited(WEB, set())
    assert quick.awaited(WEB, {"one"}) == {}


class Seen:
    """When a version's first pod was ready, and when the route first gave it work, copies or requests by header."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ready = dict[str, float]()
        self.given = dict[str, float]()
        world.api.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.collection == ENDPOINT_SLICES.path() and change.object["endpoints"]:
            self.ready.setdefault(change.object["metadata"]["name"], self._world.now())
        if change.collection == HTTP_ROUTES.path():
            for rule in change.object["spec"]["rules"]:
                mirrors = [one["requestMirror"]["backendRef"] for one in rule.get("filters") or []]
                for backend in (*rule["backendRefs"], *mirrors):
                    if backend.get("weight", 1):
                        self.given.setdefault(backend["name"], self._world.now())


FRESH = {"canary": {"baseline": "fresh", "steps": [{"weight": 20}, {"approve": {}}]}}


@pytest.mark.parametrize(
    "strategy",
    [
        {"canary": {"steps": [{"weight": 20}, {"approve": {}}]}},
        FRESH,
        {"canary": {"steps": [{"mirror": "50%"}, {"approve": {}}]}},
        {"canary": {"steps": [{"header": {"name": "X-Canary", "value": "yes"}}, {"approve": {}}]}},
        {"blueGreen": {"steps": [], "keepOld": "10s"}},
        {"blueGreen": {"steps": [{"approve": {}}], "keepOld": "10s", "preview": {"hostnames": ["preview.shop"]}}},
    ],
    ids=["weight", "baseline", "mirror", "header", "switch", "preview"],
)
def test_nobody_is_sent_to_a_version_that_the_network_may_not_know(strategy):
    seen = list[Seen]()

    async def story(world: World) -> None:
        world.gateway_copies()
        seen.append(Seen(world))
        world.create(RELEASES, release("web", metrics=strategy is FRESH, strategy=strategy))
        world.start()
        await world.until_phase("web", "Healthy", version=1)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("canaryRevision"))
        if "approve" in str(strategy):
            await world.until_reason("web", "AwaitingApproval")
        else:
            await world.until_phase("web", "Healthy", version=2)

    run(story)
    (found,) = seen
    versions = found.given.keys()
    assert len(versions) == (3 if strategy is FRESH else 2)
    waited = {name: found.given[name] - found.ready[name] for name in versions}
    assert all(NETWORK_S <= seconds <= NETWORK_S + 1 for seconds in waited.values()), waited


def test_a_version_that_came_up_under_another_router_is_known_already():
    reasons = list[str]()

    async def story(world: World) -> None:
        by_weight = release("web", {"weight": 50})["spec"]["traffic"]
        world.create(RELEASES, release("web", {"weight": 50}))
        world.start()
        await world.until_phase("web", "Healthy", version=1)
        world.patch("web", {"spec": {"traffic": {"replicas": {}, "gatewayAPI": None}}})
        await world.until(lambda: world.status("web")["router"] == "replicas")
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", version=2)
        world.patch("web", {"spec": {"traffic": {"replicas": None, **by_weight}}})
        await world.until(lambda: world.status("web")["router"] == "gatewayAPI")
        for _ in range(40):
            reasons.append(world.status("web")["reason"])
            await asyncio.sleep(0.25)

    run(story)
    assert "StableUnready" not in reasons


class Broken:
    """A canary with 20 % of the work, whose pods are not ready for as long as this is entered."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None:
        self._world.cluster.broken.add("web:2")
        self._world.cluster.sync("web")

    def __exit__(self, *_: object) -> None:
        self._world.cluster.broken.clear()
        self._world.cluster.sync("web")


def canary_share(world: World) -> int:
    (shares,) = world.picture()["routes"].values()
    canary = world.status("web").get("canaryRevision", "none")
    return int(dict(shares).get(f"web-{canary}", 0))


async def awaiting_approval(world: World) -> None:
    world.create(RELEASES, release("web", strategy={"canary": {"steps": [{"weight": 20}, {"approve": {}}]}}))
    world.start()
    await world.until_phase("web", "Healthy", version=1)
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")
    assert canary_share(world) > 0


def test_a_canary_that_lost_its_pods_has_its_part_again_after_as_long_and_stays():
    async def story(world: World) -> None:
        await awaiting_approval(world)
        with Broken(world):
            await world.until(lambda: canary_share(world) == 0, 2)
        back = world.now()
        await world.until(lambda: canary_share(world) > 0, NETWORK_S + 2)
        assert world.now() - back >= NETWORK_S
        for _ in range(240):
            await asyncio.sleep(0.5)
            assert canary_share(world) > 0

    run(story)


def test_an_abort_meanwhile_waits_for_nothing():
    async def story(world: World) -> None:
        await awaiting_approval(world)
        with Broken(world):
            await world.until(lambda: canary_share(world) == 0, 2)
        world.ask("web", "abort")
        await world.until(lambda: world.status("web").get("rejected"), 1)

    run(story)


def test_an_operator_that_starts_meanwhile_leaves_the_work_where_it_may_be():
    async def story(world: World) -> None:
        await awaiting_approval(world)
        before = canary_share(world)
        await world.operators.pop().stop()
        with Broken(world):
            await asyncio.sleep(1)
        world.start("b")
        for _ in range(120):
            await asyncio.sleep(0.5)
            assert canary_share(world) == before

    run(story)
