"""What a rollout owes to the outside, and what came of it.

A pass never waits for the outside. A step says which effects it wants while it waits; the walker writes them into
`status.owed`; after that write the outbox carries them out, and the next pass finds what it has learned under the
effect's id. The status outlives the process, so an effect is carried out at least once, and its id is the receiver's
means to count it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api import times

MOST_OWED = 20
"""Effects that one Release may owe at a time."""
MOST_PAYLOAD_BYTES = 4096
"""Of one effect, as JSON: MOST_OWED of them stand in the status."""


@dataclass(frozen=True)
class Effect:
    id: str
    """Unique for its Release, attempt, step and kind; the same over retries, restarts and leaders."""
    kind: str
    """The module of `effects/` that carries it out."""
    payload: Mapping[str, Any]
    """JSON, at most MOST_PAYLOAD_BYTES. Another payload under the same id is carried out anew."""
    must_deliver: bool = False
    """It stays owed until it is carried out, also when nothing wants it any longer: a notification."""

    @property
    def fits(self) -> bool:
        return len(json.dumps(self.payload)) <= MOST_PAYLOAD_BYTES


@dataclass(frozen=True)
class Owed:
    """An effect as it stands in the status."""

    effect: Effect
    since: float
    """Seconds since the epoch."""


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


def owed_after(
    before: Sequence[Owed], wanted: Iterable[Effect], results: Mapping[str, Result], now: float
) -> tuple[Owed, ...]:
    """What is owed after a pass: all that is wanted, then what must be delivered and is not yet.

    What is neither is dropped, and the outbox cancels it. Beyond MOST_OWED the oldest of what must be delivered goes:
    a receiver that is away for days costs its own notifications and nothing else.
    """
    since = {item.effect.id: item.since for item in before}
    kept = {effect.id: Owed(effect, since.get(effect.id, now)) for effect in wanted}
    undelivered = [
        item
        for item in before
        if item.effect.must_deliver
        and item.effect.id not in kept
        and not isinstance(results.get(item.effect.id), Answered | Refused)
    ]
    undelivered.sort(key=lambda item: item.since, reverse=True)
    return (*kept.values(), *undelivered)[:MOST_OWED]


def owed_to_raw(owed: Iterable[Owed]) -> list[dict[str, Any]]:
    return [_to_raw(item) for item in owed]


def owed_from_raw(raw: Iterable[Mapping[str, Any]]) -> tuple[Owed, ...]:
    return tuple(_from_raw(item) for item in raw)


def _to_raw(owed: Owed) -> dict[str, Any]:
    effect = owed.effect
    raw = {"id": effect.id, "kind": effect.kind, "payload": dict(effect.payload), "since": times.to_text(owed.since)}
    return raw | ({"mustDeliver": True} if effect.must_deliver else {})


def _from_raw(raw: Mapping[str, Any]) -> Owed:
    effect = Effect(raw["id"], raw["kind"], raw.get("payload", {}), must_deliver=raw.get("mustDeliver", False))
    return Owed(effect, times.from_text(raw["since"]))
