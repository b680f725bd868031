"""How a rollout's looks are written in AnalysisRuns, and read again.

A page has at most PAGE looks. One that is full is never touched again, so the writes stay small however long a
release takes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from controller.analysis import checkpoints
from controller.api import times
from controller.kube.objects import Key
from controller.stats.all_bad import Disaster
from controller.stats.counts import MOST_UNITS, Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, plan_from_raw

PAGE = 200
PREVIEW = "-preview"
"""Ends the name of a record of what was judged before a switch."""
_LONGEST_REASON = 200


class MalformedRunError(Exception):
    """An AnalysisRun is not as this version writes it; says what is wrong, and what it says for itself."""


@dataclass
class Run:
    """One attempt under analysis. `pages` are the objects as last written."""

    key: Key
    name: str
    plan: AnalysisPlan
    started: float
    baseline_rates: Mapping[str, float]
    """Units per second of each metric before the canary came."""
    judge: Judge
    looks: list[Look]
    pages: list[dict[str, Any]]
    written: int
    """Looks that are in the API server."""
    written_at: float = 0.0
    weight_since: float | None = None
    provisional_at: float = 0.0
    provisional: Disaster | None = None
    """What was last seen in counts that are in no look yet, and when it was asked for."""
    states: dict[int, str] = field(default_factory=dict)
    """The tests' state at the end of each full page that is not written yet."""
    late: dict[str, int] = field(default_factory=dict)
    """Units of each metric that came after their look."""
    audited: int = 0
    """Looks that were asked for once more."""

    judging: Look | None = None
    """Written down, and not judged yet (see large_looks.py)."""
    left_out: dict[int, Look] = field(default_factory=dict)
    """Looks that ended the process that judged them, by number, with their counts. In `looks` they have none."""
    unmeasured: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Metrics that only advise and could not be measured: why, and until when they are left alone."""
    turns: list[float] = field(default_factory=list)
    """Moments at which the weight changed, between two looks."""
    closed: bool = False
    """Its attempt is over: no look is added any longer, whatever was being asked when it ended."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a page is written, and never while a source is asked."""

    @property
    def end(self) -> float:
        """Where the next window begins."""
        return self.looks[-1].end if self.looks else self.started


def run_name(key: Key, canary: str, attempt: int) -> str:
    return f"{key.name}-{canary}-{attempt}"


def is_full(page: Mapping[str, Any]) -> bool:
    return len(_looks_of(page)) >= PAGE


def _looks_of(page: Mapping[str, Any]) -> Sequence[Any]:
    """As they are written; none where they are not a list."""
    status = page.get("status")
    looks = status.get("looks") if isinstance(status, Mapping) else None
    return looks if isinstance(looks, list) else []


def pod_evidence_of(run: Run) -> Mapping[str, Any]:
    """What was kept of the rejected version's pods; nothing where there is none."""
    status = run.pages[0].get("status")
    kept = status.get("podEvidence") if isinstance(status, Mapping) else None
    return kept if isinstance(kept, Mapping) else {}


def page_name(name: str, page: int) -> str:
    return f"{name}-p{page}" if page else name


def is_page(key: Key, page: Mapping[str, Any]) -> bool:
    """Among AnalysisRuns with our labels: whether it has the name of one, so that it is none that somebody copied."""
    spec = page["spec"]
    name = run_name(key, str(spec.get("canaryRevision", "")), spec["attempt"])
    return page["metadata"]["name"] in {page_name(one, spec["page"]) for one in (name, f"{name}{PREVIEW}")}


def _began_at(page: Mapping[str, Any]) -> float:
    """When its rollout's looks began, by which records are ordered: attempts are counted anew where a status was lost,
    and an attempt that was judged before a switch has two records. -inf where it does not say.
    """
    spec = page.get("spec")
    try:
        return times.from_text(spec["startedAt"]) if isinstance(spec, Mapping) else -inf
    except (KeyError, TypeError, ValueError, OverflowError):
        return -inf


