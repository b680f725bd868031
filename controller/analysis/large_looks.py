"""Looks of so many units that judging them might end the process: they are written down before they are judged.

Up to LARGE_UNITS a row costs a test at most 1.4 ms and 1.1 MiB, and nothing is written ahead; at 10^9, the most that a
row may have, it is 20 ms and 9 MiB. What a source answers is bounded before it is counted, so asking is not the danger.

A look that was written down and has no judgement when the record is opened again ended the process: it is left out of
every test and named. Looks as large are not judged again in that attempt, or each of them could end an operator.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

from controller.analysis.record import Run
from controller.api import times
from controller.api.reasons import Reason
from controller.rollout.observation import MetricTrouble
from controller.stats.counts import Counts

LARGE_UNITS = 10**7
"""Of one version, in one row and look: two million a second where looks are 5 s long."""


def is_large(rows: Mapping[str, Counts], halves: Mapping[str, Counts]) -> bool:
    return any(_units(counts) > LARGE_UNITS for counts in itertools.chain(rows.values(), halves.values()))


def _units(counts: Counts) -> int:
    return max(counts.canary_total, counts.stable_total)


def leave_out(run: Run) -> None:
    """The look that ended the process: its window is over, and its counts are in no test."""
    look = run.judging
    if look is None:
        return
    run.judging = None
    run.left_out[look.number] = look
    empty = replace(look, rows={}, halves={})
    run.looks.append(empty)
    run.judge.add(empty)


def trouble(run: Run) -> MetricTrouble | None:
    """Until the next look is judged."""
    if not run.looks or run.looks[-1].number not in run.left_out:
        return None
    return MetricTrouble(Reason.LOOK_LEFT_OUT, sentence(run))


def trouble_with(run: Run, rows: Mapping[str, Counts], halves: Mapping[str, Counts]) -> MetricTrouble | None:
    """Why these counts are not judged; None where they may be."""
    return MetricTrouble(Reason.LOOK_LEFT_OUT, sentence(run)) if run.left_out and is_large(rows, halves) else None


def sentence(run: Run) -> str:
    """Of the last look that was left out; empty where there is none."""
    if not run.left_out:
        return ""
    look = run.left_out[max(run.left_out)]
    rows = {**look.halves, **look.rows}
    name = max(rows, key=lambda row: _units(rows[row]), default="")
    units = _units(rows[name]) if name else 0
    window = f"{times.to_text(look.start)} to {times.to_text(look.end)}"
    return (
        f"the operator ended while look {look.number} ({window}) was judged: it is left out. Metric {name} has {units} "
        f"units in it; looks of more than 10^7 are not judged in this attempt"
    )
