"""What takes a canary back: the rollback test, everything bad at once, too much harm, a version that cannot run."""

from __future__ import annotations

from controller.rollout.plan import Plan
from controller.rollout.stable import reject
from controller.stats.evidence import MetricEvidence

STARVED_S = 60.0
"""A version that does not take its part is not compared by what it takes."""


def convicted(plan: Plan) -> bool:
    """Looks never stop, so this comes before everything that may have to wait. True: the canary was taken back."""
    # who promotes in full has ended the judging; what cannot even run is still taken back
    judged = plan.status.canary == plan.seen.status.canary and not plan.status.full_by
    if judged and _by_its_work(plan):
        return True
    if judged and plan.seen.starved_s >= STARVED_S:
        reject(
            plan,
            "ShareUnused",
            f"{plan.status.canary} left credits for its share of {plan.status.weight:g} % unused for "
            f"{plan.seen.starved_s:.0f} s while others had work: it is too slow, or has too few slots",
        )
        return True
    state = plan.seen.state(plan.status.canary)
    if state.trouble is not None and state.trouble.is_the_versions_fault and state.serving == 0:
        reject(plan, state.trouble.reason, state.trouble.message)
        return True
    return False


def _by_its_work(plan: Plan) -> bool:
    evidence, disaster = plan.seen.evidence, plan.seen.disaster
    guilty = evidence.regression
    if guilty is not None:
        plan.update(evidence=guilty.sentence())
        reject(plan, "Regressed", guilty.conviction(evidence.looks))
        return True
    if disaster is not None:
        c = disaster.counts
        plan.update(evidence=f"{disaster.metric} {c.canary_bad}/{c.canary_total} vs {c.stable_bad}/{c.stable_total}")
        reject(plan, "AllBad", disaster.sentence())
        return True
    return _harms_too_many(plan)


def _harms_too_many(plan: Plan) -> bool:
    most = plan.seen.spec.analysis.max_harmed
    if most is None:
        return False
    compared = [metric for metric in plan.seen.evidence.metrics if metric.limit is None]
    worst = max(compared, key=_harmed, default=None)
    if worst is None or _harmed(worst) <= most:
        return False
    plan.update(evidence=worst.sentence())
    reject(
        plan,
        "MaxHarmed",
        f"{worst.name}: about {_harmed(worst):.0f} units more were bad on the canary than would have been on stable "
        f"(spec.analysis.maxHarmed: {most}; {worst.sentence()})",
    )
    return True


def _harmed(metric: MetricEvidence) -> float:
    """Bad canary units beyond what stable's rate would have given."""
    c = metric.counts
    return c.canary_bad - (c.canary_total * c.stable_bad / c.stable_total if c.stable_total else 0.0)
