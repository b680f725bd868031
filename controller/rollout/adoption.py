"""Arriving: a first version takes over the work of a Deployment that is not ours, and gives it back if it must.

The Deployment keeps its pods until the first version is stable: until then an abort, a deletion, or a version that
breaks a limit costs nothing but moving Service, route and autoscaler back.
"""

from __future__ import annotations

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.rollout.desired import Desired, Summary
from controller.rollout.draft import Draft
from controller.rollout.rejection import reject

AGAIN_S = 15.0
"""No watch shows the objects of somebody else."""


def refused(draft: Draft) -> str | None:
    """Known before work is given."""
    adoption = draft.seen.adoption
    return adoption.refused if adoption is not None and adoption.refused and not draft.status.stable else None


def say_why(draft: Draft, why: str) -> Desired:
    draft.announce(Reason.ADOPTION_REFUSED, why)
    draft.again(AGAIN_S)
    return Desired(Summary(Phase.WAITING, Reason.ADOPTION_REFUSED, why), hands_off=True)


def is_adopting(draft: Draft) -> bool:
    """The work can still be given back: nothing of it is stable yet."""
    return draft.seen.adoption is not None and not draft.status.stable


def size(draft: Draft) -> int:
    """Of the first version: at least that of what it takes the work from."""
    adoption, replicas = draft.seen.adoption, draft.seen.spec.replicas
    return replicas if adoption is None else max(replicas, adoption.replicas)


def note(draft: Draft) -> None:
    """What the status remembers of it."""
    adopt, adoption = draft.seen.spec.adopt, draft.seen.adoption
    if adopt is None or draft.seen.deleting:
        return
    if adoption is None:
        _say_that_it_is_too_late(draft, adopt.deployment)
    elif not draft.status.stable:
        draft.update(adopts=adopt.deployment)
        draft.again(AGAIN_S)
    elif not adoption.replicas:
        draft.update(adopts="", adopted=adopt.deployment)
        draft.event("Adopted", f"Deployment {adopt.deployment} has no pods any longer, and is kept")


def _say_that_it_is_too_late(draft: Draft, deployment: str) -> None:
    """It stays in the manifest of a Release that adopted, and says nothing there."""
    status = draft.status
    if status.stable and status.adopted != deployment:
        why = (
            f"spec.adopt has no effect: {status.stable} is stable already, and Deployment {deployment} stays as it is. "
            "Leave spec.adopt out, or adopt it with a Release of its own."
        )
        draft.announce("AdoptionIgnored", why, about=deployment)


def given_back(summary: Summary, *, finalize: bool = False) -> Desired:
    return Desired(
        summary,
        kept=frozenset(),
        hands_off=True,
        gives_back=True,
        finalize=finalize,
        unfinished=None if finalize else Summary(Phase.ROLLING_BACK, summary.reason, summary.message),
    )


def rejected(draft: Draft) -> Desired | None:
    """What was adopted does the work again, once its successor was rejected."""
    found = next((one for one in draft.status.rejected if one.revision == draft.seen.target), None)
    adopt = draft.seen.spec.adopt
    if found is None or adopt is None or not is_adopting(draft):
        return None
    message = f"{found.message}; Deployment {adopt.deployment} has the work as before"
    return given_back(Summary(Phase.ROLLED_BACK, found.reason, message))


def lost(draft: Draft) -> Desired | None:
    """The first version has the work, and must not keep it: what it was taken from still runs."""
    if not is_adopting(draft) or draft.status.weight <= 0:
        return None
    seen, canary = draft.seen, draft.status.canary
    regression = seen.evidence.regression
    if regression is not None:
        draft.update(evidence=regression.sentence())
        reject(draft, Reason.REGRESSED, regression.explanation(seen.evidence.looks))
    elif seen.state(canary).up == 0 and size(draft) > 0:
        trouble = seen.state(canary).trouble
        why = f": {trouble.message}" if trouble is not None else ""
        reject(draft, Reason.PODS_LOST, f"no pod of {canary} serves{why}")
    return rejected(draft)
