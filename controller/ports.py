"""What the engine asks of the outside world, as narrow as it can be asked.

A router, a metric provider or a store is whatever fulfils one of these; nothing above this module knows
which one it talks to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Protocol, TypeVar, runtime_checkable

from controller.api.alerts import FiringAlert
from controller.api.choice import Module
from controller.api.mail import MailServer
from controller.api.notice import Notification
from controller.api.notify import NotifierConfig
from controller.api.resources import Resource, Rule
from controller.rollout.preview import Preview, Reach
from controller.rollout.sizing import Sizing

Service = TypeVar("Service")


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
class RouterSigns:
    """What a router sees besides the weights."""

    edited_by: str = ""
    """The last manager other than Pointsman that wrote the route; empty where there is none."""
    refused: str = ""
    """Why what is written has no effect, in a sentence, where the router says so."""
    unanswered: str = ""
    """Who has not said yet whether it takes effect, in a sentence."""
    written_at: float = 0.0
    """When Pointsman wrote the route last, in seconds since the epoch; 0 where that is not known."""
    unused_credits_s: float = 0.0
    """For how long the canary has left work unused that was meant for it alone."""
    on_trial: str | None = None
    """As it was set (`Weights.on_trial`); None where the router keeps no such mark."""


@dataclass(frozen=True)
class Weights:
    """Percent of the work per revision: they sum to 100. A revision that is not named gets none.

    `stable`, `hard_stop` and `on_trial` are said when weights are set, `signs` when they are observed.
    """

    shares: Mapping[str, float]
    stable: str = field(default="", compare=False)
    """The revision that is stable; empty before there is one."""
    hard_stop: bool = field(default=False, compare=False)
    """Work that a revision without a share has already taken is stopped too, where the router can do that."""
    on_trial: str = field(default="", compare=False)
    """The revision that has all of the work and may lose it again. Consumers of a queue go by it."""
    signs: RouterSigns = field(default=RouterSigns(), compare=False)


@dataclass(frozen=True)
class Previewed:
    preview: Preview | None = None
    """As it is written; its revision is empty where it is not as Pointsman writes it."""
    refused: str = ""
    """Why it cannot be reached, in a sentence."""


class KubeApi(Protocol):
    """The part of the API server that routers need (`kube.client.KubeClient` has it all)."""

    async def find(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None: ...

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> list[dict[str, Any]]: ...

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]: ...

    async def replace(self, resource: Resource, body: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]: ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, seen: Mapping[str, Any] | None = None
    ) -> bool: ...


class RouterError(Exception):
    """The router cannot do what was asked; the sentence says what is missing."""


class TakenError(RouterError):
    """An object of another owner has the name that the route needs."""


@dataclass(frozen=True)
class RoutedService:
    """The service a router moves work for. `owner` is the ownerReferences entry for what it creates, or None."""

    namespace: str
    name: str
    owner: Mapping[str, Any] | None
    ports: tuple[Mapping[str, Any], ...]
    """As the spec has them."""
    ports_by_revision: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Of Services NAME-REVISION: each version has its own ports."""

    cookie: str = ""
    """By which each client is kept with one version; empty: none is."""
    at_rest: bool = False
    """The Release has no finalizer, so nothing that somebody else keeps is taken for it now."""
    deleting: bool = False
    """The Release is being deleted."""

    def ports_of(self, revision: str) -> tuple[Mapping[str, Any], ...]:
        return self.ports_by_revision.get(revision, self.ports)


@dataclass(frozen=True)
class RouterContext:
    """What a router may use. Services that only some routers need are asked for by their class."""

    kube: KubeApi
    services: tuple[object, ...] = ()

    def service(self, kind: type[Service]) -> Service:
        """Raises RouterError where this operator has none."""
        for service in self.services:
            if isinstance(service, kind):
                return service
        raise RouterError(f"this operator runs without {kind.__name__}")


class Router(Protocol):
    async def observe(self) -> Weights | None:
        """The weights that are written, or None while there is no route."""
        ...

    async def ensure(self, weights: Weights) -> bool:
        """Idempotent: True when something had to be written. Raises RouterError."""
        ...

    async def reset(self, stable: str) -> None:
        """Another router has the traffic now: everything to `stable`, and nothing of ours is left. Idempotent; what is
        somebody else's is left as it is. Raises RouterError.
        """
        ...


