"""What a Release owes to the outside, as it stands in `status.owed`.

The status outlives the process, so an effect is carried out at least once, and its id is the receiver's means to count
it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
        return len(json.dumps(self.payload, ensure_ascii=False).encode()) <= MOST_PAYLOAD_BYTES


@dataclass(frozen=True)
class Owed:
    """An effect as it stands in the status."""

    effect: Effect
    since: float
    """Seconds since the epoch."""


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
