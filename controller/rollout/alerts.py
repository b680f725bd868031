"""Alerts that fire, and what they mean for the version on trial.

An alert is a sentence of somebody else's about the whole service, so it blames the new version only where nothing
speaks against that: it began after the release did, it is not about the version before, and it does not fire for that
one as well. One that names no version blames the new one only if it began after the first step: before that the new
version had no work and need not have had a pod. It lies outside of the promise of `maxFalseRollback`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from controller.api.alerts import LONGEST_VALUE, MOST_KEPT, AlertGate, FiringAlert
from controller.api.reasons import Reason
from controller.rollout.draft import Draft

_MOST_LABELS = 20
_NAME = "alertname"


@dataclass(frozen=True)
class AlertFound:
    reason: Reason
    message: str


def keep_alerts(draft: Draft) -> None:
    """What decides stands in the status: after a restart of the operator nobody repeats it for hours."""
    if draft.status.attempt is None:
        return
    clock = draft.attempt.clock
    if clock.first_step is None and draft.status.weight > 0:  # of an operator that did not keep this moment
        draft.update_clock(first_step=clock.step_entered)
    sent = [alert for alert in draft.seen.alerts if not alert.source]  # a source is asked again
    deciding = {alert.id for _, _, alert in _of_the_canary(draft) if not alert.source}
    new = [alert for alert in sent if alert.id in deciding][:MOST_KEPT]
    of_stable = [alert for alert in sent if alert not in new and _is_about_stable(draft, alert)]
    kept = tuple(_shortened(draft, alert) for alert in (*new, *of_stable[:MOST_KEPT]))
    if kept != draft.attempt.alerts:
        draft.update_attempt(alerts=kept)


def blaming(draft: Draft) -> AlertFound | None:
    """What rolls the canary back."""
    of_stable = _NamesOfStable(draft)
    for index, gate, alert in _of_the_canary(draft):
        if gate.rolls_back and not of_stable.have(gate, alert):
            return AlertFound(Reason.ALERT_FIRING, f"{_sentence(draft, alert)} (spec.analysis.alerts[{index}])")
    return None


def awaited(draft: Draft) -> AlertFound | None:
    """What the steps wait for. Nobody is blamed."""
    of_stable = _NamesOfStable(draft)
    for index, gate, alert in _of_the_canary(draft):
        if of_stable.have(gate, alert):
            message = (
                f"{_sentence(draft, alert)}. It fires for stable as well, so the {draft.words.trial} is not blamed"
            )
            return AlertFound(Reason.COMMON_CAUSE, message)
        if not gate.rolls_back:
            message = f"{_sentence(draft, alert)} (spec.analysis.alerts[{index}]); the steps wait while it does"
            return AlertFound(Reason.AWAITING_ALERT, message)
    return None


def _of_the_canary(draft: Draft) -> Iterator[tuple[int, AlertGate, FiringAlert]]:
    """Each that began late enough in this attempt, and is about its version or about none."""
    if draft.status.attempt is None or not draft.status.stable or draft.attempt.full_by:
        return
    for index, gate in enumerate(draft.seen.spec.analysis.alerts):
        for alert in draft.seen.alerts:
            if (
                gate.matches(alert.labels, alert.source)
                and _began_in_time(draft, gate, alert)
                and not _is_about_others(draft, alert)
            ):
                yield index, gate, alert


def _began_in_time(draft: Draft, gate: AlertGate, alert: FiringAlert) -> bool:
    if not gate.rolls_back or _names(alert, draft.status.canary):
        return _is_new(draft, alert)
    first_step = draft.attempt.clock.first_step
    return first_step is not None and alert.since >= first_step


def _is_new(draft: Draft, alert: FiringAlert) -> bool:
    return alert.since >= draft.attempt.clock.began


def _names(alert: FiringAlert, revision: str) -> bool:
    """A revision is a hash, and nothing else looks like it: in the name of a pod, a Service or a route as well."""
    return revision != "" and any(revision in value for value in alert.labels.values())


def _is_about_others(draft: Draft, alert: FiringAlert) -> bool:
    """About stable, or a version of before, and not about the canary."""
    others = (draft.status.stable, draft.status.baseline, draft.status.previous, *draft.seen.revisions)
    return not _names(alert, draft.status.canary) and any(_names(alert, one) for one in others)


class _NamesOfStable:
    """The names of alerts that fire for stable, whenever they began. Found once for each gate: a thousand alerts are
    not compared with each other.
    """

    def __init__(self, draft: Draft) -> None:
        self._canary = draft.status.canary
        self._alerts = [alert for alert in draft.seen.alerts if _is_about_stable(draft, alert)]
        self._of: dict[int, set[str]] = {}

    def have(self, gate: AlertGate, alert: FiringAlert) -> bool:
        """Whether the same alert fires for stable with other labels."""
        known = self._of.get(id(gate))
        if known is None:
            matching = (one for one in self._alerts if gate.matches(one.labels, one.source))
            known = self._of[id(gate)] = {_name(one) for one in matching}
        return _name(alert) in known and _names(alert, self._canary)


def _name(alert: FiringAlert) -> str:
    return alert.labels.get(_NAME, alert.name)


def _is_about_stable(draft: Draft, alert: FiringAlert) -> bool:
    of_stable = any(_names(alert, one) for one in (draft.status.stable, draft.status.baseline))
    return of_stable and not _names(alert, draft.status.canary)


def _sentence(draft: Draft, alert: FiringAlert) -> str:
    after = alert.since - draft.attempt.clock.began
    others = sum(_is_new(draft, one) for one in draft.seen.alerts) - 1
    which = f"alert {alert.name} fires" if others <= 0 else f"alerts fire: {alert.name} and {others} more"
    return f"{which}; it began {after:.0f} s after {draft.status.canary} did"


def _shortened(draft: Draft, alert: FiringAlert) -> FiringAlert:
    """With those of its labels that decide."""
    wanted = {_NAME} | {name for gate in draft.seen.spec.analysis.alerts for name in gate.match_labels}
    versions = [one for one in (draft.status.canary, draft.status.stable, draft.status.baseline) if one]
    naming = [name for name, value in alert.labels.items() if any(one in value for one in versions)]
    names = [*sorted(wanted & alert.labels.keys()), *sorted(set(naming) - wanted)][:_MOST_LABELS]
    return replace(alert, labels={name: alert.labels[name][:LONGEST_VALUE] for name in names})
