"""When windows end, and when they can be measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from controller.analysis.subject import WeightChange
from controller.api.status import Status

FAST_S = 1.0
FAST_FOR_S = 30.0
"""After each change of weight, provisional counts are asked for this often, for so long."""
_TENTHS = 10
"""Windows end at whole tenths of the interval since the epoch, so that those of many Releases are the same, and their
counts can be asked for together. Not all at one moment, which would make the last of them late.
"""
_LOST = 1e-3
"""Of a tenth: what a float or a text of microseconds may have lost."""
_QUIET_S, _QUIET_WRITES_PER_S = 15.0, 10.0
_PATIENCE_LOOKS = 2
_LEAST_PATIENCE_S = 5.0


def next_end(
    end: float,
    interval: float,
    *,
    started: float,
    turns: Sequence[float],
    weights: Sequence[WeightChange],
    maturities: Collection[float],
) -> float:
    """An interval after the last one, or less than a tenth of it later (see `_TENTHS`). A window also ends where the
    weight changed, so that the share is constant in it: when it changed, and for what ripens, so much later. Seconds
    since the epoch.
    """
    changed = [started, *turns, *(change.since for change in weights)]
    moments = (moment + maturity for moment in changed for maturity in {0.0, *maturities})
    return min([_at_tenth(end + interval, interval), *(moment for moment in moments if moment > end)])


def _at_tenth(moment: float, interval: float) -> float:
    """The first whole tenth of the interval that is not before `moment`."""
    tenth = interval / _TENTHS
    return math.ceil(moment / tenth - _LOST) * tenth


def fast_moment(now: float, end: float) -> float:
    """Until when provisional counts are asked for: whole seconds after the last look, the same for many Releases."""
    return end + math.floor((now - end) / FAST_S + _LOST) * FAST_S


def weight_at(moment: float, weights: Sequence[WeightChange], *, before: WeightChange) -> WeightChange:
    """What is in force at a moment; `before`: what was before all changes that are known."""
    return next((change for change in reversed(weights) if change.since <= moment), before)


def is_fresh(status: Status, now: float) -> bool:
    """Disasters show at once; later ones are for the windows, so that a long release costs no query a second."""
    reached = status.weight > 0 or status.copied > 0
    return reached and status.weight_since is not None and now - status.weight_since <= FAST_FOR_S


def patience_s(interval: float) -> float:
    """How long an answer may take before it counts as an outage: no step goes on by its clock meanwhile."""
    return max(_LEAST_PATIENCE_S, _PATIENCE_LOOKS * interval)


def quiet_s(releases: int) -> float:
    """How often it is written what a look alone has changed: with many Releases less often, so that all of them are no
    load for the API server.
    """
    return max(_QUIET_S, releases / _QUIET_WRITES_PER_S)
