"""Somebody else writes the route too. What a person edits is put back at once; a machine gets no war of writes.

All that has to be remembered is when it was put back, which stands in the status.
"""

from __future__ import annotations

from controller.api.names import MANUAL_UNTIL
from controller.api.status import RouteEdits

REASON = "RouteContended"
MOST = 5
WINDOW_S = 60.0
"""A person who tries things saves two or three times a minute, a tool that heals by schedule comes once in minutes:
what was put back five times within one minute is a machine that does not give in.
"""
AGAIN_S = 30.0
"""Half of the window, so that whoever still writes is met again before it is taken for gone."""


def remembered(edits: RouteEdits, now: float) -> RouteEdits:
    """Those that count still. Once there are too many, all of them until the route has been left alone for a window."""
    if is_contended(edits) and now - edits.at[-1] < WINDOW_S:
        return edits
    recent = tuple(moment for moment in edits.at if now - moment < WINDOW_S)
    return RouteEdits(recent, edits.by if recent else "")


def is_contended(edits: RouteEdits) -> bool:
    return len(edits.at) >= MOST


def noted(edits: RouteEdits, by: str, now: float) -> RouteEdits:
    return RouteEdits((*edits.at, now)[-MOST:], by or edits.by)


def seconds_to_keep_off(edits: RouteEdits, now: float) -> float:
    """Until it may be put back once more; 0: now."""
    return max(0.0, edits.at[-1] + AGAIN_S - now) if is_contended(edits) else 0.0


def seconds_to_calm(edits: RouteEdits, now: float) -> float | None:
    """Until nobody else writes any more, if nobody does; None where nobody has."""
    return edits.at[-1] + WINDOW_S - now if is_contended(edits) else None


def sentence(edits: RouteEdits) -> str:
    who = f"last by {edits.by!r}" if edits.by else "manager unknown"
    return (
        f"another writer keeps changing the route ({MOST} times in {WINDOW_S:.0f} s, {who}). Pointsman reverts it "
        f"every {AGAIN_S:.0f} s and holds the weight until that stops. Stop the other writer, or, to control the route "
        f"yourself, set annotation {MANUAL_UNTIL} to the time until which you want it"
    )
