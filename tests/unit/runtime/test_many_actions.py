"""Whoever creates thousands of ReleaseActions delays no rollback in the namespace, and each gets its answer."""

from controller.api.resources import HTTP_ROUTES, RELEASE_ACTIONS, RELEASES
from controller.kube.objects import Key
from controller.runtime import pending_actions
from controller.runtime.pending_actions import MOST, PendingActions
from tests.unit.runtime.fake_api import Change
from tests.unit.runtime.fault_world import World, release, run

MANY = 200
WEB = Key("shop", "web")


def test_an_abort_passes_thousands_of_other_actions(monkeypatch):
    passes = _passes_until_aborted()
    assert passes <= 3

    def in_their_order(self: PendingActions, key: Key) -> frozenset[str]:
        return frozenset([*self._aborts.get(key, ())][:MOST])

    monkeypatch.setattr(PendingActions, "first", in_their_order)
    assert _passes_until_aborted() > 3, "the test has to notice"


def test_all_of_them_are_answered():
    async def story(world: World) -> None:
        await _under_way(world)
        _create(world, 3 * MOST)
        await world.until_answered()

    run(story)


def test_what_was_read_and_has_no_answer_is_read_again():
    pending = PendingActions()
    for name in "abc":
        pending.add(WEB, name, "pause")
    pending.add(WEB, "d", "abort")
    read = pending.first(WEB)
    assert read == {"a", "b", "c", "d"}
    assert pending.read(WEB, read, ["b"]) is False
    assert pending.first(WEB) == {"b"}


def test_no_more_than_a_bounded_number_is_read_and_aborts_are_first():
    pending = PendingActions()
    for number in range(5_000):
        pending.add(WEB, f"pause-{number}", "pause")
    pending.add(WEB, "stop", "abort")
    read = pending.first(WEB)
    assert len(read) == pending_actions.MOST
    assert "stop" in read
    assert pending.read(WEB, read, []) is True


async def _under_way(world: World) -> None:
    world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, {"weight": 50}))
    world.start()
    await world.until_phase("web", "Healthy")
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")


def _create(world: World, count: int) -> None:
    revision = world.status("web")["canaryRevision"]
    for number in range(count):
        spec = {"release": "web", "action": "resume", "revision": revision, "reason": "because"}
        world.create(RELEASE_ACTIONS, {"metadata": {"name": f"resume-{number:05}"}, "spec": spec})


def _passes_until_aborted() -> int:
    found: list[int] = []

    async def story(world: World) -> None:
        await _under_way(world)
        operator = world.operators[0]
        stable = world.status("web")["stableRevision"]
        _create(world, MANY)
        world.ask("web", "abort")
        before = len(operator.reconciles)

        def off() -> bool:
            route = world.api.objects(HTTP_ROUTES.path())[0]
            refs = route["spec"]["rules"][0]["backendRefs"]
            if all(one["name"] == f"web-{stable}" for one in refs if one["weight"]):
                found.append(len(operator.reconciles) - before)
            return bool(found)

        def look(change: Change) -> None:
            if change.collection == HTTP_ROUTES.path() and not found:
                off()

        world.api.listeners.append(look)
        await world.until(lambda: found, 600)

    run(story)
    return found[0]
