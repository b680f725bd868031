"""A decision in the making: the status as it will be, and what people hear of it.

Rules change only this. Pods and traffic are not theirs: they say what should be (`desired.py`), and `converge.py`
finds the way there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.api.effect import Effect
from controller.api.status import Attempt
from controller.rollout.actions import Answer, Event, FinishAnalysis
from controller.rollout.contention import is_contended, remembered
from controller.rollout.observation import Observation
from controller.rollout.strategy import Words, words_of


class Draft:
    def __init__(self, seen: Observation, now: float) -> None:
        self.seen = seen
        self.now = now
        self.status = seen.status.changed(
            steps=len(seen.spec.steps), route_edits=remembered(seen.status.route_edits, now), blocked=None
        )
        if seen.last_spec is not None:
            self.update(last_spec=seen.last_spec)
        if seen.unversioned is not None:
            self.update(unversioned=seen.unversioned)
        self.events: list[Event] = []
        self.answers: list[Answer] = []
        self.closed: FinishAnalysis | None = None
        self.again_in: float | None = None
        self.replaced = ""
        """The canary that lost its work in this decision because another version was asked for."""
        self.failed_by = ""
        """The counts that rolled the canary back in this decision; empty: it was not, or something else did."""
        self.hard_stop = False
        """Whether what the canary has already taken is stopped too."""
        self.announced: dict[str, Event] = {}
        self.effects: list[Effect] = []
        """What is wanted from the outside while the release stands as this decision leaves it."""

    @property
    def words(self) -> Words:
        return words_of(switches=self.seen.spec.strategy.switches)

    @property
    def attempt(self) -> Attempt:
        """The one under way; to be asked for only where there is one."""
        if self.status.attempt is None:
            raise ValueError("no attempt is under way")
        return self.status.attempt

    @property
    def in_force(self) -> float:
        """Percent of the work that the canary has, as far as Pointsman has given it any."""
        if not self.seen.given_is_unknown:
            return self.status.weight
        return min(self.status.weight, (self.seen.weights or {}).get(self.status.canary, 0.0))

    @property
    def contended(self) -> bool:
        """Another writer changes the route as well, and does not stop."""
        return is_contended(self.status.route_edits)

    def update(self, **changes: Any) -> None:
        self.status = self.status.changed(**changes)

    def update_attempt(self, **changes: Any) -> None:
        self.update(attempt=replace(self.attempt, **changes))

    def update_clock(self, **changes: Any) -> None:
        self.update_attempt(clock=replace(self.attempt.clock, **changes))

    def enter_step(self, step: int) -> None:
        """The step's clock and its count of units begin, and it is not approved yet."""
        self.update_attempt(step=step, approved_by="", awaits_person=False)
        self.update_clock(step_started=self.now, step_entered=self.now)

    def stop_clock(self) -> None:
        """Of the step, until `run_clock`; where it stands already it goes on standing."""
        if self.attempt.clock.held_since is None:
            self.update_clock(held_since=self.now)

    def run_clock(self) -> None:
        """The step's clock goes on where it stood."""
        held, started = self.attempt.clock.held_since, self.attempt.clock.step_started
        if held is None:
            return
        self.update_clock(
            held_since=None, step_started=None if started is None else started + self.now - max(held, started)
        )
        self.event("ClockRuns", f"the step's clock stood still for {self.now - held:.0f} s and runs again")

    def close_run(self, verdict: str, message: str) -> None:
        if self.status.run:
            self.closed = FinishAnalysis(verdict, message)

    def event(self, reason: str, message: str, *, warning: bool = False) -> None:
        self.events.append(Event(reason, message, warning))

    def announce(self, reason: str, message: str, *, about: str = "", warning: bool = True) -> None:
        """An event for something that lasts, sent when it begins. `about` tells apart what has one reason."""
        self.announced[f"{reason}:{about}" if about else reason] = Event(reason, message, warning)

    def answer(self, name: str, message: str, *, accepted: bool) -> None:
        """Follows everything else: no answer may delay a rollback, and none is given before it is true."""
        self.answers.append(Answer(name, accepted=accepted, message=message))

    def again(self, seconds: float | None) -> None:
        if seconds is not None:
            self.again_in = seconds if self.again_in is None else min(self.again_in, seconds)
