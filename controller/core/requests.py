"""What people ask for with a ReleaseAction: taken once, answered with a sentence."""

from __future__ import annotations

from controller.core.observation import Request
from controller.core.plan import Plan
from controller.core.stable import reject

_WAITS_FOR_A_PERSON = {"AwaitingApproval", "AwaitingTraffic", "Suspicious", "Unproven"}


def take_requests(plan: Plan) -> None:
    for request in plan.seen.requests:
        if request.uid in plan.status.handled:
            # the answer was lost after the status was written, which keeps the request from counting twice
            plan.answer(request.name, f"{request.action} taken", accepted=True)
            continue
        refusal = _refusal(plan, request)
        if refusal is not None:
            plan.answer(request.name, f"refused: {refusal}", accepted=False)
            continue
        plan.update(handled=(*plan.status.handled, request.uid))
        if request.action == "approve":
            plan.update(approved_by=request.by)
        else:
            why = f"aborted by {request.by}: {request.reason}" if request.reason else f"aborted by {request.by}"
            reject(plan, "Aborted", why)
        plan.answer(request.name, f"{request.action} taken", accepted=True)


def _refusal(plan: Plan, request: Request) -> str | None:
    """The first sentence that applies, or None when the request fits."""
    seen, status = plan.seen, plan.status
    reasons = [
        (request.action not in ("approve", "abort"), f"{request.action} is not known here"),
        (seen.deleting, "the release is being deleted"),
        (not status.canary or not status.stable, f"no release is under way (phase {status.phase})"),
        (
            request.revision != status.canary,
            f"it names revision {request.revision}, the canary is {status.canary}",
        ),
    ]
    if request.action == "approve":
        waits = status.reason in _WAITS_FOR_A_PERSON and status.step < len(seen.spec.steps)
        reasons += [
            (seen.spec.suspend, "the release is suspended"),
            (seen.target != status.canary, f"{seen.target} was asked for instead of {status.canary}"),
            (status.approved_by != "", f"it is already approved by {status.approved_by}"),
            (not waits, f"nothing waits for approval (phase {status.phase}, reason {status.reason})"),
        ]
    return next((sentence for applies, sentence in reasons if applies), None)
