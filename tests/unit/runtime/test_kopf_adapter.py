"""What kopf is given to call."""

import asyncio
import faulthandler
from inspect import iscoroutinefunction
from typing import Any, cast

from controller.runtime.kopf_adapter import EventRouter, registry_of


def test_events_are_handled_in_the_loop_and_in_no_thread():
    registry: Any = registry_of(cast("EventRouter", None))
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == 4
    assert all(iscoroutinefunction(handler.fn) for handler in handlers)


async def test_at_the_end_no_watch_is_left_to_find_out_by_itself(monkeypatch):
    cut: list[tuple[float, bool]] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, exit: cut.append((seconds, exit)))  # noqa: A006 - its name
    registry: Any = registry_of(cast("EventRouter", None))
    (handler,) = [each for each in registry._activities.get_all_handlers() if each.fn.__name__ == "ending"]
    watch = asyncio.create_task(asyncio.Event().wait(), name="watcher for releases.v1alpha1.pointsman.dev@shop")
    other = asyncio.create_task(asyncio.Event().wait(), name="lease")
    await asyncio.sleep(0)
    await handler.fn()
    assert watch.cancelled()
    assert not other.done()
    other.cancel()
    assert cut == [(30.0, True)], "an end that hangs is cut"
