"""What kopf is given to call."""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import kopf
import pytest

from controller.kube.client import KindsGoneError, KubeClient, KubeError, NotFoundError, UnavailableError
from controller.runtime import kopf_adapter
from controller.runtime.controller import Event
from controller.runtime.event_router import EventRouter
from controller.runtime.kinds import until_released, until_served
from controller.runtime.kopf_adapter import registry_of, watch
from controller.runtime.releases import ReleaseController
from controller.runtime.settings import settings
from tests.unit.runtime.fault_world import loop_at


def test_events_are_handled_in_their_order_and_in_no_pool_of_threads():
    registry: Any = registry_of(ReleaseController.watches, AsyncMock(), AsyncMock())
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == 4
    assert all(iscoroutinefunction(handler.fn) for handler in handlers)


class Kopf:
    """`kopf.operator`, until `stop_flag`; its end is what a test makes of it."""

    def __init__(self, end: Callable[[Any], Awaitable[None]]) -> None:
        self._end = end
        self.runs = threading.Event()

    async def operator(self, *, registry: Any, stop_flag: threading.Event, **_: object) -> None:
        self.runs.set()
        await asyncio.to_thread(stop_flag.wait)
        (ending,) = [each.fn for each in registry._activities.get_all_handlers() if each.fn.__name__ == "ending"]
        await self._end(ending)


@pytest.fixture
def cuts(monkeypatch):
    """How an end that hangs would be cut."""
    cut: list[tuple[float, bool]] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, exit: cut.append((seconds, exit)))  # noqa: A006 - its name
    return cut


async def stopped(monkeypatch, end: Callable[[Any], Awaitable[None]], how: signal.Signals = signal.SIGTERM) -> None:
    """Returns when `watch` does, after a signal."""
    fake = Kopf(end)
    monkeypatch.setattr(kopf, "operator", fake.operator)
    router = cast("EventRouter", SimpleNamespace(kube=Unsteady(None), resources=ReleaseController.watches))
    watching = asyncio.create_task(watch(router, settings(namespace="shop", environ={})))
    await asyncio.to_thread(fake.runs.wait, 30)
    os.kill(os.getpid(), how)
    await asyncio.wait_for(watching, 30)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_kopf_and_an_end_that_hangs_is_cut(monkeypatch, cuts, how):
    async def end(ending: Any) -> None:
        await ending()

    await stopped(monkeypatch, end, how)
    assert cuts == [(30.0, True)]


async def test_kopf_cancels_what_is_its_own_alone(monkeypatch, cuts):
    """It waited five seconds for every measurement under way, cancelled it, and waited again for those that did not
    heed it; an operator on a source that hung did not end.
    """
    measurement = asyncio.create_task(asyncio.Event().wait(), name="measurement")
    seen: list[str] = []

    async def end(ending: Any) -> None:
        seen.extend(task.get_name() for task in asyncio.all_tasks())
        await ending()

    await stopped(monkeypatch, end)
    assert seen
    assert "measurement" not in seen
    assert not measurement.done()
    measurement.cancel()


async def test_a_watch_that_takes_its_cancellation_for_that_of_its_stream_is_cancelled_again(monkeypatch, cuts):
    left: list[bool] = []

    async def watcher() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def end(ending: Any) -> None:
        watch = asyncio.create_task(watcher(), name="watcher for releases.v1alpha1.pointsman.dev@shop")
        other = asyncio.create_task(asyncio.Event().wait(), name="credentials retriever")
        await asyncio.sleep(0)
        await ending()
        left.extend(not task.cancelled() for task in (watch, other))

    await stopped(monkeypatch, end)
    assert left == [False, True], "the watch has ended, what is no watch goes on"


async def test_the_process_ends_though_kopf_does_not(monkeypatch, cuts, caplog):
    for_ever = threading.Event()
    monkeypatch.setattr(kopf_adapter, "_KOPFS_END_S", 0.2)

    async def end(_: Any) -> None:
        await asyncio.to_thread(for_ever.wait)

    await stopped(monkeypatch, end)
    assert "the process ends without kopf: kopf does not end" in caplog.text
    for_ever.set()


async def test_a_second_watch_that_fails_is_no_last_word(monkeypatch, cuts, caplog):
    """All fail when the CRDs go; kopf raises the first, and the others' tracebacks followed the sentence."""

    async def fail() -> None:
        raise RuntimeError("404 page not found")

    async def end(_: Any) -> None:
        for name in ("watcher for releases.v1alpha1.pointsman.dev@shop", "something else"):
            task = asyncio.create_task(fail(), name=name)
            await asyncio.wait([task])
            del task
        gc.collect()

    await stopped(monkeypatch, end)
    unasked = [record.getMessage() for record in caplog.records if "never retrieved" in record.getMessage()]
    assert len(unasked) == 1, "what is no watch is not kept back"


