"""What a consumer writes into the share ledger and reads from it; SHARE.md says the same for other languages.

`share_dynamodb` and `share_http` are the two ways to it, `share_rules` what follows from what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class LedgerError(Exception):
    """The ledger has not answered, or not in a way that can be read, or knows nothing of this service.

    What it was told may have arrived all the same. A control item that is missing was lost, for the operator writes it
    together with the first pods: who then went on as if nobody released the service, would be a canary without a share.
    """


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who takes messages. `name` is POD.NONCE: a container that restarts in its pod is another one, and begins at 0."""

    service: str
    """NAMESPACE/RELEASE"""
    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Report:
    """Running totals since the process began, so sending them twice changes nothing. The highest `seq` counts."""

    claims: int
    returned: int
    waiting: int
    """Messages asked for by polls of a canary that hold credits and have been open for longer than a moment."""
    seq: int


@dataclass(frozen=True, slots=True)
class Control:
    """The control item as it was at one moment."""

    version: int
    stable: str
    canary: str = ""
    draining: frozenset[str] = frozenset()
    share: float = 0.0
    """Of all claims, 0 to 1."""
    epoch: int = 0
    min_epoch: int = 0
    expires_in: float = 0.0
    """Seconds after it was read until the canary takes nothing: no two clocks need to agree by that much."""
    unused: int = 0
    granted: Mapping[str, int] = field(default_factory=dict)
    """By consumer, the running total of claims it may come to."""
    on_trial: str = ""
    """The revision that has all of the work and is not trusted yet; empty where there is none."""
    trial_left: float = 0.0
    """Seconds after it was read until that ends by itself: its operator is gone."""


class ShareLedger(Protocol):
    """Both raise LedgerError, after a few seconds at most."""

    async def report(self, report: Report) -> Control:
        """Writes the totals and reads what is there then."""
        ...

    async def read(self) -> Control:
        """What every write before this call has left."""
        ...

    async def close(self) -> None: ...


def parsed(
    found: Mapping[str, Any], *, min_epoch: str, expires_in: float, on_trial: str = "on_trial", trial_left: float = 0.0
) -> Control:
    """`min_epoch`, `on_trial`: what they are called there. Raises LedgerError."""
    try:
        return Control(
            version=int(found["version"]),
            stable=str(found["stable"]),
            canary=str(found["canary"]),
            draining=frozenset(map(str, found["draining"])),
            share=float(found["share"]),
            epoch=int(found["epoch"]),
            min_epoch=int(found[min_epoch]),
            expires_in=expires_in,
            unused=int(found["unused"]),
            granted={str(consumer): int(total) for consumer, total in found["granted"].items()},
            # an operator of 0.1.0 does not write it
            on_trial=str(found.get(on_trial, "")),
            trial_left=trial_left,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise LedgerError(f"the control item cannot be read: {type(problem).__name__} {problem}") from problem
