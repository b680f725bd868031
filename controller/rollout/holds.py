"""Why no step goes on and no weight rises, though nothing is wrong with the canary: an ordered table, as `guards.py`.

Analysis and rollbacks go on meanwhile; clocks stand still.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout import baseline, contention, without_work
from controller.rollout.desired import Summary
from controller.rollout.draft import Draft
from controller.rollout.observation import MetricTrouble
from controller.rollout.traffic import WHOLE, preview_at

_ANSWERED_WITHIN_S = 10.0
"""Gateways were seen to answer within 0.2 s."""
_MOST_LOOKS = 24
"""Intervals since the attempt began: the looks before a switch, and some for what comes late."""
_LACKS_BEFORE = "the switch waits for some looks of stable, which the new version is compared with afterwards"
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
    for reason, find in ((Reason.CHANGED_BY_HAND, changed_by_hand), (Reason.ROUTE_NOT_ACCEPTED, not_accepted)):
        found = find(draft)
        if found:
            draft.stop_clock()
            return min(in_force, weight), Summary(Phase.WAITING, reason, found)
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
    left = _time_for_looks(draft) if weight >= WHOLE > in_force and draft.seen.lacks_before else 0.0
    if left > 0:
        draft.again(left)
        return in_force, Summary(Phase.PROGRESSING, Reason.ANALYZING, _LACKS_BEFORE)
    if draft.contended:
        draft.stop_clock()
        sentence = contention.sentence(draft.status.route_edits)
        return in_force, Summary(Phase.PROGRESSING, Reason.ROUTE_CONTENDED, sentence)
    return None


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
