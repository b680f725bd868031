"""What a metric is, as people write it: where it comes from (MetricSource) and what it asks (MetricTemplate).

A template's parameters are typed, so that rendering can write each value as a literal of the query language and
nothing a person puts into a Release can change what a query does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.api.reading import Reader, SpecError, parse_duration

MAX_QUERY_BYTES = 16 * 1024
MAX_PARAMETERS = 20
MAX_TEXT = 1_000
MAX_MATURITY_S = 3600.0
MAX_NAMESPACES = 200
DEFAULT_SOURCE = "default"
ALL_NAMESPACES = "*"

START_TOKEN = "@@pointsman.start@@"  # noqa: S105 - a place in a text, no secret
STOP_TOKEN = "@@pointsman.stop@@"  # noqa: S105 - as above
"""Where a rendered query takes its window. No parameter may hold them, so they are only where a template put them."""
TOKEN_PREFIX = "@@pointsman."  # noqa: S105 - as above

_PARAMETER = re.compile(r"[a-z][A-Za-z0-9_]{0,39}")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_REVISION = re.compile(r"[a-z2-7]{10}")
_KEYWORDS = frozenset(("and", "caller", "else", "false", "for", "if", "import", "in", "is", "kwargs", "loop", "none"))
_KEYWORDS |= {"not", "or", "range", "self", "true", "varargs"}
"""Names that mean something else inside a template."""

Value = str | int | float | bool
"""What a parameter is worth; a duration is its seconds."""


class ParameterType(StrEnum):
    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    DURATION = "duration"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Parameter:
    """`default` is None where the Release has to say a value."""

    name: str
    type: ParameterType
    default: Value | None = None
    description: str = ""


@dataclass(frozen=True)
class MetricTemplate:
    """A query to be filled in. `warm_up`: looks do not count while pods warm up, as latencies are worse then."""

    source: str
    language: str
    query: str
    parameters: tuple[Parameter, ...] = ()
    warm_up: bool = False
    description: str = ""
    maturity: float = 0.0
    """Seconds after a unit's beginning until its outcome is known; 0 where a unit is counted when it ends."""
    at_router: bool = False
    """Its units are counted by the router that splits the work."""
    always: str = ""
    """The parameter that is one of the thresholds in any case; empty where the rows have no threshold."""
    halves: bool = False
    """Rows come for two halves of a revision's pods, for the standing control."""

    def types(self) -> dict[str, ParameterType]:
        return {parameter.name: parameter.type for parameter in self.parameters}


@dataclass(frozen=True)
class HeartbeatSpec:
    """A query that has an answer as long as the pipeline lives; `max_age` in seconds."""

    language: str
    query: str
    max_age: float


@dataclass(frozen=True)
class MetricSource:
    """Where metrics come from. `config` is what the provider's own parser made of its part."""

    kind: str
    config: Any
    allowed_namespaces: tuple[str, ...] = ()
    allow_inline: bool = False
    heartbeat: HeartbeatSpec | None = None

    def serves(self, namespace: str, *, own: str) -> bool:
        """Whether a Release in `namespace` may ask; `own` is the namespace the source lies in."""
        return namespace == own or namespace in self.allowed_namespaces or ALL_NAMESPACES in self.allowed_namespaces


@dataclass(frozen=True)
class Context:
    """What every template knows and nobody can set. `stable` is empty before the first version is stable."""

    cluster: str
    namespace: str
    service: str
    stable: str
    canary: str
    bucket: str = ""

    def __post_init__(self) -> None:
        for name in ("stable", "canary"):
            revision = getattr(self, name)
            if not _REVISION.fullmatch(revision) and (revision or name == "canary"):
                raise ValueError(f"{name} {revision!r} is not a revision of ten base32 letters")

    def values(self) -> dict[str, str]:
        return {
            "cluster": self.cluster,
            "namespace": self.namespace,
            "service": self.service,
            "stable": self.stable,
            "canary": self.canary,
            "bucket": self.bucket,
        }


CONTEXT_NAMES = frozenset(("cluster", "namespace", "service", "stable", "canary", "bucket", "start", "stop"))


def parse_source(raw_spec: object, path: str, providers: Mapping[str, Callable[[Reader], Any]]) -> MetricSource:
    """`providers` maps each kind to the parser of its part. Raises SpecError."""
    reader = Reader.of(raw_spec, path).only(*providers, "allowedNamespaces", "allowInline", "heartbeat")
    kind = reader.one_of(providers)
    return MetricSource(
        kind=kind,
        config=providers[kind](reader.child(kind)),
        allowed_namespaces=_namespaces(reader),
        allow_inline=reader.flag("allowInline"),
        heartbeat=_heartbeat(reader.child("heartbeat")) if reader.has("heartbeat") else None,
    )


def _heartbeat(reader: Reader) -> HeartbeatSpec:
    reader.only("language", "query", "maxAge")
    max_age = reader.seconds("maxAge", 30.0)
    if max_age < 1:
        raise SpecError(reader.at("maxAge"), "is shorter than 1s")
    return HeartbeatSpec(reader.text("language"), _query(reader), max_age)


def _query(reader: Reader) -> str:
    query = reader.text("query")
    size = len(query.encode())
    if size > MAX_QUERY_BYTES:
        raise SpecError(reader.at("query"), f"is {size} bytes long, at most {MAX_QUERY_BYTES} are allowed")
    return query


