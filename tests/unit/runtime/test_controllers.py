"""The runtime for several kinds: each controller is one entry, and none keeps another from its work."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from controller.api.resources import METRIC_SOURCES, RELEASE_ACTIONS, RELEASES
from controller.kube.client import UnavailableError
from controller.runtime.controller import Controller, Event, Request, Result
from controller.runtime.event_router import EventRouter
from controller.runtime.operator import Operator
from controller.runtime.sweeping import SweepingController
from controller.runtime.worker import work
from controller.workqueue import WorkQueue
from tests.unit.runtime.fake_api import Answer, refusal
from tests.unit.runtime.fake_client import FakeClient, Weather
from tests.unit.runtime.fake_client import Request as AskedRequest
from tests.unit.runtime.fault_world import World, loop_at, run

WEB = Request("Fleet", "shop", "web")


class Kube:
    """As much of a client as the router asks."""

    own: frozenset[str] = frozenset()

    def is_own_write(self, metadata: Any) -> bool:
        return metadata["resourceVersion"] in self.own


class Fleets(Controller):
    """A kind that Pointsman does not have: each Release belongs to the Fleet of its name."""

    kind = "Fleet"
    watches = (RELEASES,)

    def __init__(self, *answers: Result | Exception) -> None:
        self.answers = list(answers)
        self.passes: list[float] = []

    def on_event(self, event: Event) -> Iterable[Request]:
        metadata = event.body["metadata"]
        return [Request(self.kind, metadata["namespace"], metadata["name"])]

    async def reconcile(self, request: Request) -> Result:
        self.passes.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if self.answers else Result()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging(Controller):
    kind = "Hanging"
    watches = (RELEASES, METRIC_SOURCES)

    def on_event(self, event: Event) -> Iterable[Request]:
        return [Request(self.kind, "shop", "all")]

    async def reconcile(self, request: Request) -> Result:
        await asyncio.Event().wait()
        return Result()


def router_of(*controllers: Controller) -> EventRouter:
    router = EventRouter(Kube())  # type: ignore[arg-type]
    for controller in controllers:
        router.register(controller)
    return router


def passes(controller: Fleets, seconds: float, *others: Controller) -> tuple[list[float], list[str]]:
    """When it was called within `seconds` after one event, and how the calls ended."""
    ends: list[str] = []

    async def story() -> None:
        router = router_of(controller, *others)
        tasks = [asyncio.create_task(work(queue, each, ends.append)) for each, queue in router]
        router.on_event(Event(RELEASES, {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "1"}}))
        await asyncio.sleep(seconds)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        router.close()

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(story())
    return controller.passes, ends


def event(version: str) -> Event:
    return Event(RELEASES, {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": version}})


async def test_an_event_becomes_a_request_in_the_queue_of_each_kind_that_watches_it_once():
    router = router_of(Fleets(), Hanging())
    router.on_event(event("1"))
    router.on_event(event("2"))
    assert {kind: len(queue) for kind, queue in router.queues.items()} == {"Fleet": 1, "Hanging": 1}
    assert await router.queues["Fleet"].get() == WEB
    router.on_event(Event(METRIC_SOURCES, {"metadata": {"resourceVersion": "3"}}))
    assert {kind: len(queue) for kind, queue in router.queues.items()} == {"Fleet": 0, "Hanging": 1}
    assert router.resources == (RELEASES, METRIC_SOURCES)


async def test_what_pointsman_wrote_itself_is_no_event():
    router = router_of(Fleets())
    router.kube.own = frozenset({"2"})  # type: ignore[attr-defined]
    router.on_event(event("2"))
    assert len(router.queues["Fleet"]) == 0


def test_two_controllers_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="two controllers look after Fleet"):
        router_of(Fleets(), Fleets())


def test_a_request_comes_back_after_the_time_that_its_pass_named():
    moments, ends = passes(Fleets(Result(30.0)), 100)
    assert moments == [0.0, 30.0]
    assert ends == ["done", "done"]


def test_failures_come_back_later_each_time_and_end_no_worker():
    away = UnavailableError(503, "Unavailable", "no answer")
    moments, ends = passes(Fleets(KeyError("a defect"), away, TimeoutError()), 100)
    assert ends == ["crashed", "failed", "failed", "done"]
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert 0 < waits[0] < waits[1] < waits[2] < 1


def test_a_server_that_wants_to_be_left_alone_is():
    moments, _ = passes(Fleets(UnavailableError(429, "TooManyRequests", "wait", retry_after=20.0)), 100)
    assert moments[1] >= 20


def test_a_controller_that_hangs_delays_no_other_kind():
    moments, _ = passes(Fleets(Result(10.0)), 15, Hanging())
    assert moments == [0.0, 10.0]


def test_release_actions_are_swept_from_the_start_on_and_when_they_are_old_enough():
    async def story(world: World) -> None:
        body = {
            "apiVersion": RELEASE_ACTIONS.api_version,
            "kind": RELEASE_ACTIONS.kind,
            "metadata": {"name": "for-nobody"},
            "spec": {"release": "nobody", "action": "approve", "revision": "aaaaaaaaaa"},
        }
        world.create(RELEASE_ACTIONS, body)
        running, age = world.start(), 6.9 * 86400
        await world.until(lambda: running.operator is not None and _swept(running.operator))
        controller = SweepingController(running.kube, lambda: world.now() + age)
        (request,) = controller.first_requests("shop")
        assert await controller.reconcile(request) == Result(3600.0)
        assert len(world.api.objects(RELEASE_ACTIONS.path())) == 1
        age = 7.1 * 86400
        await controller.reconcile(request)
        assert world.api.objects(RELEASE_ACTIONS.path()) == []

    run(story)


def old_action(name: str, *finalizers: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "finalizers": list(finalizers)} if finalizers else {"name": name},
        "spec": {"release": "nobody", "action": "approve", "revision": "aaaaaaaaaa"},
    }


def names_left(world: World) -> set[str]:
    return {item["metadata"]["name"] for item in world.api.objects(RELEASE_ACTIONS.path())}


async def swept(world: World, weather: Weather) -> list[AskedRequest]:
    """The DELETEs of two rounds, an hour apart, a week later."""
    client = FakeClient(world.api, lambda: weather, "sweeper")
    controller = SweepingController(client, lambda: world.now() + 8 * 86400)
    (request,) = controller.first_requests("shop")
    for _ in range(2):
        for _ in range(5):
            if (await controller.reconcile(request)).requeue_after == 3600.0:
                break
        else:
            raise AssertionError("a round has no end")
    return [asked for _, asked, _ in client.log if asked.method == "DELETE"]


def test_actions_that_wait_for_a_finalizer_keep_no_others_from_being_swept():
    async def story(world: World) -> None:
        for number in range(250):
            world.create(RELEASE_ACTIONS, old_action(f"a-{number:03}", "shop.example/keep"))
        world.create(RELEASE_ACTIONS, old_action("b"))
        deletes = await swept(world, Weather())
        assert "b" not in names_left(world)
        assert len(deletes) == 251, "each is deleted once"

    run(story)


def test_actions_that_may_not_be_deleted_keep_no_others_from_being_swept():
    class Guarded(Weather):
        async def serve(self, request: AskedRequest, execute: Callable[[], Answer]) -> Answer:
            guarded = request.method == "DELETE" and str(request.place.name).startswith("a-")
            return refusal(403, "Forbidden", "an admission webhook said no") if guarded else execute()

    async def story(world: World) -> None:
        for number in range(250):
            world.create(RELEASE_ACTIONS, old_action(f"a-{number:03}"))
        world.create(RELEASE_ACTIONS, old_action("b"))
        deletes = await swept(world, Guarded())
        assert "b" not in names_left(world)
        assert len(deletes) == 250 + 1 + 250, "each is tried once in a round"

    run(story)


def test_an_action_whose_answer_says_no_moment_is_swept_by_when_it_was_asked():
    async def story(world: World) -> None:
        odd = {"a": {"result": "Done", "at": "yesterday"}, "b": {"at": 7}, "c": {"result": "Done"}}
        for name, status in odd.items():
            world.create(RELEASE_ACTIONS, old_action(name))
            answer = world.api.handle("PATCH", f"{RELEASE_ACTIONS.path('shop', name)}/status", {}, {"status": status})
            assert answer.status == 200
        await swept(world, Weather())
        assert names_left(world) == set()

    run(story)


def _swept(operator: Operator) -> bool:
    labels = {"kind": RELEASE_ACTIONS.kind, "result": "done"}
    return operator.telemetry.registry.get_sample_value("pointsman_reconciles_total", labels) == 1


def test_a_queue_keeps_kinds_of_one_name_apart():
    async def story() -> None:
        queue = WorkQueue[Request]()
        queue.add(WEB)
        queue.add(Request("Release", "shop", "web"))
        assert len(queue) == 2

    asyncio.run(story())
