"""A decision in the making: the actions so far, and the status as it will be when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.phase import Phase
from controller.api.status import Status
from controller.rollout.actions import (
    Action,
    AddFinalizer,
    Answer,
    EnsureRevision,
    PointService,
    RemoveFinalizer,
    Retire,
    Scale,
    SetWeights,
    Tell,
)
from controller.rollout.contention import is_contended, noted, remembered, seconds_to_calm, seconds_to_keep_off
from controller.rollout.observation import Observation
from controller.rollout.sizing import Sizing

WHOLE = 100.0
ROUTER_FOLLOWS_S = 5.0
"""How long a version keeps its pods after its weight went to 0: routers were seen to follow within 1.6 s."""
_UNTOLD_S = 60.0
"""Nothing tells of a ledger that was lost, and new pods wait for one."""
_SAME_SHARE = 0.005
"""Percent; half of the smallest step that a route can hold."""


@dataclass(frozen=True)
class Decision:
    actions: tuple[Action, ...]
    status: Status
    again_in: float | None
    """Seconds after which time alone may change the decision."""
    after: tuple[Action, ...] = ()
    """What follows the status, because the status is what keeps it from counting twice."""


class Plan:
    """Collects a decision. Everything is said to it in the order in which it must happen."""

    def __init__(self, seen: Observation, now: float) -> None:
        self.seen = seen
        self.now = now
        self.status = seen.status
        self._actions: list[Action] = []
        self._after: list[Action] = []
        self._again_in: float | None = None
        self._weights = dict(seen.weights) if seen.weights is not None else None
        self._finalizer = seen.finalizer
        self._service = seen.service
        self._retired: set[str] = set()
        self.update(
            steps=len(seen.spec.steps),
            reason=seen.status.behind or seen.status.reason,
            behind="",
            route_edits=remembered(seen.status.route_edits, now),
        )

    @property
    def contended(self) -> bool:
        """Somebody else writes the route as well, and does not stop."""
        return is_contended(self.status.route_edits)

    def do(self, action: Action) -> None:
        self._actions.append(action)

    def answer(self, name: str, message: str, *, accepted: bool) -> None:
        """Follows everything else: no answer may delay a rollback, and none is given before it is true."""
        self._after.append(Answer(name, accepted=accepted, message=message))

    def tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        self.do(Tell(reason, message, warning))

    def update(self, **changes: Any) -> None:
        self.status = self.status.changed(**changes)

    def enter_step(self, step: int, **changes: Any) -> None:
        """The step's clock and its count of units begin, and nobody has approved it yet."""
        self.update(step=step, step_started=self.now, step_entered=self.now, approved_by="", **changes)

    def stop_the_clock(self) -> None:
        """Of the step, until `release_hold`; where it stands already it goes on standing."""
        if self.status.held_since is None:
            self.update(held_since=self.now)

    def end_attempt(self, **changes: Any) -> None:
        """There is no canary any more, and nothing that was said about it counts for the next one."""
        self.update(
            canary="",
            canary_since=None,
            step=0,
            step_started=None,
            step_entered=None,
            held_since=None,
            unready_since=None,
            approved_by="",
            paused_by="",
            paused_since=None,
            full_by="",
            run="",
            **changes,
        )

    def settle(self, phase: Phase, reason: str, message: str) -> None:
        self.update(phase=phase, reason=reason, message=message)

    def again(self, seconds: float | None) -> None:
        if seconds is not None:
            self._again_in = seconds if self._again_in is None else min(self._again_in, seconds)

    def decision(self) -> Decision:
        self.again(seconds_to_calm(self.status.route_edits, self.now))
        if self.seen.sizing is Sizing.BY_CLAIMS:
            self.again(_UNTOLD_S)
        serving = self.seen.state(self.status.stable or self.status.canary)
        self.update(replicas=serving.wanted, ready_replicas=serving.ready)
        return Decision(tuple(self._actions), self.status, self._again_in, tuple(self._after))

    # -- pods ----------------------------------------------------------------------------------------------------

    def ensure_pods(self, revision: str, replicas: int, *, shrink: bool = False) -> None:
        """Brings a revision to `replicas` pods; it is made smaller only where that is said."""
        state = self.seen.state(revision)
        ensured = EnsureRevision(revision, replicas)
        if not state.complete and ensured not in self._actions:
            self.do(ensured)
        if state.wanted < replicas or (shrink and state.wanted > replicas):
            if revision in self.seen.revisions:
                self.do(Scale(revision, replicas))
            if state.wanted < replicas:
                self.update(scaled_up=self.now)

    def retire_others(self, *kept: str) -> bool:
        """Retires what serves nothing any more; False while some of it must still wait.

        A canary waits for the router to follow; an old stable for the end of its drain.
        """
        others = [one for one in self.seen.revisions if one not in kept and one not in self._retired]
        if self.contended and any(self._routed(one) for one in others):
            return False  # whoever else writes the route sends work there
        left = 0.0
        if self.status.weight_since is not None:
            left = self.status.weight_since + ROUTER_FOLLOWS_S - self.now
        if self.status.drain_since is not None:
            left = max(left, self.status.drain_since + self.seen.spec.drain.quiet - self.now)
        if others and left > 0:
            self.again(left)
            return False
        for revision in others:
            self.retire(revision)
        self.update(drain_since=None)
        return True

    def _routed(self, revision: str) -> bool:
        return self.seen.sizing.written and (self._weights or {}).get(revision, 0) > 0

    def retire(self, revision: str) -> None:
        self.do(Retire(revision))
        self._retired.add(revision)

    # -- traffic -------------------------------------------------------------------------------------------------

    def shares(self, weight: float) -> Mapping[str, float]:
        return _shares(self.status, weight)

    def set_weight(self, weight: float) -> bool:
        """Gives the canary `weight` percent; True when that changed something, in the router or in the status.

        The finalizer is there before the first share moves and goes after the last one is back.
        """
        wanted = dict(self.shares(weight))
        moved = not self._has(wanted) and not self._keeps_off(wanted)
        # after a crash the router may have it already while the status, and so `weight_since`, know nothing of it
        changed = moved or self.status.weight != weight
        at_stable = not self.status.stable or weight <= 0
        if not at_stable and not self._finalizer:
            self.do(AddFinalizer())
            self._finalizer = True
        if moved:
            self._move(wanted)
        if changed:
            self.update(weight_since=self.now)
            self.again(0)  # the looks begin with the next decision, and nothing else is bound to wake it
        if at_stable and self._finalizer and not self.seen.deleting:
            self.do(RemoveFinalizer())
            self._finalizer = False
        self.update(weight=weight)
        return changed

    def name_alone(self, revision: str) -> None:
        """The router gives it everything from now on. The status says so once there are pods for it."""
        self._move({revision: WHOLE})
        self.again(0)

    def _keeps_off(self, wanted: Mapping[str, float]) -> bool:
        """Whether the router is left as somebody else has made it, for now. What we change ourselves never waits."""
        before = self.seen.status
        if not before.stable or dict(wanted) != dict(_shares(before, before.weight)):
            return False
        seconds = seconds_to_keep_off(self.status.route_edits, self.now)
        if seconds > 0:
            self.again(seconds)
            return True
        self.update(route_edits=noted(self.status.route_edits, self.seen.route_by, self.now))
        return False

    def _move(self, wanted: Mapping[str, float]) -> None:
        if self.seen.sizing is Sizing.BY_PODS:
            if self._service is None:
                # who takes part is written into Service NAME, so that has to be there first
                self.point_service(self.status.stable or self.status.canary)
            if self._service == _selected(wanted):
                return
            self._service = _selected(wanted)
        self.do(SetWeights(wanted))
        self._weights = dict(wanted)

    def _has(self, wanted: Mapping[str, float]) -> bool:
        if self.seen.sizing is Sizing.BY_PODS:
            # the split itself is made by pods; what the router holds is who takes part
            return self._service == _selected(wanted)
        return (
            self._weights is not None
            and set(self._weights) == set(wanted)
            and all(abs(self._weights[revision] - share) < _SAME_SHARE for revision, share in wanted.items())
        )

    def point_service(self, revision: str) -> None:
        """Service NAME; with `replicas` it is the router's own, and only made here when it is missing."""
        if self._service is None or (self.seen.sizing.written and self._service != revision):
            self.do(PointService(revision))
            self._service = revision


def _shares(status: Status, weight: float) -> Mapping[str, float]:
    stable, canary = status.stable, status.canary
    if not stable or weight >= WHOLE:
        return {canary: WHOLE}
    return {stable: WHOLE - weight, canary: weight} if weight > 0 else {stable: WHOLE}


def _selected(shares: Mapping[str, float]) -> str:
    """What Service NAME selects for these shares by pods: one revision, or '' for all there are."""
    return next(iter(shares)) if len(shares) == 1 else ""
