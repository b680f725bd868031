"""What kopf is given to call."""

from inspect import iscoroutinefunction
from typing import Any, cast

from controller.handlers import Intake, registry_of


def test_events_are_handled_in_the_loop_and_in_no_thread():
    registry: Any = registry_of(cast("Intake", None))
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == 4
    assert all(iscoroutinefunction(handler.fn) for handler in handlers)
