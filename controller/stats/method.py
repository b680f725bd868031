"""How an attempt is judged: the tests and their shares of the promise, fixed before its first look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.stats.before import Before
from controller.stats.counts import metric_of
from controller.stats.spending import Spending

LIMITS_SHARE = 0.1
BAKES_SHARE = 0.2
PREVIEWS_SHARE = 0.5
"""Of the budget, for what is judged before a switch; what is left is for the time after it."""
_ADVISE = "advise"
SETTLE_S = 3.0
"""Where nothing is said, and nothing was learnt."""


@dataclass(frozen=True)
class MetricPlan:
    """One metric as it is judged; fixed before the first look."""

    name: str
    odds: float | None
    """Odds ratio canary to stable that is still tolerated (ψ); None where there is a limit."""
    promote: float | None = None
    """Odds ratio below which the canary has to be proven to be (ψ1); None: no proof is looked for."""
    limit: float | None = None
    """Rate of bad units, 0 to 1, that is tolerated of the canary alone."""
    slack: float = 0.0
    """Rate, 0 to 1, that is tolerated beyond the ratio. Then `odds` and `promote` are ratios of rates."""
    before: Before | None = None
    """What the old version did before it gave up all of its work; None where both have work side by side. Then `odds`
    is a ratio of rates, and there is no proof.
    """
    control: str | None = None
    """What the standing control has seen in the attempts before (see control.py); None: there is none."""
    advises: bool = False
    """It is tested and reported, and decides nothing."""

    @property
    def metric(self) -> str:
        """The metric of `metric` or `metric/threshold`."""
        return metric_of(self.name)

    @property
    def edge(self) -> float | None:
        """The rate, 0 to 1, that is tolerated after a switch; None where there is none, or nothing known of before."""
        return None if self.before is None else self.before.edge(self.odds or 1.0, self.slack)


@dataclass(frozen=True)
class AnalysisPlan:
    """Method and budget of one attempt, written into its AnalysisRun at the start and never changed."""

    alpha: float
    min_bad_units: int
    metrics: tuple[MetricPlan, ...]
    horizon: int | None = None
    """Number of looks, where it is known beforehand."""
    max_false_promotion: float = 0.05
    """Chance that a canary at `promote` or above is called no worse; per metric and release."""
    reserve_at: float | None = None
    """The bake's weight, in percent: a part of the budget is kept until the first look at it."""
    settle: float = SETTLE_S
    """Seconds after which a window's counts are taken for complete: so a restart looks at the same windows."""

    @property
    def judging(self) -> frozenset[str]:
        """Names of the metrics, or of thresholds of them, that decide."""
        return frozenset(metric.name for metric in self.metrics if not metric.advises)

    def alpha_of(self, metric: MetricPlan) -> float:
        """The union bound over all tests of the release.

        A tenth goes to the limits, where there are any beside compared metrics; each of a kind has an equal part, and
        the thresholds of one metric share that metric's. Metrics that only advise roll nothing back, so they take
        nothing of it: what they report has a bound of its own, as great, shared out in the same way.
        """
        together = [other for other in self.metrics if other.advises == metric.advises]
        alike = [other for other in together if (other.limit is None) == (metric.limit is None)]
        part = self.alpha
        if len(alike) < len(together):
            part *= 1 - LIMITS_SHARE if metric.limit is None else LIMITS_SHARE
        thresholds = [other for other in alike if other.metric == metric.metric]
        return part / (len({other.metric for other in alike}) * len(thresholds))

    def spending(self, metric: MetricPlan) -> Spending:
        return Spending(self.alpha_of(metric), self.horizon, 0.0 if self.reserve_at is None else BAKES_SHARE)

    @property
    def proof_spending(self) -> Spending:
        """Not shared out: the canary is no worse when each metric is proven so, every one at this chance."""
        return Spending(self.max_false_promotion, self.horizon)


