"""A Release as a picture in the terminal, and as a line where there is none: pure, from the objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller import registry
from controller.api.phase import Phase
from controller.api.status import Status
from controller.rollout.switch import Switch
from controller.stats.evidence import MetricEvidence, Verdict
from controller.views.explanation import Explanation, looks_of, next_commands, pods_ready
from controller.views.strategies import kept_old, new_version, reached_by, strategy_of, switches, work_of

_COLORS = {
    Phase.HEALTHY: "green",
    Phase.ROLLED_BACK: "red",
    Phase.ROLLING_BACK: "red",
    Phase.INVALID: "red",
    Phase.PAUSED: "yellow",
    Phase.WAITING: "yellow",
}
_WIDE, _NARROW = 76, 48
"""Columns from which there is room for bars, and below which counts are left out."""
_BAR = 10


def line(found: Explanation) -> str:
    """All that moves, in one line."""
    status = found.status
    share = f"weight {_weight(status)}"
    if switches(found.release):
        work = work_of(found.release, status)
        share = f"new version {status.canary}: {work}" if status.canary else ""
    parts = [f"{status.phase} ({status.reason})", _where(status), share, status.evidence]
    return ", ".join(part for part in parts if part)


def picture(found: Explanation, width: int, now: float) -> RenderableType:
    status, metadata = found.status, found.release["metadata"]
    title = Text.assemble(
        (f"{metadata['name']}", "bold"),
        f" in {metadata['namespace']}: ",
        (f"{status.phase} ({status.reason})", _COLORS.get(status.phase, "cyan")),
    )
    rows: list[RenderableType] = [title]
    if status.message:
        rows.append(Text(status.message))
    rows += [Text(""), _versions(found, width, now)]
    if found.problem:
        rows += [Text(""), Text(found.problem, style="yellow")]
    if found.evidence is not None and found.evidence.metrics:
        when = "so far" if status.canary else "of the last rollout"
        rows += [Text(""), Text(f"evidence {when}, {looks_of(found.evidence)}", style="dim")]
        rows.append(
            _evidence(found.evidence.metrics, width, new_version(found.release), fresh_baseline=found.fresh_baseline)
        )
    if status.canary or status.phase in (Phase.PAUSED, Phase.ROLLED_BACK):
        rows.append(Text(""))
        rows += [
            Text(f"next: {command}", style="dim")
            for command in next_commands(metadata["namespace"], metadata["name"], status)
        ]
    return Group(*rows)


def _weight(status: Status) -> str:
    return reached_by(status) or f"{status.weight:g} %"


def _where(status: Status) -> str:
    return f"step {min(status.step + 1, status.steps)}/{status.steps}" if status.canary and status.steps else ""


def _versions(found: Explanation, width: int, now: float) -> Table:
    status = found.status
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    if status.canary:
        table.add_row("steps", _steps(found.release, status))
        if not switches(found.release):
            share = Text(_weight(status))
            bar = Text.assemble(_bar(status.weight / 100, "cyan"), " ", share)
            table.add_row("weight", bar if width >= _NARROW else share)
    of_stable, of_new = pods_ready(status)
    table.add_row("stable", f"{status.stable or 'none yet'}{of_stable}{kept_old(found.release, status)}")
    if status.canary:
        table.add_row(new_version(found.release), f"{status.canary}{_since(found, now)}{of_new}")
    if status.baseline:
        table.add_row("baseline", f"{status.baseline}, {status.baseline_weight:g} %: new pods of stable")
    return table


def _since(found: Explanation, now: float) -> str:
    """Since when the new version has what it has of the work."""
    status = found.status
    seconds = None if status.weight_since is None else f"{max(0, now - status.weight_since):.0f} s"
    if not switches(found.release):
        at = "so far" if reached_by(status) else "at this weight"
        return "" if seconds is None else f", {seconds} {at}"
    work = work_of(found.release, status)
    return f", {work}" if seconds is None or not (status.weight or reached_by(status)) else f", {work} for {seconds}"


def _steps(release: Mapping[str, Any], status: Status) -> Text:
    """Those that are passed, the one in force, those to come."""
    words = Text()
    steps = _step_words(strategy_of(release))
    for index, word in enumerate(steps):
        if index:
            words.append(" > ", style="dim")
        style = "green" if index < status.step else "bold reverse" if index == status.step else "dim"
        words.append(word, style=style)
    if status.step >= len(steps):
        words.append(" > ", style="dim")
        words.append("all", style="bold reverse")
    return words


def _step_words(strategy: Any) -> list[str]:
    """What the strategy compiles to, whichever it is; nothing if it is one that this installation does not have."""
    if strategy is None:
        return []
    kinds = {module.Config: kind for kind, module in registry.modules("steps").items()}
    return [_step_word(step, kinds) for step in strategy.steps]


def _step_word(step: Any, kinds: Mapping[type[Any], str]) -> str:
    if isinstance(step, Switch):
        return "switch"
    return kinds.get(type(step), "?") if step.weight is None else f"{step.weight:g}%"


def _evidence(metrics: tuple[MetricEvidence, ...], width: int, new: str, *, fresh_baseline: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("METRIC", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column(new.upper(), no_wrap=True)
    other = "BASELINE" if fresh_baseline else "STABLE"
    table.add_column("BEFORE" if any(metric.before for metric in metrics) else other, no_wrap=True)
    table.add_column("BAD / BOUNDARY", overflow="fold")
    for metric in metrics:
        c = metric.counts
        table.add_row(
            metric.name,
            _rate(c.canary_bad, c.canary_total, width),
            _rate(c.stable_bad, c.stable_total, width),
            _standing(metric, width),
        )
    return table


def _rate(bad: int, total: int, width: int) -> str:
    if not total:
        return "-"
    return f"{bad / total:.2%}" + (f" {bad}/{total}" if width >= _WIDE else "")


def _standing(metric: MetricEvidence, width: int) -> Text:
    """How near the canary's bad units have come to the number that convicts."""
    standing = metric.standing
    if metric.verdict is Verdict.NO_DATA:
        return Text("no data", style="yellow")
    if metric.verdict is Verdict.REGRESSION:
        worse, style = ("worse, advises", "yellow") if metric.advises else ("regression", "red")
        return Text(f"{standing.bad}/{standing.boundary} {worse}", style=style)
    if metric.verdict is Verdict.NO_WORSE:
        return Text("proven no worse", style="green")
    if standing.boundary is None:
        return Text("nothing to test yet", style="dim")
    share = min(1.0, standing.bad / standing.boundary) if standing.boundary else 1.0
    words = Text(f"{standing.bad}/{standing.boundary}")
    if metric.held_back:
        words.append(" suspicious", style="yellow")
    return Text.assemble(_bar(share, "red"), " ", words) if width >= _WIDE else words


def _bar(share: float, color: str) -> Text:
    full = max(round(share * _BAR), 1 if share > 0 else 0)
    return Text.assemble(("━" * full, color), ("─" * (_BAR - full), "bright_black"))
