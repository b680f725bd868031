"""The fast path: a canary whose every answer is bad, while stable's are not, need not wait for the end of a look.

It is asked about provisional counts, each second, which never enter the looks. So that the release's promise holds,
it convicts only where the whole of the canary's units being bad has a chance below `CHANCE` under the null of the
rollback test, whatever the base rate is: a million such questions together stay within a hundredth of a promise of 1 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.stats.before import Before
from controller.stats.counts import Counts
from controller.stats.hypergeometric import central_law

CHANCE = 1e-10
LEAST_UNITS = 5


@dataclass(frozen=True)
class Disaster:
    """A metric in which everything the canary did was bad, or, without its baseline, more than anything explains."""

    metric: str
    counts: Counts
    p: float
    """Exact to 2e-18, and never below what it is."""
    after_switch: bool = False
    """Stable's units in `counts` are from before a switch: no random split, so `p` is no chance of a mistake."""
    reference: str = "stable"
    """What the version beside the canary is called."""
    fresh: tuple[int, int] | None = None
    """Bad units, and all, of a baseline that is gone; see lost_baseline.py."""

    def sentence(self) -> str:
        c = self.counts
        if self.fresh is not None:
            bad, units = self.fresh
            return (
                f"{self.metric}: {c.canary_bad} of {c.canary_total} bad on the canary since its baseline is gone, "
                f"{c.stable_bad} of {c.stable_total} on stable meanwhile, {bad} of {units} on the new baseline before; "
                f"p = {self.p:.2g} that a canary within its margin shows this"
            )
        if self.after_switch:
            found = f"{self.metric}: all {c.canary_total} bad since the last look"
            return f"{found}, {c.stable_bad} of {c.stable_total} before the switch"
        return (
            f"{self.metric}: all {c.canary_total} bad on the canary, {c.stable_bad} of {c.stable_total} on "
            f"{self.reference}; p = {self.p:.2g} that a canary within its margin shows this"
        )


def disaster(metric: str, counts: Counts, odds: float, before: Before | None = None) -> Disaster | None:
    """`odds` is the ratio canary to stable that is tolerated. `before`: what the old version did before a switch, where
    it has no work beside the new one. None while anything else can be hoped for.
    """
    if before is not None:
        counts = Counts(counts.canary_bad, counts.canary_total, before.bad, before.total)
    if counts.canary_bad < counts.canary_total or counts.canary_total < LEAST_UNITS:
        return None
    bad = counts.canary_bad + counts.stable_bad
    # the whole law of a large site's look takes hundreds of megabytes, and what its ends hold decides nothing here
    low, law, lost = central_law(counts.canary_total, counts.stable_total, bad, odds)
    p = float(law[counts.canary_bad - low :].sum()) + lost
    return Disaster(metric, counts, max(p, 1e-300), after_switch=before is not None) if p <= CHANCE else None