def plan_to_raw(plan: AnalysisPlan) -> dict[str, object]:
    raw: dict[str, object] = {
        "test": "xgs",
        "spending": "open" if plan.horizon is None else "horizon",
        "alpha": plan.alpha,
        "minBadUnits": plan.min_bad_units,
        "settle": plan.settle,
        "metrics": [_metric_to_raw(metric) for metric in plan.metrics],
    }
    if plan.horizon is not None:
        raw["looks"] = plan.horizon
    if plan.reserve_at is not None:
        raw["reserveAt"] = plan.reserve_at
    if any(metric.promote is not None for metric in plan.metrics):
        raw["maxFalsePromotion"] = plan.max_false_promotion
    return raw


def _metric_to_raw(metric: MetricPlan) -> dict[str, object]:
    control = {} if metric.control is None else {"control": metric.control}
    mode = {"mode": _ADVISE} if metric.advises else {}
    if metric.limit is not None:
        return {"name": metric.name, "limit": metric.limit, **control, **mode}
    proof = {} if metric.promote is None else {"promoteBelow": metric.promote}
    slack = {"slack": metric.slack} if metric.slack else {}
    before = {} if metric.before is None else {"before": _before_to_raw(metric.before)}
    return {"name": metric.name, "rollbackAbove": metric.odds, **proof, **slack, **before, **control, **mode}


def _before_to_raw(before: Before) -> dict[str, int]:
    return {
        "bad": before.bad,
        "total": before.total,
        "worstBad": before.worst_bad,
        "worstTotal": before.worst_total,
    }


def _before_from_raw(raw: object) -> Before | None:
    if raw is None:
        return None
    if isinstance(raw, Mapping) and all(isinstance(value, int) for value in raw.values()):
        try:
            return Before(raw["bad"], raw["total"], raw["worstBad"], raw["worstTotal"])
        except KeyError as error:
            raise TypeError(f"not what was before: {raw!r}") from error
    raise TypeError(f"not what was before: {raw!r}")


def plan_from_raw(raw: Mapping[str, object]) -> AnalysisPlan:
    """Raises TypeError for what is no method."""
    metrics, alpha, least, looks = raw.get("metrics"), raw.get("alpha"), raw.get("minBadUnits"), raw.get("looks")
    proof, settle = raw.get("maxFalsePromotion", 0.05), raw.get("settle", SETTLE_S)
    reserve_at = raw.get("reserveAt")
    if not (
        isinstance(metrics, list)
        and isinstance(alpha, int | float)
        and isinstance(least, int)
        and isinstance(looks, int | None)
        and isinstance(proof, int | float)
        and isinstance(settle, int | float)
        and isinstance(reserve_at, int | float | None)
    ):
        raise TypeError(f"not a method: {raw!r}")
    return AnalysisPlan(
        alpha=float(alpha),
        min_bad_units=least,
        metrics=tuple(_metric_from_raw(metric) for metric in metrics),
        horizon=looks,
        max_false_promotion=float(proof),
        reserve_at=None if reserve_at is None else float(reserve_at),
        settle=float(settle),
    )


def _metric_from_raw(raw: Mapping[str, object]) -> MetricPlan:
    name, odds, promote = raw.get("name"), raw.get("rollbackAbove"), raw.get("promoteBelow")
    limit, slack, control = raw.get("limit"), raw.get("slack", 0), raw.get("control")
    advises = raw.get("mode") == _ADVISE
    if isinstance(name, str) and isinstance(limit, int | float) and odds is None and isinstance(control, str | None):
        return MetricPlan(name, None, limit=float(limit), control=control, advises=advises)
    if not (
        isinstance(name, str)
        and isinstance(odds, int | float)
        and isinstance(promote, int | float | None)
        and isinstance(slack, int | float)
        and isinstance(control, str | None)
    ):
        raise TypeError(f"not a metric of a method: {raw!r}")
    proof = None if promote is None else float(promote)
    before = _before_from_raw(raw.get("before"))
    return MetricPlan(name, float(odds), proof, slack=float(slack), before=before, control=control, advises=advises)
