"""What the engine asks of the outside world, as narrow as it can be asked.

A router, a metric provider or a store is whatever fulfils one of these; nothing above this module knows
which one it talks to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from controller.api.resources import Resource
from controller.queue_share.ledger import Ledger, Pod
from controller.rollout.sizing import Sizing


@dataclass(frozen=True)
class Window:
    """Half-open, `[start, end)`, both with a time zone."""

    start: datetime
    end: datetime


def threshold_text(seconds: float) -> str:
    """As rows name a threshold: `1` and `1.0` alike."""
    return format(seconds, ".12g")


@dataclass(frozen=True)
class Row:
    """What one revision did in one window: `bad` of `total` units. `threshold` names the row of a metric that has
    several (seconds, as text), `half` the part of its pods where they are told apart (a or b); empty otherwise.
    """

    revision: str
    bad: int
    total: int
    threshold: str = ""
    half: str = ""


@dataclass(frozen=True)
class Samples:
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class NoData:
    """The source answered, and had nothing for either revision."""


class SourceOutageError(Exception):
    """The source did not answer: refused, timed out, 5xx, 401. Says nothing about the canary."""


class BrokenMetricError(Exception):
    """The source answered with what cannot be counts: a wrong column, NaN, bad > total. It waits, it never convicts."""


@dataclass(frozen=True)
class Query:
    """A rendered query. `text` holds START_TOKEN and STOP_TOKEN where the window goes, so it is rendered once a
    rollout and not once a look.
    """

    language: str
    text: str


class MetricProvider(Protocol):
    """One place where metrics come from; safe for concurrent use."""

    async def query(self, query: Query, window: Window) -> Samples | NoData:
        """Raises SourceOutageError, BrokenMetricError."""
        ...

    async def has_rows(self, query: Query, window: Window) -> bool:
        """Whether the query has any answer at all, whatever its columns. Raises as `query` does."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Weights:
    """Percent of the work per revision: they sum to 100. A revision that is not named gets none."""

    shares: Mapping[str, float]
    by: str = field(default="", compare=False)
    """Where they were read: who wrote them last beside Pointsman, if anybody did."""
    starved_s: float = field(default=0.0, compare=False)
    """Where they were read: for how long the canary has left some of the work lie that was meant for it."""

    def of(self, revision: str) -> float:
        return self.shares.get(revision, 0.0)


class KubeApi(Protocol):
    """The part of the API server that routers need (`kube.client.KubeClient` has it all)."""

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None: ...

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> list[dict[str, Any]]: ...

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]: ...

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]: ...


class RouterError(Exception):
    """The router cannot do what was asked; the sentence says what is missing."""


@dataclass(frozen=True)
class Target:
    """The service a router moves work for. `owner` is the ownerReferences entry for what it creates, or None."""

    namespace: str
    name: str
    owner: Mapping[str, Any] | None
    ports: tuple[Mapping[str, Any], ...]
    stable: str = ""
    """The revision that is stable; empty before there is one."""


# -- share ledgers ---------------------------------------------------------------------------------------------------


class LedgerAwayError(RouterError):
    """The ledger did not answer. The canary stops by itself, and stable goes on."""


@dataclass(frozen=True)
class Report:
    """What a consumer has written of itself. `claims` is a running total, `waiting` what its open polls have been
    waiting for, `seq` rises with each report.
    """

    consumer: str
    revision: str
    claims: int
    seq: int
    waiting: int = 0


@dataclass(frozen=True)
class Stored:
    ledger: Ledger
    version: int
    """1 and up: a write is made over the version that was read, or refused."""


class LedgerStore(Protocol):
    """Where ledgers lie. `service` is NAMESPACE/NAME. Everything raises LedgerAwayError."""

    async def read(self, service: str) -> Stored | None: ...

    async def reports(self, service: str) -> Sequence[Report]: ...

    async def write(self, service: str, ledger: Ledger, *, over: int, term: int) -> bool:
        """False where it is not version `over` any more (0: there is none), or a later leader (`term`) has written."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class LedgerPlace:
    """Which ledger: the table it lies in, or the operator's own memory where that is empty."""

    service: str
    table: str = ""
    region: str = ""


Change = Callable[[Ledger | None, Mapping[str, Pod], float], Ledger]
"""What a ledger becomes, given what consumers have claimed and the time (epoch seconds). It may be asked again."""


class Ledgers(Protocol):
    """The ledgers of this installation, and who allocates their credits."""

    async def read(self, place: LedgerPlace) -> Ledger | None:
        """Raises LedgerAwayError."""
        ...

    async def change(self, place: LedgerPlace, change: Change) -> bool:
        """True when something had to be written. Raises LedgerAwayError."""
        ...

    def starved_s(self, place: LedgerPlace) -> float:
        """For how long the canary has had credits that it did not use, while others had work."""
        ...


@dataclass(frozen=True)
class Outside:
    """What a router may use."""

    kube: KubeApi
    ledgers: Ledgers


class Router(Protocol):
    async def observe(self) -> Weights | None:
        """The weights that are written, or None while there is no route."""
        ...

    async def ensure(self, weights: Weights) -> bool:
        """Idempotent: True when something had to be written. Raises RouterError."""
        ...


class RouterModule(Protocol):
    """A module of `routers/`."""

    KIND: ClassVar[str]
    SCHEMA: ClassVar[dict[str, Any]]
    EXAMPLE: ClassVar[dict[str, Any]]
    SIZING: ClassVar[Sizing]
    WATCHES: ClassVar[tuple[Resource, ...]]
    """Kinds it writes to: what somebody else does to them is seen, and put right."""
    Config: ClassVar[Any]
    """With `parse(reader)`, which raises SpecError."""
    create: Callable[[Any, Target, Outside], Router]