@runtime_checkable
class Previews(Protocol):
    """A Router that can let requests at a version besides its weights: `Config.can` names "preview"."""

    async def observe_preview(self) -> Previewed:
        """Follows `Router.observe`."""
        ...

    async def show(self, preview: Preview | None) -> None:
        """None: nothing of it is left. Idempotent. Raises RouterError."""
        ...


@runtime_checkable
class Borrows(Protocol):
    """A Router whose route somebody else may keep: it is taken while there is work to split, and given back."""

    @property
    def holds(self) -> bool | None:
        """Whether something of it is taken; None where the route is Pointsman's. Follows `Router.observe`."""
        ...

    @property
    def refused(self) -> str:
        """Why it cannot be taken, in a sentence; empty where it can. Follows `Router.observe`."""
        ...

    async def give_back(self) -> None:
        """As whoever keeps it wrote it: it leads to Service NAME. Idempotent. Raises RouterError."""
        ...


@dataclass(frozen=True)
class Lack:
    message: str
    """What a router cannot do here, and why: a part of a sentence."""
    is_certain: bool = True
    """False: that cannot be known now, as before anything has said so."""


@runtime_checkable
class DependsOnCluster(Protocol):
    """A Router that can do what `Config.can` names only where its cluster can."""

    async def lacks(self, reach: Reach) -> Lack | None:
        """Why requests cannot reach a version in this way here; None: they can. Follows `Router.observe`."""
        ...


@runtime_checkable
class AlertSource(Protocol):
    """A MetricProvider whose system has alerts as well."""

    async def firing(self, labels: Mapping[str, str]) -> Sequence[FiringAlert]:
        """Those that fire with these labels and are not silenced; none that is pending. Raises as `query` does."""
        ...


class NamedDialect(Protocol):
    """`providers._languages.Dialect`."""

    @property
    def name(self) -> str: ...


class Resolve(Protocol):
    """`controller/outward/transport.py` connects by it."""

    async def __call__(self, host: str, port: int, /) -> Sequence[str]:
        """The addresses that may be connected to, the best one first. Raises TargetError."""
        ...


class TargetError(Exception):
    """The target cannot be resolved, or may not be called; the sentence says which."""


class ProviderModule(Module, Protocol):
    """A module of `providers/`."""

    @property
    def Config(self) -> type[Any]:
        """A `record` of its fields, and a `ProviderConfig`."""
        ...

    @property
    def DIALECTS(self) -> Sequence[NamedDialect]: ...

    def create(self, config: Any, secrets: Mapping[str, str], resolve: Resolve | None, /) -> MetricProvider:
        """`secrets` are the contents of those that the config names. `resolve` says which addresses may be connected
        to; None: all, because whoever may write sources beside the operator is trusted.
        """
        ...


class RouterModule(Module, Protocol):
    """A module of `routers/`."""

    @property
    def SIZING(self) -> Sizing: ...

    @property
    def WATCHES(self) -> Sequence[Resource]:
        """Kinds it writes to: what somebody else does to them is seen, and put right."""
        ...

    @property
    def RULES(self) -> Sequence[Rule]:
        """What it asks of the API server, for the operator's role."""
        ...

    def create(self, config: Any, target: RoutedService, context: RouterContext, /) -> Router:
        """`config` is None where the spec names another router, and this one is left."""
        ...


class Post(Protocol):
    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str], /) -> None:
        """Returns once the receiver has answered 2xx. Loopback, link-local and the API server are not called.

        Raises what `Notifier.send` may let through: no answer, another answer, an address that may not be called.
        """
        ...


class Mail(Protocol):
    async def __call__(self, server: MailServer, message: EmailMessage, /) -> None:
        """Returns once the server has taken the mail for all of its recipients. The same addresses are called as by
        `Post`, and the same errors let through.
        """
        ...


@dataclass(frozen=True)
class NotifierContext:
    """What a notifier may use."""

    post: Post
    mail: Mail
    clock: Callable[[], float]
    """Seconds since the epoch."""


class Notifier(Protocol):
    async def send(self, notification: Notification) -> None:
        """Idempotent by the notification's id, which goes along, so that a receiver can tell a repeated one.

        It is cancelled after 15 s. What it raises means: not delivered, so it is called again later.
        """
        ...


class NotifierModule(Module, Protocol):
    """A module of `effects/notifiers/`."""

    @property
    def Config(self) -> type[NotifierConfig]:
        """A `record` of its fields."""
        ...

    def create(self, config: Any, secrets: Mapping[str, str], context: NotifierContext, /) -> Notifier:
        """`secrets` are the contents of those that the config names."""
        ...
