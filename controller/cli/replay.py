"""`pointsman replay`: recorded looks, judged again by the operator's own code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from controller.analysis.method import metric_plan
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._files import UnreadableError, files_of
from controller.cli._manifest import ManifestError, read_release
from controller.cli._options import WRONG_USE, read_share
from controller.cli._terminal import echo
from controller.cli._traces import MOST_LOOKS, Trace, TraceError, read_trace
from controller.rollout.bake import bake_weight
from controller.rollout.preview import are_judged_before_work
from controller.stats.counts import metric_of
from controller.stats.evidence import Evidence, MetricEvidence, Verdict
from controller.stats.judge import Judge
from controller.stats.method import PREVIEWS_SHARE, AnalysisPlan, MetricPlan

_ALPHA, _RATIO, _PROMOTE, _BAD_UNITS = 0.01, 1.1, 1.5, 5
_MOST = 0.5


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


class WrongUseError(Exception):
    """One sentence for the person at the terminal."""


@dataclass(frozen=True)
class Settings:
    """What the command line says; None: what was recorded, or what the Release says, or the default."""

    release: ReleaseSpec | None
    alpha: float | None
    ratio: float | None
    looks: int | None
    guards: bool
    promotion: bool

    def plan(self, trace: Trace) -> AnalysisPlan:
        """How this trace is judged. Raises WrongUseError."""
        if self.release is not None:
            plan = _released(trace, self.release)
        elif trace.plan is not None:
            plan = trace.plan
        else:
            plan = AnalysisPlan(_ALPHA, _BAD_UNITS, tuple(MetricPlan(name, _RATIO, _PROMOTE) for name in trace.labels))
        metrics = tuple(
            replace(
                metric,
                odds=metric.odds if self.ratio is None or metric.odds is None else self.ratio,
                promote=metric.promote if self.promotion else None,
            )
            for metric in plan.metrics
        )
        return replace(
            plan,
            alpha=plan.alpha if self.alpha is None else self.alpha,
            horizon=plan.horizon if self.looks is None else self.looks,
            min_bad_units=plan.min_bad_units if self.guards else 0,
            metrics=metrics,
        )


def replay(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="CSV files, or AnalysisRuns as YAML or JSON; folders too.")
    ],
    release: Annotated[str | None, typer.Option(metavar="FILE", help="Take the settings from this Release.")] = None,
    max_false_rollback: Annotated[str | None, typer.Option(metavar="SHARE", help="Such as 1%.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Tolerated odds ratio canary to stable.")] = None,
    looks: Annotated[int | None, typer.Option(help="Number of looks, known beforehand.")] = None,
    no_guards: Annotated[bool, typer.Option("--no-guards", help="Roll back with however few bad units.")] = False,
    no_promotion: Annotated[bool, typer.Option("--no-promotion", help="Do not look for proof of no worse.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a look and metric, and one a file.")] = False,
) -> None:
    """Judge recorded looks again, with the operator's own code.

    A CSV file has the columns look, metric, threshold, canary_bad,
    canary_total, stable_bad, stable_total and, if you like, weight: one row
    per look, metric and threshold, counts of that look only.
    An AnalysisRun brings its own method along.
    Exit code 0: done, 2: wrong use, or a file that cannot be meant.

    \b
    pointsman replay looks.csv --max-false-rollback 1% --ratio 1 --looks 60
    pointsman replay traces/ --json --no-guards --no-promotion
    kubectl get arun shop-abcdefghij-1 -o yaml > run.yaml; pointsman replay run.yaml
    """  # noqa: D301 - \b keeps the lines of the examples
    failed = False
    try:
        settings = Settings(
            release=None if release is None else read_release(release),
            alpha=None if max_false_rollback is None else _alpha(max_false_rollback),
            ratio=None if ratio is None else _ratio(ratio),
            looks=None if looks is None else _horizon(looks),
            guards=not no_guards,
            promotion=not no_promotion,
        )
        names = _files(files)
    except (WrongUseError, ManifestError) as error:
        echo(f"pointsman replay: {error}", err=True)
        raise typer.Exit(WRONG_USE) from None
    for name in names:
        try:
            trace = read_trace(name)
            plan = settings.plan(trace)
        except (TraceError, WrongUseError) as error:
            echo(f"pointsman replay: {error}", err=True)
            failed = True
            continue
        lines = _json_lines(trace, plan) if as_json else _text_lines(trace, plan)
        echo("\n".join(lines))
    if failed:
        raise typer.Exit(WRONG_USE)


@dataclass(frozen=True)
class Passage:
    """One look, judged: the evidence after it."""

    look: int
    evidence: Evidence
    judged: tuple[MetricEvidence, ...]
    """The metrics that this look has rows of."""


def passages(trace: Trace, plan: AnalysisPlan) -> Iterator[Passage]:
    """Look by look, as the operator does it."""
    judge = Judge(plan)
    for look in trace.looks:
        judge.add(look)
        evidence = judge.evidence()
        yield Passage(look.number, evidence, tuple(metric for metric in evidence.metrics if metric.name in look.rows))


def outcome(seen: list[Passage]) -> tuple[Verdict, int | None]:
    """The release's verdict and the look that brought it; a regression ends a release, also one proven before."""
    for passage in seen:
        if passage.evidence.regression is not None:
            return Verdict.REGRESSION, passage.look
    verdict = seen[-1].evidence.verdict
    since = None
    for passage in reversed(seen):
        if passage.evidence.verdict is not verdict:
            break
        since = passage.look
    return verdict, since if verdict is Verdict.NO_WORSE else None


