"""Two operators: one leads at a time, and what a frozen one still has in hand when it wakes changes nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import cast

import looptime
import pytest

from controller.api.resources import EVENTS, LEASES, NAMESPACES, RELEASES
from controller.kube.lease import Lease, LeaseLostError
from controller.runtime.operator import LEASE_NAME
from tests.unit.runtime.fake_api import Answer, refusal
from tests.unit.runtime.fake_client import FakeClient, Request, Weather
from tests.unit.runtime.fault_world import HOME, LEASE_S, SHOP, RunningOperator, World, loop_at, release, run

FROZEN_S = 60.0
_NO_DECISIONS = {EVENTS.path(), LEASES.path(), NAMESPACES.path()}


async def healthy(world: World) -> RunningOperator:
    world.create(RELEASES, release("web", {"weight": 20}, {"pause": {"for": "1s"}}, {"weight": 50}))
    operator = world.start("a")
    await world.until_phase("web", "Healthy")
    return operator


def written(operator: RunningOperator, since: float) -> list[float]:
    """Moments at which it changed something that follows from a decision."""
    return [
        moment
        for moment, request, status in operator.kube.log
        if moment > since and request.is_write and status < 400 and request.place.collection not in _NO_DECISIONS
    ]


@dataclass
class CutOff(Weather):
    """Nothing that this client asks is ever answered."""

    client: str

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.client == self.client:
            await asyncio.Event().wait()
        return execute()


@dataclass
class NoLeases(Weather):
    """The Lease cannot be renewed: refused at first, and then without an answer."""

    since: float

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.place.collection != LEASES.path() or request.client != "a":
            return execute()
        if asyncio.get_running_loop().time() > self.since + LEASE_S / 2:
            await asyncio.Event().wait()
        return refusal(503, "ServiceUnavailable", "no leases today")


def test_a_second_operator_takes_over_within_twenty_seconds():
    async def story(world: World) -> None:
        a = await healthy(world)
        b = world.start("b")
        await asyncio.sleep(5)
        assert not written(b, 0), "it stands by"
        a.may_end, cut = True, asyncio.get_running_loop().time()
        world.weather = CutOff("a")
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", version=2, seconds=60)
        assert written(b, 0)[0] - cut < 20

    run(story)


@pytest.mark.parametrize(("pod", "waits"), [("pointsman-a", False), ("pointsman-b", True), ("", True)])
def test_a_process_started_again_in_the_pod_of_a_dead_leader_leads_at_once_and_any_other_waits(pod, waits):
    async def story(world: World) -> None:
        loop = asyncio.get_running_loop()

        def lease(name: str, pod: str) -> Lease:
            kube = FakeClient(world.api, Weather, name)
            return Lease(kube, HOME, LEASE_NAME, name, pod=pod, duration_s=LEASE_S, monotonic=loop.time)

        await lease("pointsman-a_1", "pointsman-a").acquire()  # it dies without a word
        died = loop.time()
        await lease(f"{pod or 'pointsman-a'}_2", pod).acquire()
        assert (loop.time() - died >= LEASE_S) == waits

    run(story)


def test_a_leader_that_cannot_renew_its_lease_ends_before_another_can_begin():
    async def story(world: World) -> None:
        a = await healthy(world)
        a.may_end, begin = True, asyncio.get_running_loop().time()
        world.weather = NoLeases(begin)
        await world.until(a.task.done, 60)
        with pytest.raises(BaseExceptionGroup) as ended:
            a.task.result()
        assert ended.group_contains(LeaseLostError)
        assert asyncio.get_running_loop().time() - begin < LEASE_S

    run(story)


@dataclass
class Freeze(Weather):
    """The process of `a` stops right before it sends its write number `nth`, and goes on a minute later."""

    nth: int
    meanwhile: Callable[[], None]
    count: int = 0
    awake: bool = False
    in_hand: str = ""
    late: list[str] = field(default_factory=list)
    """Writes of `a` since it is awake that changed something."""
    version: Callable[[], int] = lambda: 0

    async def serve(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        if request.client != "a" or not request.is_write or request.place.collection in _NO_DECISIONS:
            return execute()
        self.count += 1
        if self.count == self.nth:
            self.in_hand = str(request)
            self.meanwhile()
            self.awake = True
        before = self.version()
        answer = execute()
        if self.awake and self.version() != before:
            self.late.append(str(request))
        return answer


def another_leads(world: World) -> None:
    """For a minute, in a thread and a loop of its own: nothing of this one's can run. Then this clock is set right."""
    loop = cast("looptime.LoopTimeEventLoop", asyncio.get_running_loop())
    start = loop.time()

    async def lead() -> None:
        operator = RunningOperator(world, "b")
        await asyncio.sleep(FROZEN_S)
        await operator.stop()

    def leads() -> None:
        with asyncio.Runner(loop_factory=loop_at(start)) as runner:
            runner.run(lead())

    thread = Thread(target=leads)
    thread.start()
    thread.join()
    loop.setup_looptime(start=start + FROZEN_S, noop_cycles=0)


def _asks_for_the_old_version(world: World) -> None:
    world.commit("web", 1)


def _asks_for_more_pods(world: World) -> None:
    world.patch("web", {"spec": {"replicas": 4}})


MEANWHILE = {
    "the old version is asked for": (_asks_for_the_old_version, 1, 2),
    "more pods are asked for": (_asks_for_more_pods, 2, 4),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_frozen_leader_that_wakes_writes_nothing_another_one_has_not_agreed_to(meanwhile):
    change, version, replicas = MEANWHILE[meanwhile]
    kinds, nth, frozen = set[str](), 0, True
    while frozen:
        nth += 1
        weather = _freeze(nth, change, version, replicas)
        frozen = weather.awake
        kinds.add(weather.in_hand)
        # the Lease is looked at right before each write, so one is left at most: that which was in hand just then
        assert weather.late in ([], [weather.in_hand]), weather.in_hand
        # where the other one has changed an object its version refuses even that; a creation carries none, and what
        # was left as it was, because the old version needs nothing new, is put right by who leads (see _freeze)
        left_alone = version == 1 or weather.in_hand.startswith("a: POST")
        assert left_alone or not weather.late, weather.in_hand
    assert nth > 10
    assert {"a: PUT httproutes/web", "a: PUT releases/web/status", "a: PATCH services/web"} <= kinds


def _freeze(nth: int, change: Callable[[World], None], version: int, replicas: int) -> Freeze:
    weather = Freeze(nth, lambda: None)

    async def story(world: World) -> None:
        a = await healthy(world)
        a.may_end, a.ends_within = True, 5.0

        def meanwhile() -> None:
            change(world)
            another_leads(world)

        weather.meanwhile, weather.version = meanwhile, lambda: world.api.version
        world.weather = weather
        world.commit("web", 2)
        for _ in range(40):
            await asyncio.sleep(0.5)
            if weather.awake:
                break
        else:
            return
        world.start("c")
        await asyncio.sleep(LEASE_S + 5)
        await world.until_phase("web", "Healthy", version=version)
        await asyncio.sleep(15)
        picture = world.picture()
        stable = picture["releases"]["web"]["stableRevision"]
        assert picture["deployments"] == {f"web-{stable}": replicas}, weather.in_hand
        assert picture["routes"] == {"web": [(f"web-{stable}", 10_000)]}
        assert set(picture["services"]) == {"web", f"web-{stable}"}
        assert world.api.objects(LEASES.path())[0]["metadata"]["namespace"] != SHOP

    run(story)
    return weather
