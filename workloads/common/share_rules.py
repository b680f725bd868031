"""What a consumer may do, given what it has read. Pure; times are seconds of one monotonic clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from workloads.common.share_ledger import Consumer, Control, Report

LINGERS_S = 0.1
"""A poll that is open for longer gets nothing of a queue that has something: SQS answers within some 50 ms then."""


CYCLE_S, TURN_S, SHORT_POLL_S = 2.5, 0.5, 1
"""While a canary's poll gets nothing, stable's begin only in the first half second of each two and a half by the wall
clock, and while there is a share they last one second: then no poll of stable's is open for a second of each cycle,
and a broker that always prefers them serves the canary's. If each slot waited by itself some poll would be open at any
time: with 12 slots, one message a second and such a broker a canary of 5 % had nothing, and has 4.97 % by turns.
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    changed: float = 0.6
    """Between two reports while totals change: at most two writes a second and pod."""
    heartbeat: float = 2.0
    read: float = 0.5
    """Between two looks of a stable consumer while there is a share; the allocator's rounds are as long."""
    read_yielding: float = 0.3
    yields: float = CYCLE_S - TURN_S
    """A stable slot waits for no longer before a poll."""
    back_off: tuple[float, float] = (0.25, 2.0)
    last_report: float = 2.0
    """At the end, for the last totals."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`at`: when it was asked for, which is before it was so."""

    control: Control
    at: float


class Standing(Enum):
    FREE = "free"
    """Stable, or draining."""
    CANARY = "canary"
    NOTHING = "nothing"
    """Rejected, a version that nobody has named, or a ledger that has never said anything."""


def standing(answer: Answer | None, revision: str) -> Standing:
    if answer is None:
        return Standing.NOTHING
    control = answer.control
    if revision == control.stable or revision in control.draining:
        return Standing.FREE
    return Standing.CANARY if revision == control.canary else Standing.NOTHING


def is_on_trial(answer: Answer | None, revision: str, now: float) -> bool:
    """Whether it has all of the work, and may be given back its old version's."""
    return (
        answer is not None
        and revision == answer.control.on_trial
        and standing(answer, revision) is Standing.FREE
        and now - answer.at < answer.control.trial_left
    )


def credit(answer: Answer, who: Consumer, *, claims: int, reserved: int, now: float) -> int:
    """How many more messages a canary may ask for. `reserved`: asked for by polls that are open."""
    control = answer.control
    if standing(answer, who.revision) is not Standing.CANARY or not _is_on(control, answer.at, now):
        return 0
    return max(0, control.granted.get(who.name, 0) - claims - reserved)


def is_kept(answer: Answer, who: Consumer, *, epoch: int, claims: int, received: int, now: float) -> bool:
    """Whether `received` messages, asked for by a canary in that epoch, may be worked on."""
    if standing(answer, who.revision) is Standing.FREE:
        return True  # promoted meanwhile: handing them back would only cost a receive
    return answer.control.epoch == epoch and credit(answer, who, claims=claims, reserved=0, now=now) >= received


def yields(answer: Answer | None, now: float, *, stale_after: float) -> bool:
    """Whether a stable slot leaves the next message to the canary. Never by what was read long ago."""
    if answer is None or now - answer.at > stale_after:
        return False
    return answer.control.unused > 0 and _is_on(answer.control, answer.at, now)


def until_turn(wall: float) -> float:
    """Seconds until stable's polls may begin where it yields; 0 in its turn. `wall`: seconds since 1970."""
    phase = wall % CYCLE_S
    return 0.0 if phase < TURN_S else CYCLE_S - phase


def poll_s(answer: Answer | None, now: float) -> int | None:
    """How long a poll of stable's may last; None: as long as it likes."""
    return SHORT_POLL_S if answer is not None and _is_on(answer.control, answer.at, now) else None


def is_stopped(answer: Answer | None, revision: str, epoch: int) -> bool:
    if answer is None or standing(answer, revision) is Standing.FREE:
        return False
    return epoch < answer.control.min_epoch


def lingering(opened: Iterable[tuple[float, int]], now: float) -> int:
    """Messages asked for by polls that are open for longer than a moment. `opened`: when, and for how many."""
    return sum(messages for at, messages in opened if now - at >= LINGERS_S)


def report_due(
    last: Report | None, current: Report, pace: Pace, *, lost: bool, tried_at: float, opened: Iterable[float]
) -> float:
    """When the next report goes out. `tried_at`: when the last one did; `lost`: without an answer."""
    if last is None:
        return tried_at + pace.changed if lost else tried_at
    changed = (last.claims, last.returned, last.waiting) != (current.claims, current.returned, current.waiting)
    if lost or changed:
        return tried_at + pace.changed
    beat = tried_at + pace.heartbeat
    soon = min((at + LINGERS_S for at in opened), default=beat)
    return min(beat, max(tried_at + pace.changed, soon))


def read_due(answer: Answer | None, pace: Pace, *, yielding: bool, tried_at: float) -> float:
    if yielding:
        return tried_at + pace.read_yielding
    shared = answer is None or answer.control.share > 0
    return tried_at + (pace.read if shared else pace.heartbeat)


def _is_on(control: Control, at: float, now: float) -> bool:
    return control.share > 0 and now - at < control.expires_in