def parse_template(raw_spec: object, path: str, *, languages: Collection[str]) -> MetricTemplate:
    """`languages` are those some provider speaks. Raises SpecError."""
    reader = Reader.of(raw_spec, path).only(
        "source",
        "language",
        "query",
        "parameters",
        "warmUp",
        "cohort",
        "atRouter",
        "thresholds",
        "halves",
        "description",
    )
    source = reader.text("source", DEFAULT_SOURCE)
    if not _DNS_LABEL.fullmatch(source):
        raise SpecError(reader.at("source"), f"{source!r} is not the name of a MetricSource")
    language = reader.text("language")
    if language not in languages:
        raise SpecError(reader.at("language"), f"{language!r} is not one of {', '.join(sorted(languages))}")
    parameters = _parameters(reader)
    return MetricTemplate(
        source=source,
        language=language,
        query=_query(reader),
        parameters=parameters,
        always=_always(reader.child("thresholds"), parameters) if reader.has("thresholds") else "",
        warm_up=reader.flag("warmUp"),
        maturity=_maturity(reader.child("cohort")) if reader.has("cohort") else 0.0,
        at_router=reader.flag("atRouter"),
        halves=reader.flag("halves"),
        description=reader.text("description", ""),
    )


def _maturity(reader: Reader) -> float:
    maturity = reader.only("maturity").seconds("maturity")
    if not 1 <= maturity <= MAX_MATURITY_S:
        raise SpecError(reader.at("maturity"), "is not between 1s and 1h")
    return maturity


def _always(reader: Reader, parameters: tuple[Parameter, ...]) -> str:
    name = reader.only("always").text("always")
    numbers = [parameter.name for parameter in parameters if parameter.type is ParameterType.NUMBER]
    if name not in numbers:
        raise SpecError(
            reader.at("always"),
            f"{name!r} is not a parameter of type number (of those it has: {', '.join(numbers) or 'none'})",
        )
    return name


def bind(template: MetricTemplate, raw: object, path: str) -> dict[str, Value]:
    """A value for each parameter of the template: what the Release says, else the default.

    `raw` is the Release's `parameters` at `path`. Raises SpecError for unknown, missing and mistyped ones.
    """
    given = {} if raw is None else Reader.of(raw, path).raw
    types = template.types()
    for name in given:
        if name in CONTEXT_NAMES:
            raise SpecError(f"{path}.{name}", "is injected by Pointsman and cannot be set")
        if name not in types:
            known = ", ".join(types) or "none"
            raise SpecError(f"{path}.{name}", f"is not a parameter of this template (it has: {known})")
    bound: dict[str, Value] = {}
    for parameter in template.parameters:
        value = given.get(parameter.name)
        if value is not None:
            bound[parameter.name] = _typed(value, parameter.type, f"{path}.{parameter.name}")
        elif parameter.default is not None:
            bound[parameter.name] = parameter.default
        else:
            raise SpecError(f"{path}.{parameter.name}", f"is required: a {parameter.type}")
    return bound


def _namespaces(reader: Reader) -> tuple[str, ...]:
    raw = reader.raw.get("allowedNamespaces") or []
    path = reader.at("allowedNamespaces")
    if not isinstance(raw, list):
        raise SpecError(path, f"expected a list, found {raw!r}")
    if len(raw) > MAX_NAMESPACES:
        raise SpecError(path, f"has {len(raw)} entries, at most {MAX_NAMESPACES} are allowed")
    for index, name in enumerate(raw):
        if not isinstance(name, str) or (name != ALL_NAMESPACES and not _DNS_LABEL.fullmatch(name)):
            raise SpecError(f"{path}[{index}]", f"{name!r} is not a namespace, nor * for all")
    return tuple(raw)


def _parameters(reader: Reader) -> tuple[Parameter, ...]:
    items = reader.items("parameters")
    if len(items) > MAX_PARAMETERS:
        raise SpecError(reader.at("parameters"), f"has {len(items)} entries, at most {MAX_PARAMETERS} are allowed")
    parameters: dict[str, Parameter] = {}
    for item in items:
        item.only("name", "type", "default", "description")
        name = item.text("name")
        if not _PARAMETER.fullmatch(name) or name in _KEYWORDS:
            raise SpecError(item.at("name"), f"{name!r} is not a name a template can use, such as maxAge")
        if name in CONTEXT_NAMES:
            raise SpecError(item.at("name"), f"{name} is injected by Pointsman; choose another name")
        if name in parameters:
            raise SpecError(item.at("name"), f"{name} is there twice")
        kind = ParameterType(item.choice("type", tuple(ParameterType), ParameterType.STRING))
        default = item.raw.get("default")
        parameters[name] = Parameter(
            name=name,
            type=kind,
            default=None if default is None else _typed(default, kind, item.at("default")),
            description=item.text("description", ""),
        )
    return tuple(parameters.values())


def _typed(value: object, kind: ParameterType, path: str) -> Value:
    match kind, value:
        case ParameterType.BOOLEAN, bool():
            return value
        case ParameterType.STRING, str():
            return _checked_text(value, path)
        case ParameterType.DURATION, str():
            return parse_duration(value, path)
        case ((ParameterType.INTEGER | ParameterType.NUMBER), bool()):
            pass
        case ParameterType.INTEGER, int() if abs(value) < 2**63:
            return value
        case ParameterType.NUMBER, (int() | float()) if math.isfinite(value):
            return float(value)
    example = {ParameterType.DURATION: " such as 90s", ParameterType.BOOLEAN: ": true or false"}.get(kind, "")
    raise SpecError(path, f"{value!r} is not a {kind}{example}")


def _checked_text(value: str, path: str) -> str:
    if len(value) > MAX_TEXT:
        raise SpecError(path, f"is {len(value)} letters long, at most {MAX_TEXT} are allowed")
    if TOKEN_PREFIX in value:
        raise SpecError(path, f"may not hold {TOKEN_PREFIX!r}, which stands for the window")
    if _CONTROL.search(value):
        raise SpecError(path, "holds a control character")
    return value
