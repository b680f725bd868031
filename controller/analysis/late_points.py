"""Counts that came later than `settle`: told, in no look, and never judged again.

Every few looks the whole stretch is asked for once more, in one query for each metric. The windows touch, so what it
has beyond the looks' sum came late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.analysis.record import Run
from controller.stats.counts import Counts, Look

STRETCH = 5
"""Looks: a fifth more queries. The youngest look is left out, so that each had an interval more to settle."""
_WORTH_TELLING = 0.01


def stretch(run: Run) -> Sequence[Look]:
    """The looks to ask for once more; none while it is too early."""
    return run.looks[run.audited : run.audited + STRETCH] if len(run.looks) > run.audited + STRETCH else ()


def note(run: Run, looks: Sequence[Look], again: Mapping[str, Counts]) -> None:
    """A metric that was not asked in one of the looks, as while pods warm up, is left out."""
    for name in again:
        rows = [look.rows.get(name) for look in looks]
        requested = [row for row in rows if row is not None]
        missing = again[name].units - sum(row.units for row in requested)
        if len(requested) == len(rows) and missing > 0:
            run.late[name] = run.late.get(name, 0) + missing
    run.audited += len(looks)


def sentence(run: Run) -> str:
    """Empty where less than a hundredth came late."""
    parts: list[str] = []
    if not run.late:
        return ""
    for metric in run.judge.evidence().metrics:
        late = run.late.get(metric.name, 0)
        share = late / (late + metric.counts.units) if late else 0.0
        if share >= _WORTH_TELLING:
            settle = f"later than {run.plan.settle:g} s (spec.analysis.advanced.settle)"
            parts.append(f"{share:.0%} of the units of {metric.name} arrived {settle} and are not in any look")
    return "; ".join(parts)
