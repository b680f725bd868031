"""When windows end, and when they can be measured. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from controller.analysis.subject import WeightChange
from controller.api.status import Status

FAST_S = 1.0
FAST_FOR_S = 30.0
"""After each change of weight, provisional counts are asked for this often, for so long."""
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
    """A window also ends where the weight changed, so that the share is constant in it: when it changed, and for what
    ripens, so much later. Seconds since the epoch.
    """
    changed = [started, *turns, *(change.since for change in weights)]
    moments = (moment + maturity for moment in changed for maturity in {0.0, *maturities})
    return min([end + interval, *(moment for moment in moments if moment > end)])


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
