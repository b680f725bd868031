"""Annotation pointsman.dev/manual: for how long a person has the route in hand, or why it has no effect."""

from __future__ import annotations

from controller.api.names import MANUAL_UNTIL
from controller.rollout.draft import Draft


def left(draft: Draft) -> float | None:
    """Seconds for which a person has the route in hand; None where nobody has it."""
    until = draft.seen.manual_until
    return None if until is None or draft.now >= until else until - draft.now


def no_effect(draft: Draft) -> str:
    """Why the annotation does nothing, and what to do; empty where it does what it says, and without one."""
    text = draft.seen.manual
    if text is None or left(draft) is not None:
        return ""
    if draft.seen.manual_until is None:
        return (
            f"annotation {MANUAL_UNTIL}: {text!r} is not a time such as 2026-01-31T12:00:00Z, so Pointsman controls "
            "the route. Write the time until which you want to control it"
        )
    return (
        f"annotation {MANUAL_UNTIL}: {text} is over, so Pointsman controls the route. Remove the annotation, or write "
        "a later time"
    )
