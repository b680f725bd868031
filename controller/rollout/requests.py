"""What people ask for with a ReleaseAction, or by annotation: taken once, answered with a sentence.

Whoever wants less risk is heard first and at any time. What gives the new version more work is refused while the
release is paused or suspended: one person's stop is not undone by another's haste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from controller.api.names import RETRY
from controller.api.status import KEPT, ManualRollback, Unproven
from controller.rollout.adoption import is_adopting
from controller.rollout.draft import Draft
from controller.rollout.git_rollback import bring_back_in_git
from controller.rollout.observation import Request
from controller.rollout.rejection import reject
from controller.rollout.sizing import Sizing


def take_requests(draft: Draft) -> None:
    _take_annotation(draft)
    unanswered = {request.uid for request in draft.seen.requests}
    for request in sorted(draft.seen.requests, key=lambda request: request.action != "abort"):
        if request.uid in draft.status.handled:
            # the answer was lost after the status was written, which keeps the request from counting twice
            draft.answer(request.name, f"{request.action} taken", accepted=True)
            continue
        kind = _KINDS.get(request.action)
        refusal = f"unknown action {request.action}" if kind is None else _refusal(draft, request, kind)
        if kind is None or refusal is not None:
            draft.answer(request.name, f"refused: {refusal}", accepted=False)
            continue
        full = len(unanswered.intersection(draft.status.handled)) >= KEPT
        if full and request.action != "abort":
            draft.again(0)  # all that can be remembered still waits for its answer
            continue
        if not full:
            _remember(draft, request.uid, unanswered)
        sentence = kind.take(draft, request)
        draft.answer(request.name, sentence, accepted=True)
        if kind.event:
            draft.event(kind.event, f"{sentence} ({request.whose})")
    if draft.status.full_by:
        # also when steps were added meanwhile
        draft.update_attempt(step=len(draft.seen.spec.steps))


def _remember(draft: Draft, uid: str, unanswered: set[str]) -> None:
    handled = [*draft.status.handled, uid]
    while len(handled) > KEPT:
        handled.remove(next(one for one in handled if one not in unanswered))
    draft.update(handled=tuple(handled))


def _take_annotation(draft: Draft) -> None:
    """In a manifest it stays there, so it counts when it is new, and not again when that version falls once more."""
    wanted = draft.seen.retry
    if wanted == draft.status.retry_seen:
        return
    draft.update(retry_seen=wanted)
    if draft.status.is_rejected(wanted):
        draft.event("Retry", _clear(draft, wanted, f"annotation {RETRY}"))
    elif wanted:
        message = f"annotation {RETRY}: {wanted!r} is not a rejected revision, so nothing is tried again"
        draft.event("RetryWithoutEffect", message, warning=True)


# -- what each of them does ----------------------------------------------------------------------------------------


def _approve(draft: Draft, request: Request) -> str:
    draft.update_attempt(approved_by=request.by)
    return "approve taken"


def _skip(draft: Draft, request: Request) -> str:
    index = draft.status.step
    sentence = f"step {index + 1}/{len(draft.seen.spec.steps)} skipped, {_left_open(draft)}"
    _leave_unproven(draft, f"skipped by {request.whose}; {_left_open(draft)}")
    draft.enter_step(index + 1)
    return sentence


def _promote(draft: Draft, request: Request) -> str:
    sentence = f"analysis ends; everything goes to {draft.status.canary}; {_left_open(draft)}"
    if draft.status.step < len(draft.seen.spec.steps):
        _leave_unproven(draft, f"promoted in full by {request.whose}; {_left_open(draft)}")
    draft.enter_step(len(draft.seen.spec.steps))
    draft.update_attempt(full_by=request.whose)
    return sentence


def _abort(draft: Draft, request: Request) -> str:
    canary = draft.status.canary
    reject(draft, "Aborted", f"aborted by {request.whose}")
    draft.hard_stop |= request.hard
    return f"abort taken; jobs that {canary} works on are stopped" if request.hard else "abort taken"


def _rollback(draft: Draft, request: Request) -> str:
    older = request.to or draft.status.previous
    why = f"rolled back by {request.whose}"[:1024]
    draft.update(going_back=ManualRollback(older, why, draft.now))
    return f"rolling back from {draft.status.stable} to {older}: first its pods, then the traffic"


def _pause(draft: Draft, request: Request) -> str:
    draft.update_attempt(paused_by=request.whose)
    draft.update_clock(paused_since=draft.now)
    return f"paused at {draft.status.weight:g} %: steps wait; looks and rollbacks go on"


def _resume(draft: Draft, request: Request) -> str:
    del request
    since, started = draft.attempt.clock.paused_since, draft.attempt.clock.step_started
    if since is not None and started is not None:
        started = min(draft.now, started + draft.now - max(since, started))
    draft.update_attempt(paused_by="")
    draft.update_clock(paused_since=None, step_started=started)
    return "resumed; the step's clock continues"


def _retry(draft: Draft, request: Request) -> str:
    return _clear(draft, request.revision, request.whose)


def _clear(draft: Draft, revision: str, by: str) -> str:
    bring_back_in_git(draft, revision, by)
    draft.update(rejected=tuple(one for one in draft.status.rejected if one.revision != revision))
    if revision == draft.seen.target:
        return f"{revision} is no longer rejected; it starts again at step one with no evidence"
    return f"{revision} is no longer rejected; it is rolled out when the spec has it"


def _left_open(draft: Draft) -> str:
    """What nobody has proven, as far as looks have come."""
    seen = draft.seen
    if not seen.spec.analysis.judging:
        return "unproven: no metric is compared"
    if seen.evidence.proven:
        return "proven no worse so far"
    nearest, bounds = seen.evidence.nearest, seen.evidence.not_excluded()
    counts = nearest.sentence() if nearest is not None else "nothing was seen"
    return f"unproven: {counts} ({bounds})" if bounds else f"unproven: {counts}"


def _leave_unproven(draft: Draft, message: str) -> None:
    draft.update(unproven=(*draft.status.unproven, Unproven(draft.status.step, message[:1024])))


# -- what does not fit ---------------------------------------------------------------------------------------------

Reasons = Iterator[tuple[bool, str]]


def _refusal(draft: Draft, request: Request, kind: _Kind) -> str | None:
    """The first sentence that applies, or None when the request fits."""
    if draft.seen.deleting:
        return "the release is being deleted"
    return next((sentence for check in kind.fits for applies, sentence in check(draft, request) if applies), None)


def _under_way(draft: Draft, request: Request) -> Reasons:
    status = draft.status
    alone = status.canary != "" and status.weight > 0 and not status.stable
    yield alone, f"{status.canary} is the first version; there is no other version to move its traffic to"
    yield from _on_trial(draft, request)


def _can_abort(draft: Draft, request: Request) -> Reasons:
    """While the first version takes the work over, there is something to give it back to."""
    if is_adopting(draft) and draft.status.canary:
        yield from _is_meant(draft, request)
    else:
        yield from _under_way(draft, request)


def _on_trial(draft: Draft, request: Request) -> Reasons:
    """Beside stable, or as the first version, which is judged by its limits alone."""
    status = draft.status
    on_trial = status.canary and (status.stable or status.weight > 0)
    yield not on_trial, f"no rollout is in progress (phase {status.phase})"
    yield from _is_meant(draft, request)


def _is_meant(draft: Draft, request: Request) -> Reasons:
    canary = draft.status.canary
    named = f"it is for revision {request.revision}, but the {draft.words.trial} is {canary}"
    yield request.revision != canary, named


def _can_stop_hard(draft: Draft, request: Request) -> Reasons:
    routed = request.hard and draft.seen.sizing is not Sizing.BY_CLAIMS
    yield routed, "only the jobs of a queue can be stopped (spec.traffic.queue); abort without hard"


def _not_held(draft: Draft, request: Request) -> Reasons:
    del request
    seen, status = draft.seen, draft.status
    yield seen.spec.suspend, "the release is suspended"
    yield seen.target != status.canary, f"{status.canary} is superseded by {seen.target}"
    yield status.paused_by != "", f"it is paused by {status.paused_by}; resume it first"
    yield status.full_by != "", f"{status.full_by} has already promoted {status.canary}"


def _awaits_approval(draft: Draft, request: Request) -> Reasons:
    del request
    status, attempt = draft.status, draft.attempt
    yield attempt.approved_by != "", f"it is already approved by {attempt.approved_by}"
    yield not attempt.awaits_person, f"nothing waits for approval (phase {status.phase}, reason {status.reason})"


def _has_a_step(draft: Draft, request: Request) -> Reasons:
    del request
    yield draft.status.step >= len(draft.seen.spec.steps), "all steps are done"


def _no_regression(draft: Draft, request: Request) -> Reasons:
    del request
    regression = draft.seen.evidence.regression
    # nobody but the first version could do the work, so a person may take it as it is
    yield (
        regression is not None and draft.status.stable != "",
        f"a regression was just found: {regression.sentence() if regression else ''}",
    )


def _not_paused(draft: Draft, request: Request) -> Reasons:
    del request
    yield draft.status.paused_by != "", f"it is already paused by {draft.status.paused_by}"


def _is_paused(draft: Draft, request: Request) -> Reasons:
    del request
    yield draft.status.paused_by == "", "no person has paused it"


def _was_rejected(draft: Draft, request: Request) -> Reasons:
    rejected = ", ".join(one.revision for one in reversed(draft.status.rejected)) or "none"
    yield not draft.status.is_rejected(request.revision), f"{request.revision} is not rejected (rejected: {rejected})"


def _can_roll_back(draft: Draft, request: Request) -> Reasons:
    status, older = draft.status, request.to or draft.status.previous
    others = [one for one in draft.seen.kept if one != status.stable and not status.is_rejected(one)]
    kept = f"kept are: {', '.join(others) or 'none'}"
    yield not status.stable, f"nothing is stable yet (phase {status.phase})"
    yield status.canary != "", f"a rollout of {status.canary} is in progress; abort it first"
    going_back = "" if status.going_back is None else status.going_back.to
    yield going_back != "", f"it is already rolling back to {going_back}"
    yield request.revision != status.stable, f"it is for revision {request.revision}, but stable is {status.stable}"
    yield older == "", f"no version was stable before {status.stable}; name one, {kept}"
    yield older == status.stable, f"{older} is stable already"
    yield status.is_rejected(older), f"{older} is rejected; retry it first"
    yield older not in draft.seen.kept, f"{older} is no longer kept (spec.revisionHistoryLimit); {kept}"


@dataclass(frozen=True)
class _Kind:
    event: str
    """Empty where what follows tells of it."""
    take: Callable[[Draft, Request], str]
    fits: tuple[Callable[[Draft, Request], Reasons], ...]


_KINDS: Mapping[str, _Kind] = {
    "approve": _Kind("", _approve, (_under_way, _not_held, _awaits_approval)),
    "skip": _Kind("Skipped", _skip, (_under_way, _not_held, _has_a_step)),
    "promote": _Kind("FullPromotion", _promote, (_on_trial, _not_held, _no_regression)),
    "abort": _Kind("", _abort, (_can_abort, _can_stop_hard)),
    "rollback": _Kind("RollbackAsked", _rollback, (_can_roll_back,)),
    "pause": _Kind("PausedByPerson", _pause, (_under_way, _not_paused)),
    "resume": _Kind("Resumed", _resume, (_under_way, _is_paused)),
    "retry": _Kind("Retry", _retry, (_was_rejected,)),
}
