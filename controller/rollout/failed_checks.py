"""What rolls a canary back: the rollback test, all bad at once, too much harm, an alert, a Job, a version that cannot
run.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.reasons import Reason
from controller.rollout import alerts, capacity
from controller.rollout.draft import Draft
from controller.rollout.steps.job import Job
from controller.stats.evidence import MetricEvidence

UNUSED_CREDITS_S = 60.0
"""A version that does not take its part is not compared by what it takes."""


@dataclass(frozen=True)
class FailedCheck:
    reason: str
    message: str
    evidence: str = ""
    """What the status shows of it; empty leaves what is shown."""


def failed_check(draft: Draft) -> FailedCheck | None:
    """The first check that the canary fails."""
    # who promotes in full has ended the judging; what cannot even run is still rolled back
    judged = draft.status.canary == draft.seen.status.canary and not draft.attempt.full_by
    checks = (_by_its_work, _by_an_alert, _by_its_job, _unused_credits) if judged else ()
    found = next(filter(None, (check(draft) for check in checks)), None)
    return found or _cannot_run(draft)


def _by_its_work(draft: Draft) -> FailedCheck | None:
    evidence, disaster = draft.seen.evidence, draft.seen.disaster
    regression = evidence.regression
    if regression is not None:
        found = regression.explanation(evidence.looks, draft.words.trial)
        return FailedCheck(Reason.REGRESSED, f"{found}{_met_by(draft)}", regression.sentence())
    if disaster is not None:
        c = disaster.counts
        shown = f"{disaster.metric} {c.canary_bad}/{c.canary_total} vs {c.stable_bad}/{c.stable_total}"
        reason = Reason.ALL_BAD if disaster.fresh is None else Reason.REGRESSED
        return FailedCheck(reason, f"{disaster.sentence()}{_met_by(draft)}", shown)
    return _harms_too_many(draft)


def _met_by(draft: Draft) -> str:
    """Who has met a version that had no work; empty where it had some."""
    status = draft.status
    if status.weight > 0:
        return ""
    if status.copied:
        return f". It had copies of {status.copied:g} % of the requests, and nobody got its answers"
    return ". Nobody but those who send the header has met it" if status.chosen else ""


def _by_an_alert(draft: Draft) -> FailedCheck | None:
    found = alerts.blaming(draft)
    return None if found is None else FailedCheck(found.reason, found.message)


def _by_its_job(draft: Draft) -> FailedCheck | None:
    """Here and not by its step alone, which is not asked while a person pauses, or metrics are out."""
    status, effects = draft.status, draft.seen.effects
    for step in draft.seen.spec.steps[status.step : status.step + 1]:
        if isinstance(step, Job):
            failed = step.verdict(effects, canary=status.canary, attempt=status.attempts, step=status.step)
            return None if failed is None else FailedCheck(failed.reason, failed.message)
    return None


def _harms_too_many(draft: Draft) -> FailedCheck | None:
    most = draft.seen.spec.analysis.max_harmed
    # without looks before a switch there is no rate of stable's to reckon with
    compared = [
        metric
        for metric in draft.seen.evidence.judging
        if metric.limit is None and (metric.before is None or metric.before.total)
    ]
    worst = max(compared, key=_harmed, default=None)
    if most is None or worst is None or _harmed(worst) <= most:
        return None
    alone, besides = worst.alone, ""
    if alone.canary_total:
        besides = (
            f"; without the baseline {alone.canary_bad}/{alone.canary_total}, and {alone.stable_bad}/"
            f"{alone.stable_total} on stable meanwhile"
        )
    return FailedCheck(
        Reason.MAX_HARMED,
        f"{worst.name}: about {_harmed(worst):.0f} more bad units on the {draft.words.trial} than {worst.reference}'s "
        f"rate would have given (spec.analysis.maxHarmed: {most}; {worst.sentence()}{besides})",
        worst.sentence(),
    )


def _harmed(metric: MetricEvidence) -> float:
    """Bad canary units beyond what stable's rate would have given. Copies harm nobody.

    While a baseline has no work, a unit is bad as often as on new pods before, or for a cause that stable has now.
    """
    c, copied, alone = metric.counts, metric.copied, metric.alone
    bad, total = c.canary_bad - copied.canary_bad, c.canary_total - copied.canary_total
    beside, now = _rate(c.stable_bad, c.stable_total), _rate(alone.stable_bad, alone.stable_total)
    return bad - total * beside + alone.canary_bad - alone.canary_total * (1 - (1 - beside) * (1 - now))


def _rate(bad: int, total: int) -> float:
    return bad / total if total else 0.0


def _unused_credits(draft: Draft) -> FailedCheck | None:
    seconds = draft.seen.unused_credits_s
    if seconds < UNUSED_CREDITS_S or capacity.grows(draft):
        return None
    return FailedCheck(
        Reason.SHARE_UNUSED,
        f"{draft.status.canary} left credits of its share of {draft.status.weight:g} % unused for {seconds:.0f} s "
        "while stable found work. It is too slow, or has too few slots",
    )


def _cannot_run(draft: Draft) -> FailedCheck | None:
    state = draft.seen.state(draft.status.canary)
    if state.trouble is None or not state.trouble.ends_the_trial or state.up > 0:
        return None
    return FailedCheck(state.trouble.reason, state.trouble.message)
