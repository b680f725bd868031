"""Why no step goes on and no weight rises, though nothing is wrong with the canary: an ordered table, as `guards.py`.

Analysis and rollbacks go on meanwhile; clocks stand still.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout import alerts, baseline, contention, without_work
from controller.rollout.bake import bake_weight
from controller.rollout.desired import Summary
from controller.rollout.draft import Draft
from controller.rollout.observation import MetricTrouble
from controller.rollout.preview import is_mirror
from controller.rollout.step import ROUNDING_S
from controller.rollout.traffic import WHOLE, preview_at

_ANSWERED_WITHIN_S = 10.0
"""Gateways were seen to answer within 0.2 s."""
_MOST_LOOKS = 24
"""Intervals since the attempt began: the looks before a switch, and some for what comes late."""
_LACKS_BEFORE = "the switch waits for some looks of stable, which the new version is compared with afterwards"
_LAST_LOOKS = "the switch waits for the last look at what has reached the new version"
_LOOKED_AT_AGAIN_S = 15.0


def held(draft: Draft, weight: float) -> tuple[float, Summary] | None:
    """The weight that stays in force, and what is waited for. `weight`: what the step asks for, in percent."""
    attempt, in_force = draft.attempt, draft.in_force
    stands = attempt.paused_by != "" or draft.contended
    trouble = draft.seen.metric_trouble or baseline.lost(draft)
    watched = in_force if stands else weight
    judged = (watched > 0 or without_work.judges(draft)) and (stands or not attempt.full_by)
    if trouble is not None and judged:
        return out_of_sight(draft, trouble, watched)
    if draft.seen.analysis_pending and judged:
        message = "waiting for the first answer of the metrics"
        return min(in_force, watched), Summary(Phase.PROGRESSING, Reason.ANALYZING, message)
    if attempt.paused_by:
        # the pause has a clock of its own, which is made up for when it ends
        draft.update_clock(held_since=None)
        return in_force, paused(draft)
    obstacle = _obstacle(draft)
    if obstacle is not None:
        draft.stop_clock()
        return min(in_force, weight), obstacle
    starting = baseline.lacking(draft, weight)
    if starting is not None:
        if attempt.clock.step_entered is not None:
            draft.stop_clock()
        return min(in_force, weight), starting
    preview = preview_at(draft, draft.status.step) if weight == 0 else None
    if preview is not None and draft.seen.preview_refused:
        draft.stop_clock()
        message = f"the {preview.reach.noun}: {draft.seen.preview_refused}"
        return 0.0, Summary(Phase.WAITING, Reason.ROUTE_NOT_ACCEPTED, message)
    if preview is not None and preview != draft.seen.preview:
        message = f"the {preview.reach.noun} is led to the new version"
        return 0.0, Summary(Phase.PROGRESSING, draft.words.starting, message)
    looks = _looks_awaited(draft) if weight >= WHOLE > in_force else None
    looks = looks or _end_unseen(draft)
    if looks is not None:
        return in_force, looks
    if draft.contended:
        draft.stop_clock()
        sentence = contention.sentence(draft.status.route_edits)
        return in_force, Summary(Phase.PROGRESSING, Reason.ROUTE_CONTENDED, sentence)
    return None


def _looks_awaited(draft: Draft) -> Summary | None:
    """Before all of the work moves."""
    unseen, left = _preview_unseen(draft), _time_for_looks(draft) if draft.seen.lacks_before else 0.0
    if unseen is not None or left <= 0:
        return unseen
    draft.again(left)
    return Summary(Phase.PROGRESSING, Reason.ANALYZING, _LACKS_BEFORE)


def _preview_unseen(draft: Draft) -> Summary | None:
    """What reached the new version before its switch is looked at to the end: its record ends with the switch."""
    seen, attempt = draft.seen, draft.attempt
    if not seen.spec.strategy.switches or attempt.switched or attempt.full_by or not attempt.run:
        return None
    passed = max(attempt.clock.step_entered or 0.0, draft.status.weight_since or 0.0)
    if seen.awaited_until is not None and seen.awaited_until < passed - ROUNDING_S:
        return _mirror_stays(draft) or Summary(Phase.PROGRESSING, Reason.ANALYZING, _LAST_LOOKS)
    suspicion, skipped = seen.evidence.held_back, attempt.step >= len(seen.spec.steps)
    if suspicion is None or attempt.approved_by or skipped:
        return None
    draft.update_attempt(awaits_person=True)
    return Summary(Phase.WAITING, Reason.SUSPICIOUS, f"not switched: {suspicion.sentence()}")


def _end_unseen(draft: Draft) -> Summary | None:
    """The last step of a canary is looked at to its end. The steps that nobody writes see to that themselves."""
    seen, attempt, steps = draft.seen, draft.attempt, draft.seen.spec.steps
    written = steps and not seen.spec.strategy.switches and bake_weight(steps) is None
    if not written or attempt.step < len(steps) or attempt.full_by:
        return None
    passed = attempt.clock.step_entered or 0.0
    if seen.awaited_until is not None and seen.awaited_until < passed - ROUNDING_S:
        message = f"all steps are done; waiting for the last look at {attempt.canary}"
        return Summary(Phase.PROMOTING, Reason.ANALYZING, message)
    suspicion = seen.evidence.held_back
    if suspicion is None or attempt.approved_by or any(one.step == len(steps) - 1 for one in draft.status.unproven):
        return None
    draft.update_attempt(awaits_person=True)
    return Summary(Phase.WAITING, Reason.SUSPICIOUS, f"not promoted: {suspicion.sentence()}")


def _mirror_stays(draft: Draft) -> Summary | None:
    """No look can be the last one before the router has ended them."""
    refused = draft.seen.preview_refused if is_mirror(draft.seen.preview) else ""
    if not refused:
        return None
    draft.announce("PreviewRefused", refused)
    message = f"the switch waits until the router ends the copies: {refused}"
    return Summary(Phase.WAITING, Reason.ROUTE_NOT_ACCEPTED, message)


def _obstacle(draft: Draft) -> Summary | None:
    for reason, find in ((Reason.CHANGED_BY_HAND, changed_by_hand), (Reason.ROUTE_NOT_ACCEPTED, not_accepted)):
        found = find(draft)
        if found:
            return Summary(Phase.WAITING, reason, found)
    alert = alerts.awaited(draft)
    if alert is None:
        return None
    draft.announce(alert.reason, alert.message)
    return Summary(Phase.WAITING, alert.reason, alert.message)


def _time_for_looks(draft: Draft) -> float:
    """Seconds. An idle service is switched all the same."""
    return draft.attempt.clock.began + _MOST_LOOKS * draft.seen.spec.analysis.interval - draft.now


def changed_by_hand(draft: Draft) -> str:
    """What nobody has judged serves as one of the versions, until it is put back and its pods are gone."""
    status = draft.status
    for revision in (status.canary, status.baseline, status.stable):
        edited = draft.seen.state(revision).edited if revision else ""
        if edited:
            return f"{edited} was changed by hand. It is put back, and the weight does not rise until its pods are too."
    return ""


def not_accepted(draft: Draft) -> str:
    """Why no request follows the route, as its Gateway says, or does not say within seconds."""
    seen = draft.seen
    if seen.route_refused and seen.route_held is not None:
        draft.again(_LOOKED_AT_AGAIN_S)  # no watch shows a route of somebody else's that is not split
    if seen.route_refused or not seen.route_unanswered:
        return seen.route_refused
    left = seen.route_written_at + _ANSWERED_WITHIN_S - draft.now
    draft.again(left if left > 0 else _LOOKED_AT_AGAIN_S)
    return "" if left > 0 else seen.route_unanswered


def caps(draft: Draft) -> bool:
    """Whether no more pods may come either: by pod count they are more work."""
    attempt = draft.attempt
    unwatched = draft.seen.metric_trouble is not None and draft.status.weight > 0 and not attempt.full_by
    return unwatched or attempt.paused_by != "" or draft.contended


def paused(draft: Draft) -> Summary:
    status = draft.status
    where = f"step {min(status.step + 1, status.steps)}/{status.steps}"
    message = f"{where}: paused by {status.paused_by}; analysis and rollbacks go on"
    return Summary(Phase.PAUSED, Reason.PAUSED_BY_PERSON, message)


def out_of_sight(draft: Draft, trouble: MetricTrouble, weight: float) -> tuple[float, Summary]:
    """The metrics are out, or cannot be trusted: nobody is blamed."""
    draft.stop_clock()
    draft.announce(trouble.reason, trouble.message)
    outage, left = draft.seen.spec.analysis.on_outage, 0.0
    held_since = draft.attempt.clock.held_since
    if held_since is not None:
        left = held_since + outage.wait_at_most - draft.now
    to_stable = outage.to_stable and draft.status.stable != "" and weight > 0
    if to_stable and left <= 0:
        # a step that went by without being watched for so long is entered again
        draft.update_attempt(step=max(0, min(draft.attempt.step, len(draft.seen.spec.steps) - 1)))
        message = f"{trouble.message}; {draft.status.canary} gets no work until the data are back"
        return 0.0, Summary(Phase.WAITING, trouble.reason, message)
    draft.again(left if to_stable else None)
    return min(weight, draft.in_force), Summary(Phase.WAITING, trouble.reason, trouble.message)
