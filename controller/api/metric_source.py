"""What a MetricSource is, as people write it: where metrics come from, and who may ask there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from controller.api.choice import chosen, with_modules
from controller.api.fields import Absent, Kinds, Place, field, parse, record
from controller.api.fields import schema as schema_of
from controller.api.metrics import QueryText
from controller.api.secret import SecretRef
from controller.api.shapes import Duration, Flag, List, Record, Text, an_object

MAX_NAMESPACES = 200
ALL_NAMESPACES = "*"


@record()
class HeartbeatSpec:
    """A query that has an answer as long as the pipeline lives."""

    language: str = field(Text(40, 1), "Language of the query; the source must support it.")
    query: str = field(
        QueryText(),
        "Any row is a sign of life. As in a MetricTemplate; known are start, stop and what the source adds, such as "
        "bucket.",
    )
    max_age: float = field(
        Duration("1s"), "The longest time without a row before the source counts as silent, at least 1s.", default="30s"
    )


@record("Where metrics come from, and who may query it. Exactly one kind.")
class _Source:
    allowed_namespaces: tuple[str, ...] = field(
        List(
            Text(63, 0, r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$", looks="a namespace, nor * for all"),
            MAX_NAMESPACES,
            kind="set",
        ),
        "Namespaces, besides this one, whose Releases may query this source; * for all.",
        default=[],
    )
    heartbeat: HeartbeatSpec | None = field(
        Record(HeartbeatSpec),
        "Tells an idle service from a broken pipeline: a query on a series that never rests. Without "
        "a row for maxAge the source counts as out, and spec.analysis.onOutage of each Release decides.",
        default=Absent(),
    )
    allow_inline: bool = field(
        Flag(), "Whether a Release may bring its own query instead of a MetricTemplate.", default=False
    )


class ProviderConfig(Protocol):
    """What a provider declares of its part of a MetricSource: a `record`, with what it needs from outside."""

    in_queries: ClassVar[tuple[str, ...]]
    """Those of its fields that are names in queries, such as a bucket."""

    def secrets(self) -> Mapping[str, SecretRef]:
        """The secrets it asks for, by the names it knows them by; none where it needs none."""
        ...


@dataclass(frozen=True)
class MetricSource:
    """Where metrics come from."""

    kind: str
    config: ProviderConfig
    allowed_namespaces: tuple[str, ...] = ()
    allow_inline: bool = False
    heartbeat: HeartbeatSpec | None = None

    def serves(self, namespace: str, *, own: str) -> bool:
        """Whether a Release in `namespace` may ask; `own` is the namespace the source lies in."""
        return namespace == own or namespace in self.allowed_namespaces or ALL_NAMESPACES in self.allowed_namespaces

    def in_queries(self) -> dict[str, str]:
        """What the provider adds to the names a query may use."""
        return {name: str(getattr(self.config, name)) for name in self.config.in_queries}


def parse_source(raw_spec: object, path: str, kinds: Kinds) -> MetricSource:
    """Raises SpecError."""
    place, providers = Place(path, kinds), kinds.of("providers")
    raw = an_object(raw_spec, place)
    written = parse(_Source, raw, place, with_keys=list(providers))
    choice = chosen(raw, providers, place)
    return MetricSource(choice.kind, choice.config, written.allowed_namespaces, written.allow_inline, written.heartbeat)


def source_schema(kinds: Kinds) -> dict[str, Any]:
    return with_modules(schema_of(_Source, kinds), kinds.of("providers"), kinds)
