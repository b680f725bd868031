"""The spec asks for another router: the new one serves stable before the old one is left.

Two routers are never asked to split the same work: the canary gives its share up, and gets it back from the new one.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.actions import LeaveRouter, TakeOver
from controller.rollout.desired import Desired, Pods, Summary
from controller.rollout.draft import Draft
from controller.rollout.traffic import ROUTER_FOLLOWS_S, WHOLE

_SEEN_AGAIN_S = 0.5
_TRIED_AGAIN_S = 5.0
_GIVEN_UP_S = 600.0
"""After so long an old router that does not answer, such as a ledger whose table was deleted, is left as it is."""


def other_router(draft: Draft) -> str | None:
    """The router in the spec, if another one has the traffic."""
    seen = draft.seen
    if not draft.status.router:
        draft.update(router=seen.spec_router)
    return seen.spec_router if seen.spec_router != draft.status.router else None


def hand_over(draft: Draft, wanted: str) -> Desired | None:
    """What should be until the new router has the traffic."""
    seen, status = draft.seen, draft.status
    serving = status.stable or (status.canary if seen.weights else "")
    if draft.status.attempt is not None and status.on_trial:
        draft.stop_clock()
    first = f"; first {serving} serves all of it" if serving else ""
    message = f"traffic moves from {status.router} to {wanted}{first}"
    summary = Summary(Phase.PROGRESSING, Reason.ROUTER_CHANGED, message)
    if status.router_beside in ("", wanted):
        draft.update(router_beside=wanted)
        takes_it = not serving or (seen.weights_beside == {serving: WHOLE} and not seen.not_accepted_beside)
        if _serves_alone(seen.weights, serving) and takes_it:
            draft.update(router=wanted, router_beside=status.router, weight=_weight(draft), weight_since=draft.now)
            draft.update(weight_pending=False, previews=False)  # it goes with the router that is left
            draft.event(Reason.ROUTER_CHANGED, f"{wanted} has the traffic; {status.router} is left")
            draft.again(0)
            return Desired(summary, hands_off=True)
        if seen.not_accepted_beside:
            summary = Summary(Phase.WAITING, Reason.ROUTE_NOT_ACCEPTED, seen.not_accepted_beside)
    if seen.trouble_beside:
        summary = Summary(Phase.WAITING, Reason.ROUTER_REFUSED, f"{wanted}: {seen.trouble_beside}")
    draft.again(_TRIED_AGAIN_S if seen.trouble_beside else _SEEN_AGAIN_S)
    if _grows(draft):
        return Desired(summary, pods={serving: Pods(seen.spec.replicas)}, service=serving, preview=draft.seen.preview)
    has_route = serving != "" and seen.weights is not None
    return Desired(
        summary,
        weight=_weight(draft) if has_route else None,
        pods={serving: Pods(seen.spec.replicas)} if serving else {},
        service=serving,
        preview=draft.seen.preview,
        taken_over=serving if status.router_beside in ("", wanted) else "",
    )


def _grows(draft: Draft) -> bool:
    """Stable was shrunk beside a canary that serves: it gets its pods before it gets the canary's work."""
    seen, status = draft.seen, draft.status
    if not status.stable or not status.canary or draft.attempt.clock.held_since is None:
        return False
    in_time = draft.now < draft.attempt.clock.held_since + seen.spec.progress_deadline
    canary, stable = seen.state(status.canary), seen.state(status.stable)
    works = (seen.weights or {}).get(status.canary, 0) > 0 and canary.serving > 0 and canary.trouble is None
    return works and in_time and stable.serving < seen.spec.replicas


def _weight(draft: Draft) -> float:
    return 0.0 if draft.status.stable or not draft.seen.weights else WHOLE


def _serves_alone(weights: Mapping[str, float] | None, revision: str) -> bool:
    return all(one == revision for one, share in (weights or {}).items() if share > 0)


def _wait_to_leave(draft: Draft, other: str) -> list[TakeOver | LeaveRouter]:
    """It does not answer, and has no traffic: nothing waits for it but its own object."""
    seen, since = draft.seen, draft.status.weight_since or 0.0
    if draft.now - since > _GIVEN_UP_S:
        draft.event("RouterNotLeft", f"{other} could not be left: {seen.trouble_beside}", warning=True)
        draft.update(router_beside="")
    else:
        draft.again(_TRIED_AGAIN_S)
    return []


def actions(draft: Draft, desired: Desired) -> list[TakeOver | LeaveRouter]:
    """What is done at the other router. That it is left is seen by the next decision."""
    seen, status = draft.seen, draft.status
    if desired.taken_over and not seen.trouble_beside:
        alone = _serves_alone(seen.weights, desired.taken_over)
        return [TakeOver(desired.taken_over)] if alone else []
    before = seen.status
    other = before.router_beside
    if not other or desired.hands_off or seen.deleting or other in (seen.spec_router, status.router):
        return []
    if seen.left_beside:
        draft.update(router_beside="")
        draft.again(0)
        return []
    if seen.trouble_beside:
        return _wait_to_leave(draft, other)
    left = (status.weight_since or 0.0) + ROUTER_FOLLOWS_S - draft.now
    if left > 0:
        draft.again(left)
        return []
    draft.again(0)
    return [LeaveRouter(status.stable or status.canary)]
