"""Whatever stops a pass, an unexpected exception included, is in the status within a minute."""

from typing import Any

import pytest

from controller.analysis.controller import AnalysisController
from controller.api.resources import RELEASES
from controller.kube.client import KubeError
from controller.runtime import reconciler
from controller.runtime.executor import Executor
from controller.runtime.observer import Observer
from controller.runtime.reconciler import Reconciler
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import World, release, run

MINUTE = 60.0
STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}}, {"weight": 50})
PLACES: dict[str, tuple[Any, str]] = {
    "parsing": (reconciler, "parse_release"),
    "observing": (Observer, "observe"),
    "analysis": (AnalysisController, "result"),
    "deciding": (reconciler, "decide"),
    "acting": (Executor, "carry_out"),
}
ERRORS = (
    RuntimeError("out of order"),
    KeyError("missing"),
    TimeoutError("out of time"),
    KubeError(500, "InternalError", "etcd is away"),
    RecursionError("too deep"),
)


def stop(monkeypatch: pytest.MonkeyPatch, place: str, error: Exception) -> None:
    def fails(*_: object, **__: object) -> object:
        raise error

    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, fails)


def is_said(world: World, error: Exception) -> bool:
    status = world.status("web")
    known = isinstance(error, KubeError | TimeoutError)
    return status.get("reason") == "PassFailed" and (known or type(error).__name__ in status["message"])


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("under_way", [False, True], ids=["at rest", "under way"])
def test_what_stops_a_pass_is_said_within_a_minute_and_ends_with_it(monkeypatch, place, error, *, under_way):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        if under_way:
            world.commit("web", 2)
            await world.until_reason("web", "AwaitingApproval")
        with monkeypatch.context() as broken:
            stop(broken, place, error)
            world.commit("web", 3)
            await world.until(lambda: is_said(world, error), MINUTE)
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=3)

    run(story)


def test_a_pass_that_says_nothing_is_found(monkeypatch):
    async def nothing(*_: object) -> None:
        return None

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        stop(monkeypatch, "deciding", ERRORS[0])
        world.commit("web", 2)
        await world.until(lambda: is_said(world, ERRORS[0]), MINUTE)

    monkeypatch.setattr(Reconciler, "_say_why", nothing)
    with pytest.raises(AssertionError, match="not within 60 s"):
        run(story)
