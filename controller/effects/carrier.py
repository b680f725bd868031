"""The port between the outbox and a kind of effect.

A kind is a module of this folder:

    KIND = "webhook"                  the word in Effect.kind
    EXAMPLE, Config                   its payload: one that is valid, and a `record` of its fields
    RULES                             what it asks of the API server, for the operator's role
    LIMITS                            how many at once, and for how long
    create(context) -> Carrier
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from controller.api.choice import Module
from controller.api.effect import Effect
from controller.api.fields import Place, parse
from controller.api.pod_evidence import RejectedVersion
from controller.api.reading import SpecError
from controller.api.resources import Resource, Rule
from controller.kube.client import Items
from controller.kube.pod_logs import Streams
from controller.kube.secrets import Secrets
from controller.outward.addresses import Addresses
from controller.providers.rendering import Renderer

Fields = TypeVar("Fields")


class Owner(Protocol):
    """Whose effect it is: the key of the object whose status owes it. Hashable."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class CarriedOut:
    value: Mapping[str, Any]
    """JSON of at most 16 KiB, with nothing in it that a terminal would obey."""
    again_in: float | None = None
    """Seconds after which it is to be carried out again, because the value may change; None: never."""


class EffectFailedError(Exception):
    """It did not work this time. The sentence says what is, then the way out; it becomes part of the status."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds for which the other side wants to be left alone."""


class EffectRefusedError(Exception):
    """It can never work as it stands; the sentence says why."""


def payload_of(config: type[Fields], effect: Effect) -> Fields:
    """The effect's payload, read into a module's `Config`. Raises EffectRefusedError."""
    try:
        return parse(config, effect.payload, Place(effect.id))
    except (SpecError, ValueError) as error:
        raise EffectRefusedError(str(error)) from error


class Carrier(Protocol):
    """Carries out the effects of one kind; safe for concurrent use. It keeps nothing open between two calls."""

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        """Idempotent by `owner` and `effect.id`: it is asked again after a failure, a restart, a change of leaders.

        It may be cancelled at any await, and is, after LIMITS.timeout_s. Raises EffectFailedError, EffectRefusedError,
        KubeError: the API server's trouble is tried again when that wants to be asked again.
        """
        ...


@dataclass(frozen=True)
class Limits:
    """Of one kind. A tenant fills no more than its own part, whatever its receivers do."""

    at_once: int = 64
    per_namespace: int = 8
    timeout_s: float = 65.0
    first_retry_s: float = 0.5
    longest_retry_s: float = 60.0


class Cluster(Secrets, Streams, Protocol):
    """The part of the API server that effects need."""

    async def first_page(
        self, resource: Resource, namespace: str, *, labels: str, fields: str, most: int
    ) -> tuple[Items, bool]: ...

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]: ...

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]: ...

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool: ...


class Records(Protocol):
    """Where the record of a rollout stands. Each raises KubeError."""

    async def has_pod_evidence(self, namespace: str, name: str, rejected: RejectedVersion) -> bool: ...

    async def keep_pod_evidence(
        self,
        namespace: str,
        name: str,
        rejected: RejectedVersion,
        evidence: Mapping[str, Any],
        *,
        owner: Mapping[str, Any] | None,
    ) -> None: ...


@dataclass(frozen=True)
class EffectContext:
    """What a carrier may use."""

    kube: Cluster
    addresses: Addresses
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    records: Records | None = None
    cluster: str = ""
    """Its identity, a part of each revision's name."""
    texts: Renderer = field(default_factory=Renderer)
    """Renders the texts of notifications; whoever makes this closes it."""


class EffectModule(Module, Protocol):
    """A module of `effects/`."""

    @property
    def EXAMPLE(self) -> Mapping[str, Any]:
        """A payload."""
        ...

    @property
    def Config(self) -> type[Any]:
        """A `record` of a payload's fields."""
        ...

    @property
    def RULES(self) -> Sequence[Rule]: ...

    @property
    def LIMITS(self) -> Limits: ...

    def create(self, context: EffectContext, /) -> Carrier: ...
