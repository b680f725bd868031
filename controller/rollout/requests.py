"""What people ask for with a ReleaseAction, or by annotation: taken once, answered with a sentence.

Whoever wants less risk is heard first and at any time. What gives the new version more work is refused while the
release is paused or suspended: one person's stop is not undone by another's haste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.status import KEPT, Unproven
from controller.rollout.observation import Request
from controller.rollout.plan import Plan
from controller.rollout.stable import reject

_WAITS_FOR_A_PERSON = {"AwaitingApproval", "AwaitingTraffic", "Suspicious", "Unproven"}

Telling = tuple[str, str]
"""Reason and message of an event, told when the decision is complete: nothing goes before a rollback."""


def take_requests(plan: Plan) -> list[Telling]:
    told = list(_take_annotation(plan))
    unanswered = {request.uid for request in plan.seen.requests}
    for request in sorted(plan.seen.requests, key=lambda request: request.action != "abort"):
        if request.uid in plan.status.handled:
            # the answer was lost after the status was written, which keeps the request from counting twice
            plan.answer(request.name, f"{request.action} taken", accepted=True)
            continue
        kind = _KINDS.get(request.action)
        refusal = f"{request.action} is not known here" if kind is None else _refusal(plan, request, kind)
        if kind is None or refusal is not None:
            plan.answer(request.name, f"refused: {refusal}", accepted=False)
            continue
        full = len(unanswered.intersection(plan.status.handled)) >= KEPT
        if full and request.action != "abort":
            plan.again(0)  # all that can be remembered still waits for its answer
            continue
        if not full:
            _remember(plan, request.uid, unanswered)
        sentence = kind.take(plan, request)
        plan.answer(request.name, sentence, accepted=True)
        if kind.event:
            told.append((kind.event, f"{sentence} ({request.whose})"))
    if plan.status.full_by:
        # also when steps were added meanwhile
        plan.update(step=len(plan.seen.spec.steps))
    return told


def _remember(plan: Plan, uid: str, unanswered: set[str]) -> None:
    handled = [*plan.status.handled, uid]
    while len(handled) > KEPT:
        handled.remove(next(one for one in handled if one not in unanswered))
    plan.update(handled=tuple(handled))


def _take_annotation(plan: Plan) -> Iterator[Telling]:
    """In a manifest it stays there, so it counts when it is new, and not again when that version falls once more."""
    asked = plan.seen.retry
    if asked == plan.status.retry_seen:
        return
    plan.update(retry_seen=asked)
    if plan.status.is_rejected(asked):
        yield "Retry", _clear(plan, asked)


# -- what each of them does ----------------------------------------------------------------------------------------


def _approve(plan: Plan, request: Request) -> str:
    plan.update(approved_by=request.by)
    return "approve taken"


def _skip(plan: Plan, request: Request) -> str:
    index = plan.status.step
    sentence = f"step {index + 1}/{len(plan.seen.spec.steps)} skipped, {_left_open(plan)}"
    _leave_unproven(plan, f"skipped by {request.whose}; {_left_open(plan)}")
    plan.enter_step(index + 1)
    return sentence


def _promote(plan: Plan, request: Request) -> str:
    sentence = f"judging ends, everything goes to {plan.status.canary}; {_left_open(plan)}"
    if plan.status.step < len(plan.seen.spec.steps):
        _leave_unproven(plan, f"promoted in full by {request.whose}; {_left_open(plan)}")
    plan.enter_step(len(plan.seen.spec.steps), full_by=request.whose)
    return sentence


def _abort(plan: Plan, request: Request) -> str:
    reject(plan, "Aborted", f"aborted by {request.whose}")
    return "abort taken"


def _rollback(plan: Plan, request: Request) -> str:
    older = request.to or plan.status.previous
    why = f"rolled back by {request.whose}"[:1024]
    plan.update(returning=older, returning_why=why, returning_since=plan.now)
    return f"going back from {plan.status.stable} to {older}: its pods first, then the work"


def _pause(plan: Plan, request: Request) -> str:
    plan.update(paused_by=request.whose, paused_since=plan.now)
    return f"paused at {plan.status.weight:g} %: steps stand still, looks and rollbacks go on"


def _resume(plan: Plan, request: Request) -> str:
    del request
    since, started = plan.status.paused_since, plan.status.step_started
    if since is not None and started is not None:
        started = min(plan.now, started + plan.now - max(since, started))
    plan.update(paused_by="", paused_since=None, step_started=started)
    return "resumed: the clock of the step goes on where it stood"


def _retry(plan: Plan, request: Request) -> str:
    return _clear(plan, request.revision)


def _clear(plan: Plan, revision: str) -> str:
    plan.update(rejected=tuple(one for one in plan.status.rejected if one.revision != revision))
    if revision == plan.seen.target:
        return f"{revision} is no longer rejected: it comes out again from step one, judged from nothing"
    return f"{revision} is no longer rejected: it comes out when the spec asks for it"


def _left_open(plan: Plan) -> str:
    """What nobody has proven, as far as looks have come."""
    seen = plan.seen
    if not seen.spec.analysis.metrics:
        return "unproven: no metric is compared"
    if seen.evidence.proven:
        return "proven no worse so far"
    nearest, bounds = seen.evidence.nearest, seen.evidence.not_excluded()
    counts = nearest.sentence() if nearest is not None else "nothing was seen"
    return f"unproven: {counts} ({bounds})" if bounds else f"unproven: {counts}"


def _leave_unproven(plan: Plan, message: str) -> None:
    plan.update(unproven=(*plan.status.unproven, Unproven(plan.status.step, message[:1024])))


def settle_paused(plan: Plan) -> None:
    status = plan.status
    where = f"step {min(status.step + 1, status.steps)}/{status.steps}"
    plan.settle(Phase.PAUSED, "PausedByPerson", f"{where}: paused by {status.paused_by}; looks and rollbacks go on")


# -- what does not fit ---------------------------------------------------------------------------------------------

Reasons = Iterator[tuple[bool, str]]


def _refusal(plan: Plan, request: Request, kind: _Kind) -> str | None:
    """The first sentence that applies, or None when the request fits."""
    if plan.seen.deleting:
        return "the release is being deleted"
    return next((sentence for check in kind.fits for applies, sentence in check(plan, request) if applies), None)


def _under_way(plan: Plan, request: Request) -> Reasons:
    status = plan.status
    alone = status.canary != "" and status.weight > 0 and not status.stable
    yield alone, f"{status.canary} is the first version: there is none beside it to give its work to"
    yield from _on_trial(plan, request)


def _on_trial(plan: Plan, request: Request) -> Reasons:
    """Beside stable, or as the first version, which is judged by its limits alone."""
    status = plan.status
    on_trial = status.canary and (status.stable or status.weight > 0)
    yield not on_trial, f"no release is under way (phase {status.phase})"
    named = f"it names revision {request.revision}, the canary is {status.canary}"
    yield request.revision != status.canary, named


def _not_held(plan: Plan, request: Request) -> Reasons:
    del request
    seen, status = plan.seen, plan.status
    yield seen.spec.suspend, "the release is suspended"
    yield seen.target != status.canary, f"{seen.target} was asked for instead of {status.canary}"
    yield status.paused_by != "", f"it is paused by {status.paused_by}; resume it first"
    yield status.full_by != "", f"everything is on its way to {status.canary} already, by {status.full_by}"


def _awaits_approval(plan: Plan, request: Request) -> Reasons:
    del request
    status = plan.status
    yield status.approved_by != "", f"it is already approved by {status.approved_by}"
    waits = status.reason in _WAITS_FOR_A_PERSON and status.step < len(plan.seen.spec.steps)
    yield not waits, f"nothing waits for approval (phase {status.phase}, reason {status.reason})"


def _has_a_step(plan: Plan, request: Request) -> Reasons:
    del request
    yield plan.status.step >= len(plan.seen.spec.steps), "all steps are done"


def _not_convicted(plan: Plan, request: Request) -> Reasons:
    del request
    guilty = plan.seen.evidence.regression
    # nobody but the first version could do the work, so a person may take it as it is
    yield (
        guilty is not None and plan.status.stable != "",
        f"it has just been found bad: {guilty.sentence() if guilty else ''}",
    )


def _not_paused(plan: Plan, request: Request) -> Reasons:
    del request
    yield plan.status.paused_by != "", f"it is already paused by {plan.status.paused_by}"


def _is_paused(plan: Plan, request: Request) -> Reasons:
    del request
    yield plan.status.paused_by == "", f"nobody has paused it (phase {plan.status.phase})"


def _was_rejected(plan: Plan, request: Request) -> Reasons:
    rejected = ", ".join(one.revision for one in reversed(plan.status.rejected)) or "none"
    yield not plan.status.is_rejected(request.revision), f"{request.revision} is not rejected (rejected: {rejected})"


def _can_go_back(plan: Plan, request: Request) -> Reasons:
    status, older = plan.status, request.to or plan.status.previous
    others = [one for one in plan.seen.kept if one != status.stable and not status.is_rejected(one)]
    kept = f"kept are: {', '.join(others) or 'none'}"
    yield not status.stable, f"nothing is stable yet (phase {status.phase})"
    yield status.canary != "", f"a release of {status.canary} is under way: abort it first"
    yield status.returning != "", f"it is already going back to {status.returning}"
    yield request.revision != status.stable, f"it names revision {request.revision}, stable is {status.stable}"
    yield older == "", f"no version was stable before {status.stable}; name one, {kept}"
    yield older == status.stable, f"{older} is stable already"
    yield status.is_rejected(older), f"{older} is rejected: retry it first"
    yield older not in plan.seen.kept, f"{older} is not kept any more (spec.revisionHistoryLimit); {kept}"


@dataclass(frozen=True)
class _Kind:
    event: str
    """Empty where what follows tells of it."""
    take: Callable[[Plan, Request], str]
    fits: tuple[Callable[[Plan, Request], Reasons], ...]


_KINDS: Mapping[str, _Kind] = {
    "approve": _Kind("", _approve, (_under_way, _not_held, _awaits_approval)),
    "skip": _Kind("Skipped", _skip, (_under_way, _not_held, _has_a_step)),
    "promote": _Kind("FullPromotion", _promote, (_on_trial, _not_held, _not_convicted)),
    "abort": _Kind("", _abort, (_under_way,)),
    "rollback": _Kind("RollbackAsked", _rollback, (_can_go_back,)),
    "pause": _Kind("PausedByPerson", _pause, (_under_way, _not_paused)),
    "resume": _Kind("Resumed", _resume, (_under_way, _is_paused)),
    "retry": _Kind("Retry", _retry, (_was_rejected,)),
}
