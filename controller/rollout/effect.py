"""What came of the effects that a Release owes, and what is owed next.

A pass never waits for the outside. A step says which effects it wants while it waits; they are written into
`status.owed`; after that write the outbox carries them out, and the next pass finds what it has learned under the
effect's id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.effect import MOST_OWED, Effect, Owed


@dataclass(frozen=True)
class Answered:
    """It was carried out. The value is what its kind says, and may change: a gate may answer `wait`, then `yes`."""

    value: Mapping[str, Any]


@dataclass(frozen=True)
class Refused:
    """It cannot be carried out as it stands, and is not tried again: an unknown kind, a payload that is too large."""

    message: str


@dataclass(frozen=True)
class Retrying:
    """It failed, and is tried again: no answer, an answer that makes no sense, a Secret that is missing."""

    message: str
    attempts: int
    """How many have failed since it last succeeded."""
    next_at: float
    """Seconds since the epoch."""


Result = Answered | Refused | Retrying


def is_settled(result: Result | None) -> bool:
    """Nothing is tried again: it was carried out, or never can be."""
    return isinstance(result, Answered | Refused)


def given_up(result: Result | None, owed_for_s: float, kept_s: float) -> Refused | Retrying | None:
    """What an effect that must be delivered is given up for: it was refused, or has failed for `kept_s` seconds."""
    match result:
        case Refused():
            return result
        case Retrying() if owed_for_s > kept_s:
            return result
        case _:
            return None


def owed_after(
    before: Sequence[Owed],
    wanted: Iterable[Effect],
    results: Mapping[str, Result],
    now: float,
    *,
    first_to_go: Collection[str] = (),
) -> tuple[Owed, ...]:
    """What is owed after a pass: all that is wanted, then what must be delivered and is not yet.

    What is neither is dropped, and the outbox cancels it. Beyond MOST_OWED the oldest of what must be delivered goes,
    of the kinds `first_to_go` before all others: a receiver that is away for days costs its own notifications and
    nothing else.
    """
    since = {item.effect.id: item.since for item in before}
    kept = {effect.id: Owed(effect, since.get(effect.id, now)) for effect in wanted}
    undelivered = [
        item
        for item in before
        if item.effect.must_deliver and item.effect.id not in kept and not is_settled(results.get(item.effect.id))
    ]
    undelivered.sort(key=lambda item: item.since, reverse=True)
    # in the order in which the next pass finds them: by another one alone the status would be written again
    first = sorted(kept.values(), key=lambda item: item.effect.must_deliver)
    return _that_fit([*first, *undelivered], first_to_go)


def _that_fit(owed: list[Owed], first_to_go: Collection[str]) -> tuple[Owed, ...]:
    """In their order, without the last ones."""
    expendable = [item for item in owed if item.effect.kind in first_to_go]
    most = max(0, MOST_OWED - (len(owed) - len(expendable)))
    gone = {item.effect.id for item in expendable[most:]}
    return tuple(item for item in owed if item.effect.id not in gone)[:MOST_OWED]