GONE, AWAY = NotFoundError(404, "NotFound", "no such kind"), UnavailableError(429, "TooManyRequests", "initializing")


class Unsteady:
    """An API server that lets go of CRDs: it answers with each of `answers`, and with the last one for ever."""

    def __init__(self, *answers: KubeError | None) -> None:
        self.answers = [*answers]
        self.releases: list[list[dict[str, Any]] | KubeError] = [GONE]

    async def request(self, *_: object, **__: object) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        return {}

    async def list(self, *_: object) -> list[dict[str, Any]]:
        answer = self.releases.pop(0)
        if isinstance(answer, KubeError):
            raise answer
        return answer


def ends(monkeypatch, *answers: KubeError | None) -> BaseException:
    """What the adapter says when kopf ends with an error of its own."""

    async def fail(**_: object) -> None:
        raise RuntimeError("kopf's own words")

    async def story() -> BaseException:
        resources = ReleaseController.watches
        kube = Unsteady(*[None] * len(resources), *answers)
        router = cast("EventRouter", SimpleNamespace(kube=kube, resources=resources))
        with pytest.raises(Exception) as ended:  # noqa: PT011 - which one it is, is the question
            await watch(router, settings(namespace="shop", environ={}))
        return ended.value

    monkeypatch.setattr(kopf, "operator", fail)
    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        return runner.run(story())


@pytest.mark.usefixtures("cuts")
@pytest.mark.parametrize("before", [[AWAY], [None], [AWAY, None, None, None, None, AWAY]])
def test_an_error_in_passing_does_not_hide_that_the_crds_are_gone(monkeypatch, before):
    """kopf's traceback was the last word, because the API server was asked only once."""
    ended = ends(monkeypatch, *before, GONE)
    assert isinstance(ended, KindsGoneError)
    assert "were deleted" in str(ended)


@pytest.mark.usefixtures("cuts")
def test_an_end_of_kopf_while_the_crds_are_there_stays_an_error(monkeypatch):
    assert str(ends(monkeypatch, None)) == "kopf's own words"


class Seen(SimpleNamespace):
    """An event router that notes what it is shown."""

    def __init__(self, kube: Unsteady) -> None:
        super().__init__(kube=kube, resources=ReleaseController.watches, events=[])

    def on_event(self, event: Event) -> None:
        self.events.append(event.body["metadata"]["uid"])


def deleted(*uids: str) -> list[dict[str, Any]]:
    return [{"metadata": {"uid": uid, "deletionTimestamp": "2026-11-30T09:33:39Z"}} for uid in uids]


QUIET = [[{"metadata": {"uid": "in use"}}]] * 14


@pytest.mark.parametrize("last", [QUIET, [GONE]], ids=["none is deleted", "their CRD is gone"])
@pytest.mark.parametrize("before", [[], QUIET[:4]], ids=["at once", "after the CRDs of others"])
def test_releases_that_are_deleted_without_a_watch_are_let_go(last, before):
    """Other CRDs, which nobody holds, go sooner than that of Releases, and kopf ends with the first."""
    kube = Unsteady(None)
    kube.releases = [*before, deleted("one"), AWAY, deleted("one", "two"), *last]
    router = Seen(kube)
    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(until_released(cast("EventRouter", router), "shop"))
    assert router.events == ["one", "two"]
    assert kube.releases == []


class WithoutActions(Unsteady):
    """Serves Releases, and not their actions."""

    async def request(self, *arguments: object, **_: object) -> dict[str, Any]:
        if "releaseactions" in str(arguments):
            raise GONE
        return {}


@pytest.mark.parametrize("held", [True, False])
def test_an_operator_that_starts_without_some_crds_lets_go_of_releases_first(held):
    """It waited for CRDs that were not to come back, and the Release held its own for ever."""
    kube = WithoutActions(None)
    kube.releases = [[], [], deleted("one") if held else [], *([[]] * 30)]

    async def goes_on() -> bool:
        try:
            async with asyncio.timeout(60):
                await until_served(cast("KubeClient", kube), "shop", ReleaseController.watches)
        except TimeoutError:
            return False
        return True

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        assert runner.run(goes_on()) is held


@pytest.mark.usefixtures("cuts")
def test_kopf_is_not_begun_where_it_could_not_see_all_kinds(monkeypatch):
    begun: list[object] = []
    monkeypatch.setattr(kopf, "operator", lambda **given: begun.append(given))
    kube = WithoutActions(None)
    kube.releases = [deleted("one"), GONE]
    router = Seen(kube)
    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner, pytest.raises(KindsGoneError, match="of releaseactions "):
        runner.run(watch(cast("EventRouter", router), settings(namespace="shop", environ={})))
    assert (router.events, begun) == (["one"], [])