def youngest(key: Key, pages: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The first page of the last record among AnalysisRuns with our labels."""
    return max((page for page in pages if _is_first(key, page)), key=age, default=None)


def age(page: Mapping[str, Any]) -> tuple[float, int, int]:
    """The later of two pages with our labels has the greater one."""
    return _began_at(page), page["spec"]["attempt"], page["spec"]["page"]


def _is_first(key: Key, page: Mapping[str, Any]) -> bool:
    try:
        return is_page(key, page) and page["spec"]["page"] == 0
    except (KeyError, TypeError, AttributeError):
        return False


def turns_of(looks: Sequence[Look]) -> list[float]:
    return [after.start for before, after in itertools.pairwise(looks) if _force(after) != _force(before)]


def _force(look: Look) -> tuple[float, float | None, float, bool]:
    return look.weight, look.baseline, look.copied, look.chosen


def run_of(key: Key, name: str, pages: list[dict[str, Any]]) -> Run:
    """Raises MalformedRunError."""
    try:
        return _from_pages(key, name, pages)
    except Exception as error:  # anybody may have edited it, or an older or newer version written it
        problem = f"has no field {error}" if isinstance(error, KeyError) else f"{error}"[:_LONGEST_REASON]
        raise MalformedRunError(
            f"AnalysisRun {name} cannot be judged again: {problem or type(error).__name__}. It was edited, or another "
            f"version of Pointsman wrote it{_says(pages[0])}"
        ) from error


def _says(page: Mapping[str, Any]) -> str:
    """What stands in it for people, as far as it does."""
    status = page.get("status")
    known = status if isinstance(status, Mapping) else {}
    words = [known.get(name) for name in ("verdict", "message", "evidence")]
    said = ", ".join(word for word in words if isinstance(word, str) and word)
    return f"; it says: {said}" if said else ""


def _from_pages(key: Key, name: str, pages: list[dict[str, Any]]) -> Run:
    spec = pages[0]["spec"]
    plan = plan_from_raw(spec["method"])
    raws = [raw for page in pages for raw in _looks_of(page)]
    looks = [_look_from_raw(raw) for raw in raws]
    states = [
        ((number + 1) * PAGE, page["status"]["state"])
        for number, page in enumerate(pages)
        if page.get("status", {}).get("state")
    ]
    written = [page["status"] for page in pages if "audited" in page.get("status", {})]
    marks = [_look_from_raw(page["status"]["judging"]) for page in pages if page.get("status", {}).get("judging")]
    last: Mapping[str, Any] = written[-1] if written else {}
    return Run(
        key=key,
        name=name,
        plan=plan,
        started=times.from_text(spec["startedAt"]),
        baseline_rates=spec.get("usual", {}),
        judge=checkpoints.resumed(plan, looks, states),
        looks=looks,
        pages=pages,
        written=len(looks),
        late=dict(last.get("late", {})),
        audited=last.get("audited", 0),
        judging=next((mark for mark in marks if mark.number == len(looks) + 1), None),
        left_out={raw["n"]: _look_from_raw({**raw, **raw["leftOut"]}) for raw in raws if "leftOut" in raw},
        turns=turns_of(looks),
    )


def look_to_raw(look: Look, left_out: Look | None = None) -> dict[str, Any]:
    """`left_out`: the same look with the counts that are in no test."""
    return {
        "n": look.number,
        "from": times.to_text(look.start),
        "to": times.to_text(look.end),
        "weight": look.weight,
        **({} if look.baseline is None else {"baseline": look.baseline}),
        **({"copies": look.copied} if look.copied else {}),
        **({"byHeader": True} if look.chosen else {}),
        "rows": _to_raw(look.rows),
        **({"halves": _to_raw(look.halves)} if look.halves else {}),
        **({"leftOut": {"rows": _to_raw(left_out.rows), "halves": _to_raw(left_out.halves)}} if left_out else {}),
    }


def _to_raw(rows: Mapping[str, Counts]) -> dict[str, list[int]]:
    return {
        name: [counts.canary_bad, counts.canary_total, counts.stable_bad, counts.stable_total]
        for name, counts in rows.items()
    }


def _look_from_raw(raw: Mapping[str, Any]) -> Look:
    return Look(
        number=raw["n"],
        start=times.from_text(raw["from"]),
        end=times.from_text(raw["to"]),
        weight=float(raw["weight"]),
        rows={name: _counts(counts) for name, counts in raw.get("rows", {}).items()},
        halves={name: _counts(counts) for name, counts in raw.get("halves", {}).items()},
        baseline=float(raw["baseline"]) if "baseline" in raw else None,
        copied=float(raw.get("copies", 0)),
        chosen=bool(raw.get("byHeader")),
    )


def _counts(raw: Sequence[int]) -> Counts:
    """Raises ValueError."""
    if not all(type(one) is int and one <= MOST_UNITS for one in raw):
        raise ValueError(f"{raw!r:.80} are not four whole numbers of at most 10^9")
    return Counts(*raw)