def _json_lines(trace: Trace, plan: AnalysisPlan) -> Iterator[str]:
    seen = list(passages(trace, plan))
    for passage in seen:
        for metric in passage.judged:
            name, _, threshold = metric.name.partition("/")
            yield json.dumps(
                {
                    "file": trace.file,
                    "look": passage.look,
                    "metric": name,
                    "threshold": _number(threshold),
                    "s": metric.standing.bad,
                    "boundary": metric.standing.boundary,
                    "spent": metric.standing.spent,
                    "verdict": metric.verdict.value,
                }
            )
    verdict, look = outcome(seen)
    yield json.dumps({"file": trace.file, "release": verdict.value, "look": look})


def _text_lines(trace: Trace, plan: AnalysisPlan) -> Iterator[str]:
    seen = list(passages(trace, plan))
    width = max(len("metric"), *(len(label) for label in trace.labels))
    promise = f"at most {plan.alpha:.2%} false rollbacks, {_spending(plan)}"
    if any(metric.before is not None for metric in plan.metrics):
        promise = "before and after a switch, which bounds no false rollbacks"
    yield f"{trace.file}: {promise}"
    yield f"  {'look':>6}  {'metric':<{width}}  {'S':>8}  {'boundary':>8}  {'spent':>10}  verdict"
    for passage in seen:
        for metric in passage.judged:
            standing = metric.standing
            boundary = "-" if standing.boundary is None else standing.boundary
            held = " (held back: too few bad units)" if metric.held_back else ""
            yield (
                f"  {passage.look:>6}  {metric.name:<{width}}  {standing.bad:>8}  {boundary:>8}  "
                f"{standing.spent:>10.3g}  {metric.verdict.value}{held}"
            )
    verdict, look = outcome(seen)
    yield f"  release: {verdict.value}" + (f" at look {look}" if look is not None else f" after {len(seen)} looks")


def _spending(plan: AnalysisPlan) -> str:
    return "open-ended spending" if plan.horizon is None else f"{plan.horizon} looks"


def _number(threshold: str) -> float | str | None:
    try:
        return float(threshold) if threshold else None
    except ValueError:
        return threshold


# -- settings ------------------------------------------------------------------------------------------------------


def _files(paths: list[str]) -> list[str]:
    try:
        found = files_of(paths, (".csv", ".yaml", ".yml", ".json"))
    except UnreadableError as error:
        raise WrongUseError(f"{error.file}: {error.problem}") from error
    return [*found.named, *found.searched]


def _alpha(text: str) -> float:
    try:
        alpha = read_share(text, "--max-false-rollback") / 100
    except SpecError as error:
        raise WrongUseError(str(error)) from error
    if not 0 < alpha <= _MOST:
        raise WrongUseError(f"--max-false-rollback: {text} is not above 0% and at most 50%")
    return alpha


def _ratio(ratio: float) -> float:
    if not (math.isfinite(ratio) and 0.01 <= ratio <= 100):  # noqa: PLR2004 - as far as a margin can mean anything
        raise WrongUseError(f"--ratio: {ratio:g} is not between 0.01 and 100")
    return ratio


def _horizon(looks: int) -> int:
    if not 1 <= looks <= MOST_LOOKS:
        raise WrongUseError(f"--looks: {looks} is not between 1 and {MOST_LOOKS}")
    return looks


def _released(trace: Trace, spec: ReleaseSpec) -> AnalysisPlan:
    analysis = spec.analysis
    known = {metric.name: metric for metric in analysis.metrics}
    for label in trace.labels:
        if metric_of(label) not in known:
            names = ", ".join(known) or "none"
            raise WrongUseError(f"{trace.file}: metric: {label!r} is not in the Release (there are: {names})")
    metrics: list[MetricPlan] = []
    for name, metric in known.items():
        labels = [label for label in trace.labels if metric_of(label) == name] or [name]
        metrics += [metric_plan(metric, label) for label in labels]
    halved = spec.strategy.switches and are_judged_before_work(spec.steps)
    return AnalysisPlan(
        alpha=analysis.alpha * (PREVIEWS_SHARE if halved else 1.0),
        min_bad_units=analysis.advanced.min_bad_units,
        metrics=tuple(metrics),
        max_false_promotion=analysis.advanced.max_false_promotion,
        reserve_at=bake_weight(spec.steps),
    )
