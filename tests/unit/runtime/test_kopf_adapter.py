"""What kopf is given to call."""

import asyncio
import faulthandler
from inspect import iscoroutinefunction
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest

from controller.kube.client import KindsGoneError, KubeError, NotFoundError, UnavailableError
from controller.runtime.event_router import EventRouter
from controller.runtime.kopf_adapter import registry_of, watch
from controller.runtime.releases import ReleaseController
from controller.runtime.settings import settings
from tests.unit.runtime.fault_world import loop_at


def test_events_are_handled_in_the_loop_and_in_no_thread():
    registry: Any = registry_of(cast("EventRouter", SimpleNamespace(resources=ReleaseController.watches)))
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == 4
    assert all(iscoroutinefunction(handler.fn) for handler in handlers)


async def test_at_the_end_no_watch_is_left_to_find_out_by_itself(monkeypatch):
    cut: list[tuple[float, bool]] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, exit: cut.append((seconds, exit)))  # noqa: A006 - its name
    registry: Any = registry_of(cast("EventRouter", SimpleNamespace(resources=ReleaseController.watches)))
    (handler,) = [each for each in registry._activities.get_all_handlers() if each.fn.__name__ == "ending"]
    watch = asyncio.create_task(asyncio.Event().wait(), name="watcher for releases.v1alpha1.pointsman.dev@shop")
    other = asyncio.create_task(asyncio.Event().wait(), name="lease")
    await asyncio.sleep(0)
    await handler.fn()
    assert watch.cancelled()
    assert not other.done()
    other.cancel()
    assert cut == [(30.0, True)], "an end that hangs is cut"


class Unsteady:
    """An API server that lets go of CRDs: it answers with each of `answers`, and with the last one for ever."""

    def __init__(self, *answers: KubeError | None) -> None:
        self.answers = list(answers)

    async def request(self, *_: object, **__: object) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        return {}


GONE, AWAY = NotFoundError(404, "NotFound", "no such kind"), UnavailableError(429, "TooManyRequests", "initializing")


def ends(monkeypatch, *answers: KubeError | None) -> BaseException:
    """What the adapter says when kopf ends with an error of its own."""

    async def fail(**_: object) -> None:
        raise RuntimeError("kopf's own words")

    async def story() -> BaseException:
        router = cast("EventRouter", SimpleNamespace(kube=Unsteady(*answers), resources=ReleaseController.watches))
        with pytest.raises(Exception) as ended:  # noqa: PT011 - which one it is, is the question
            await watch(router, settings(namespace="shop", environ={}))
        return ended.value

    monkeypatch.setattr(kopf, "operator", fail)
    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        return runner.run(story())


@pytest.mark.parametrize("before", [[AWAY], [None], [AWAY, None, None, None, None, AWAY]])
def test_an_error_in_passing_does_not_hide_that_the_crds_are_gone(monkeypatch, before):
    """kopf's traceback was the last word, because the API server was asked only once."""
    ended = ends(monkeypatch, *before, GONE)
    assert isinstance(ended, KindsGoneError)
    assert "were deleted" in str(ended)


def test_an_end_of_kopf_while_the_crds_are_there_stays_an_error(monkeypatch):
    assert str(ends(monkeypatch, None)) == "kopf's own words"
