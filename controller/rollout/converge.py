"""From what is to what should be: the one place that knows capacity, weight, service, drain, retiring, and their order.

1. Work is taken away. It needs nothing but weights, so nothing that fails elsewhere can keep it.
2. The attempt's record is closed, and the status is written: no version gets work that the status does not name.
3. Service NAME moves where that is back to stable. Pods grow, then work is given, then Service NAME follows it.
4. Pods shrink, and what has drained goes. Answers come after all of that: none is given before it is true. The
   preview, and what was changed by hand, come last, since the API server may refuse them for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.status import Status
from controller.rollout import contention, hand_over, kept_pod, without_work
from controller.rollout.actions import (
    Action,
    AddFinalizer,
    EnsureRevision,
    Event,
    GiveBack,
    PointService,
    PutBack,
    RemoveFinalizer,
    ReturnRoute,
    Scale,
    SetOwners,
    SetPreview,
    SetWeights,
    TakeAutoscalers,
)
from controller.rollout.desired import Desired, Summary
from controller.rollout.draft import Draft
from controller.rollout.holds import changed_by_hand, not_accepted
from controller.rollout.manual import no_effect
from controller.rollout.observation import STRANGE
from controller.rollout.owing import owe
from controller.rollout.preview import is_mirror
from controller.rollout.retiring import PREVIEWED_AGAIN_S, retired
from controller.rollout.sizing import Sizing
from controller.rollout.succession import queue_versions
from controller.rollout.traffic import (
    ROUTER_FOLLOWS_S,
    WHOLE,
    Move,
    has,
    move,
    move_to,
    selected,
    shares,
)

CONFIG_AGAIN_S = 60.0
"""When a ConfigMap that is missing, or may not be read, is looked for again; the watch of them is faster."""
_GOES_ON = (Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTING, Phase.HEALTHY)
_RESTORED_AGAIN_S = 1.0
_COPIED_AGAIN_S = 30.0
"""No watch shows that a Gateway cannot copy requests any longer."""
_NO_EFFECT = "ManualWithoutEffect"
_LEDGER_CHECK_S = 60.0
"""No event reports a ledger that was lost, and new pods wait for one."""


@dataclass(frozen=True)
class Decision:
    first: tuple[Action, ...]
    """What takes work away, and what the status could not say afterwards."""
    status: Status
    then: tuple[Action, ...]
    """What follows the status: each of it is found undone, and done, by the next decision if it fails."""
    again_in: float | None
    """Seconds after which time alone may change the decision."""

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.first + self.then


def converge(draft: Draft, desired: Desired) -> Decision:
    seen = draft.seen
    moved = _move(draft, desired)
    first: list[Action] = []
    given: list[Action] = []
    if draft.hard_stop:
        # also where the router has these weights already: they say nothing of what was taken before
        first.append(SetWeights(shares(seen.status, 0.0), hard_stop=True))
    if moved is not None and moved.needed and not (draft.hard_stop and not moved.gives_work):
        (given if moved.gives_work or moved.trusts else first).extend(_write(draft, moved))
    first.extend(_give_back(draft, desired))
    if draft.closed is not None:
        first.append(draft.closed)
    grown, shrunk = _pods(draft, desired)
    previewed = list(_preview(draft, desired))
    without_work.note(draft, desired)
    back, pointed = _service(draft, desired, [*first, *given])
    gone, settled = retired(draft, desired, moved)
    summary = desired.summary
    if desired.unfinished is not None and (given or gone or not settled):
        summary = desired.unfinished
        draft.again(0 if settled else None)  # whether it was done is seen by the next decision
    _summarize(draft, desired, summary)
    beside = hand_over.actions(draft, desired)
    # the garbage collector takes what has owners, and what has none has to lose them before the finalizer goes
    owners = [SetOwners()] if seen.owners_differ and not (seen.deleting and seen.owned) else []
    # written before owners are set, and after they are gone: a policy of the API server lets nothing else go
    draft.update(deletion_policy="" if seen.owned or seen.owners_differ else "Orphan")
    if owners:
        draft.again(0)  # that they are gone is seen by the next decision
    events, kept = ([], []) if seen.deleting else queue_versions(draft)
    on, off = _finalizer(draft, desired)
    draft.again(contention.seconds_to_calm(draft.status.route_edits, draft.now))
    if seen.sizing is Sizing.BY_CLAIMS:
        draft.again(_LEDGER_CHECK_S)
    serving = seen.state(draft.status.serves)
    draft.update(replicas=serving.wanted, ready_replicas=serving.ready)
    owe(draft)
    then = (
        *_events(draft),
        *events,
        *back,
        *grown,
        *on,
        *given,
        *pointed,
        *_autoscalers(draft, desired),
        *shrunk,
        *gone,
        *draft.answers,
        *previewed,
        *_put_back(draft, desired),
        *_return_route(draft, desired),
        *owners,
        *off,
        *beside,
    )
    return Decision((*first, *kept), draft.status, then, draft.again_in)


def _move(draft: Draft, desired: Desired) -> Move | None:
    """The status and its clock say what is meant; the router is told of it later."""
    if desired.named:
        draft.again(0)
        return move_to(draft, desired.named)
    if desired.weight is None:
        return None
    moved = move(draft, desired.weight, desired.baseline)
    if moved.edits != draft.status.route_edits:
        by = f" ({draft.seen.route_by})" if draft.seen.route_by else ""
        draft.event(Reason.CHANGED_BY_HAND, f"the route was changed by hand{by} and is put back", warning=True)
    pending = moved.needed and moved.gives_work
    draft.update(route_edits=moved.edits, weight=desired.weight, weight_pending=pending)
    if draft.status.baseline_weight != desired.baseline:
        draft.update_attempt(baseline_weight=desired.baseline)
    if moved.changes:
        draft.update(weight_since=draft.now)
        draft.again(0)  # the analysis begins with the next decision, and nothing else is bound to wake it
    if moved.hands_off_s > 0:
        draft.again(moved.hands_off_s)
    return moved


def _write(draft: Draft, moved: Move) -> Iterator[Action]:
    seen = draft.seen
    if seen.sizing is Sizing.BY_PODS and seen.service is None:
        # who takes part is written into Service NAME, so that has to exist first
        made = draft.status.stable or draft.status.canary
        yield PointService(made)
        if made == selected(moved.shares):
            return
    yield SetWeights(moved.shares, on_trial=moved.on_trial)


def _give_back(draft: Draft, desired: Desired) -> Iterator[GiveBack]:
    """Versions that have lost their work by it keep their pods until routers have followed."""
    adoption = draft.seen.adoption
    if not desired.gives_back or adoption is None:
        return
    if adoption.holds or draft.status.weight_since is None:
        draft.update(weight_since=draft.now)
    if adoption.holds:
        yield GiveBack()


def _autoscalers(draft: Draft, desired: Desired) -> Iterator[TakeAutoscalers]:
    """With the work: an autoscaler that still sees the pods that have lost it would take them away."""
    adoption = draft.seen.adoption
    if adoption is not None and adoption.autoscaled and desired.weight is not None:
        yield TakeAutoscalers()


def _pods(draft: Draft, desired: Desired) -> tuple[list[Action], list[Action]]:
    """What makes revisions larger, and what makes them smaller."""
    seen = draft.seen
    grown: list[Action] = []
    shrunk: list[Action] = []
    for revision, pods in desired.pods.items():
        state = seen.state(revision)
        if not state.complete:
            grown.append(EnsureRevision(revision, pods.replicas, _made_of(draft, revision)))
        scale = Scale(revision, pods.replicas)
        if state.wanted < pods.replicas:
            draft.update(scaled_up=draft.now)
            if revision in seen.revisions:
                grown.append(scale)
        elif pods.shrink and state.wanted > pods.replicas and revision in seen.revisions:
            shrunk.append(scale)
    return grown, shrunk


def _made_of(draft: Draft, revision: str) -> str:
    return draft.status.stable if revision == draft.status.baseline else ""


def _service(draft: Draft, desired: Desired, already: list[Action]) -> tuple[list[PointService], list[PointService]]:
    """Where Service NAME has to move: back to stable, which comes early, or to who has been given the work.

    With `replicas` it is the router's own, and is only made here when it is missing.
    """
    seen, revision = draft.seen, desired.service
    missing = seen.service is None and not desired.hands_off
    moves = seen.service not in (None, revision) and seen.sizing.written
    if not revision or not (missing or moves) or PointService(revision) in already:
        return [], []
    if seen.service == STRANGE:
        message = "the Service that callers use was changed by hand and is put back"
        draft.event(Reason.CHANGED_BY_HAND, message, warning=True)
    point = [PointService(revision)]
    return (point, []) if revision == seen.status.stable else ([], point)


def _preview(draft: Draft, desired: Desired) -> Iterator[SetPreview]:
    """Before a version goes it leads elsewhere. The status says that there is one until it is seen to be gone."""
    seen, wanted = draft.seen, desired.preview
    # copies end with the work also where nothing can be judged: what they write is written twice
    ends = is_mirror(seen.preview) and (desired.finalize or desired.weight is not None)
    if desired.hands_off and wanted is None and not ends:
        return
    if wanted is not None:
        draft.update(previews=True)
    if is_mirror(wanted):
        draft.again(_COPIED_AGAIN_S)
    if is_mirror(seen.preview) and not is_mirror(wanted) and draft.status.weight <= 0:
        draft.update(weight_since=draft.now)  # a router may learn that its pods go before it learns of this
    if seen.preview != wanted:
        # what came of it is seen by the next decision; one that is refused is tried again later
        draft.again(PREVIEWED_AGAIN_S if seen.preview_refused else 0)
        yield SetPreview(wanted)
    elif wanted is None:
        draft.update(previews=False)


def _put_back(draft: Draft, desired: Desired) -> Iterator[PutBack]:
    """What is ours and was changed by hand; a version that is leaving is left as it is."""
    seen = draft.seen
    if desired.hands_off:
        return
    for revision, state in seen.revisions.items():
        stays = revision not in desired.unused and (desired.kept is None or revision in desired.kept)
        if stays and state.complete and not state.as_made:
            draft.again(_RESTORED_AGAIN_S)
            yield PutBack(revision, _made_of(draft, revision))


def _return_route(draft: Draft, desired: Desired) -> Iterator[ReturnRoute]:
    """To whoever keeps it, once Service NAME leads where it does: at rest nothing of ours is left in it."""
    seen, status = draft.seen, draft.status
    if desired.gives_back:
        return
    if desired.finalize and (seen.route_held is not None or seen.route_held_beside):
        yield ReturnRoute()
    at_rest = status.stable and status.attempt is None and desired.weight == 0
    if not seen.route_held or not at_rest or seen.service != status.stable or not has(seen, {status.stable: WHOLE}):
        return
    # who has the Service's address hears of its new pods a moment after its selector has moved
    left = (status.weight_since or 0.0) + ROUTER_FOLLOWS_S - draft.now
    draft.again(max(0.0, left))
    if left <= 0:
        yield ReturnRoute()


def _finalizer(draft: Draft, desired: Desired) -> tuple[list[Action], list[Action]]:
    """It is there before the first work moves or is copied, and goes after the last is back, and no copies are made."""
    there = draft.seen.finalizer
    adoption = draft.seen.adoption
    if desired.gives_back and adoption is not None and (adoption.holds or draft.seen.revisions):
        return [], []
    if desired.finalize or desired.gives_back:
        return [], [RemoveFinalizer()] if there else []
    if desired.weight is None:
        return [], []
    at_stable = adoption is None if not draft.status.stable else draft.status.weight <= 0
    if draft.seen.route_held is not None:
        at_stable = at_stable and draft.status.stable != "" and not draft.seen.route_held
    at_stable = at_stable and not draft.seen.route_held_beside
    if at_stable and not is_mirror(draft.seen.preview) and not is_mirror(desired.preview):
        return [], [RemoveFinalizer()] if there else []
    return [] if there else [AddFinalizer()], []


def _summarize(draft: Draft, desired: Desired, summary: Summary) -> None:
    phase, reason, message = summary.phase, summary.reason, summary.message
    if draft.contended and not desired.hands_off:
        sentence = contention.sentence(draft.status.route_edits)
        draft.announce(Reason.ROUTE_CONTENDED, sentence)
        if phase in _GOES_ON:
            phase, reason, message = Phase.WAITING, Reason.ROUTE_CONTENDED, sentence
        else:
            message = f"{message}; {sentence}"
    changed = changed_by_hand(draft)
    if changed and phase in _GOES_ON and not desired.hands_off:
        phase, reason, message = Phase.WAITING, Reason.CHANGED_BY_HAND, changed
    refused = "" if desired.hands_off else not_accepted(draft)
    if refused:
        draft.announce(Reason.ROUTE_NOT_ACCEPTED, refused)
        if phase in _GOES_ON:
            phase, reason, message = Phase.WAITING, Reason.ROUTE_NOT_ACCEPTED, refused
    trouble = None if desired.hands_off else draft.seen.config_trouble
    if trouble is not None and draft.seen.cannot_be_made is None:
        draft.announce(trouble.reason, trouble.message)
        draft.again(CONFIG_AGAIN_S)
        if phase in (Phase.PENDING, Phase.HEALTHY):
            phase, reason, message = Phase.WAITING, trouble.reason, trouble.message
        else:
            message = f"{message}; {trouble.message}"
    stays = kept_pod.sentence(draft, phase)
    if stays:
        message = f"{message}; {stays}"
    preview, shown = draft.seen.preview_refused, desired.preview or draft.seen.preview
    if shown is not None and preview and preview not in message:
        draft.announce("PreviewRefused", preview)
        message = f"{message}; the {shown.reach.noun}: {preview}"
    annotation = no_effect(draft)
    if annotation:
        draft.announce(_NO_EFFECT, annotation)
        message = f"{message}; {annotation}"
    draft.update(phase=phase, reason=reason, message=message)


def _events(draft: Draft) -> Iterator[Event]:
    """What happened, and of what lasts that which was not announced yet."""
    yield from draft.events
    before = draft.seen.status.announced
    yield from (event for about, event in draft.announced.items() if about not in before)
    draft.update(announced=tuple(sorted(draft.announced)))
