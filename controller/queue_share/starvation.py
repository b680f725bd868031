"""Whether a canary leaves its part of a queue unused: it is too slow, has too few slots, or polls another queue.

Credits that are not reported as spent do not show it. Where much is claimed some always are, because claims are
reported up to 0.6 s late and credits come twice a second. A canary that kept up with 200 messages a second looked
starved for more than a minute by that. What was granted two seconds ago is spent by then, or it is unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller.queue_share.ledger import ROUND_S, Ledger, Pod

_RIPE_ROUNDS = 4
_CYCLE_S = 2.5
"""Stable yields by turns (workloads/common/share_rules.py): while it does, it finds something once in so long."""


@dataclass(frozen=True)
class UnusedCredits:
    """As it was after a round."""

    seconds: float = 0.0
    """For how long others have been served while the canary left credits unused."""
    epoch: int = -1
    granted: tuple[Mapping[str, int], ...] = ()
    """Running totals as they were left by the last rounds, the oldest first."""
    consumers: int = 0
    """The most that the canary has had."""
    claims: int = 0
    """Of all consumers."""
    of_canary: int = 0
    at: float = 0.0
    served_at: float = 0.0
    """When a consumer last found a message."""


def after_round(before: UnusedCredits, ledger: Ledger, pods: Mapping[str, Pod], now: float) -> UnusedCredits:
    """`ledger`: as it was before this round. `now`: seconds of any clock that only goes forward."""
    if ledger.epoch != before.epoch:
        before = UnusedCredits(epoch=ledger.epoch)
    granted = (*before.granted, ledger.granted)[-_RIPE_ROUNDS:]
    claims = sum(pod.claims for pod in pods.values())
    canary = [pod for pod in pods.values() if pod.revision == ledger.canary]
    of_canary = sum(pod.claims for pod in canary)
    served_at = now if claims > before.claims else before.served_at
    seconds = before.seconds
    if (
        len(granted) < _RIPE_ROUNDS
        or len(canary) > before.consumers  # it has grown: what it left unused before, it had no slots for
        or _keeps_up(granted[0], pods, took=of_canary > before.of_canary)
    ):
        seconds = 0.0
    elif now - served_at <= _CYCLE_S:  # an empty queue starves no consumer
        seconds += min(now - before.at, 2 * ROUND_S)
    return replace(
        before,
        seconds=seconds,
        granted=granted,
        consumers=max(before.consumers, len(canary)),
        claims=claims,
        of_canary=of_canary,
        at=now,
        served_at=served_at,
    )


def _keeps_up(granted: Mapping[str, int], pods: Mapping[str, Pod], *, took: bool) -> bool:
    """No credit is unused, or its polls wait for what they find now and then: stable's polls were open before."""
    unused = {name: total - pods[name].claims for name, total in granted.items() if name in pods}
    return all(left <= 0 or (took and left <= pods[name].waiting) for name, left in unused.items())
