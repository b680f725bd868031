"""What a MetricTemplate is, as people write it: what is asked of a source.

A template's parameters are typed, so that rendering can write each value as a literal of the query language and
nothing a person puts into a Release can change what a query does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as plain
from enum import StrEnum
from typing import Any

from controller.api.fields import RULES, Absent, Kinds, Place, Rule, field, parse, record
from controller.api.reading import SpecError, parse_duration
from controller.api.shapes import LABEL, Anything, Duration, Flag, List, Record, Text, Word, a_string, an_object

CLIENT = "client"
"""A unit of metrics, beside requests."""
COPIES_NOT_CLIENTS = (
    "it counts clients, and copies are requests: a client whose requests are copied in part has fewer chances to fail. "
    "Use a template without `unit: client`, or leave `analyze` out of the mirror step"
)
NOT_CLIENTS = (
    "its template counts requests. With strategy.canary.sticky one client makes many that are alike, and no chance is "
    "left to promise anything by: use a template with unit: client"
)
MAX_QUERY_BYTES = 16 * 1024
MAX_PARAMETERS = 20
MAX_TEXT = 1_000
DEFAULT_SOURCE = "default"

START_TOKEN = "@@pointsman.start@@"  # noqa: S105 - a place in a text, no secret
STOP_TOKEN = "@@pointsman.stop@@"  # noqa: S105 - as above
WINDOW_TOKEN = "@@pointsman.window@@"  # noqa: S105 - as above
"""Where a rendered query takes its window. No parameter may hold them, so they are only where a template put them."""
TOKEN_PREFIX = "@@pointsman."  # noqa: S105 - as above

_PARAMETER = "^[a-z][A-Za-z0-9_]{0,39}$"
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


CONTEXT_NAMES = frozenset(("cluster", "namespace", "service", "stable", "canary", "start", "stop"))
"""What every template knows; a provider adds names of its own (`in_queries` of its Config)."""


def injected(kinds: Kinds) -> list[str]:
    """The names that no parameter may have, in the order in which people read them."""
    own = [name for config in kinds.of("providers").values() for name in config.in_queries]
    return ["cluster", "namespace", "service", "stable", "canary", *dict.fromkeys(own), "start", "stop"]


class QueryText:
    """The text of a query, bounded in bytes too."""

    _text = Text(MAX_QUERY_BYTES, 1)

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return self._text.schema(kinds)

    def parse(self, value: Any, place: Place) -> str:
        size = len(a_string(value, place).encode())
        if size > MAX_QUERY_BYTES:
            raise place.refuse(f"{size} bytes, maximum is {MAX_QUERY_BYTES}")
        return self._text.parse(value, place)


def any_of_source(kinds: Kinds) -> dict[str, str]:
    """Stands in for what a source adds that is not known."""
    return {name: name for name in injected(kinds) if name not in CONTEXT_NAMES}


class _ParameterName:
    def schema(self, kinds: Kinds) -> dict[str, Any]:
        names = ", ".join(f"'{name}'" for name in injected(kinds))
        taken = Rule("is injected by Pointsman; choose another name", cel=f"!(self in [{names}])")
        return {**Text(40, 0, _PARAMETER).schema(kinds), RULES: [taken.schema()]}

    def parse(self, value: Any, place: Place) -> str:
        name = a_string(value, place)
        if not re.search(_PARAMETER, name) or name in _KEYWORDS:
            raise place.refuse(f"{name!r} is not a name a template can use, such as maxAge")
        if name in injected(place.kinds):
            raise place.refuse(f"{name} is injected by Pointsman; choose another name")
        return name


@record()
class _Parameter:
    name: str = field(_ParameterName(), "Name in the query.")
    type: ParameterType = field(
        Word(tuple(map(str, ParameterType))),
        "Determines how the value is written as a literal of the query language.",
        default="string",
        convert=ParameterType,
    )
    default: Any = field(Anything(), "A value of that type. Without it, each Release must set one.", default=Absent())
    description: str = field(Text(1000), "For people.", default=Absent(""))


@dataclass(frozen=True)
class Parameter:
    """`default` is None where the Release has to say a value."""

    name: str
    type: ParameterType
    default: Value | None = None
    description: str = ""


class _TypedParameter:
    """A parameter, its default being of its type."""

    _written = Record(_Parameter, "One parameter.")

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return self._written.schema(kinds)

    def parse(self, value: Any, place: Place) -> Parameter:
        one: _Parameter = self._written.parse(value, place)
        default = None if one.default is None else _typed(one.default, one.type, place.at("default").path)
        return Parameter(one.name, one.type, default, one.description)


@record()
class _Cohort:
    maturity: float = field(
        Duration("1s", "1h"),
        "How long after its beginning a unit's outcome is known, 1s to 1h. Each look reads a window that is so much "
        "older.",
    )


@record()
class _Thresholds:
    always: str = field(Text(40, 0, _PARAMETER), "The parameter, a number, that is one of the thresholds in any case.")


def _always_is_a_number(template: MetricTemplate, place: Place) -> None:
    numbers = [parameter.name for parameter in template.parameters if parameter.type is ParameterType.NUMBER]
    if template.always and template.always not in numbers:
        names = ", ".join(numbers) or "none"
        problem = f"{template.always!r} is not a parameter of type number (of those it has: {names})"
        raise place.at("thresholds").at("always").refuse(problem)


@record(
    "A query and its parameters.",
    rules=[
        Rule(
            "thresholds.always names a parameter of type number",
            cel="!has(self.thresholds) || "
            "self.parameters.exists(p, p.name == self.thresholds.always && p.type == 'number')",
        )
    ],
    checks=[_always_is_a_number],
    kw_only=True,
)
class MetricTemplate:
    """A query to be filled in."""

    source: str = field(
        Text(63, 1, LABEL, looks="the name of a MetricSource"),
        "The MetricSource, in this template's namespace, to query.",
        default=DEFAULT_SOURCE,
    )
    language: str = field(Text(40, 1), "Language of the query; the source must support it.")
    query: str = field(
        QueryText(),
        "Jinja2, sandboxed; undefined names are errors. Besides the parameters these are known: cluster, namespace, "
        "service, stable, canary, start, stop, and what the source adds, such as bucket. What is about one Release "
        "alone stands in `{% filter either %}` or `{% filter alternatives %}`, so that one query can be about many.",
    )
    parameters: tuple[Parameter, ...] = field(
        List(_TypedParameter(), MAX_PARAMETERS, unique=("name",)), "What a Release can set.", default=[]
    )
    warm_up: bool = field(
        Flag(),
        "Whether looks are left out while pods warm up, because values are worse then, such as latencies.",
        default=False,
    )
    maturity: float = field(
        Record(_Cohort),
        "Rows count units by when they began; their outcome comes later, as with retries and dead letters. Without "
        "it, a unit is counted when it ends.",
        default=Absent(0.0),
        key="cohort",
        convert=lambda cohort: cohort.maturity,
    )
    """Seconds after a unit's beginning until its outcome is known; 0 where a unit is counted when it ends."""
    unit: str = field(
        Word(("request", CLIENT)),
        "What its rows count: requests (or messages; the default), or clients, each once for a version and bad if "
        "one of its requests was. A canary that keeps clients with one version (strategy.canary.sticky) needs "
        "clients.",
        default=Absent("request"),
    )
    at_router: bool = field(
        Flag(),
        "Whether its units are counted by the router that splits the work. Then a share that is not the weight shows "
        "that work is missing.",
        default=False,
    )
    in_progress: bool = field(
        Flag(),
        "Whether its rows count requests that still run, too. A version that hangs ends none, so without such a metric "
        "only a time-out of the router shows that: `pointsman validate` looks for one of the two.",
        default=Absent(value=False),
    )
    halves: bool = field(
        Flag(),
        "Rows come for two halves of a revision's pods, which a column `half` tells apart, a and b. Stable's halves "
        "are compared with each other, and where they differ more often than chance has it the metric only advises.",
        default=False,
    )
    always: str = field(
        Record(_Thresholds),
        "Rows have a column `threshold`, in seconds. A Release is judged at those that lie at the quantiles of what "
        "stable did before.",
        default=Absent(""),
        key="thresholds",
        convert=lambda thresholds: thresholds.always,
    )
    """The parameter that is one of the thresholds in any case; empty where the rows have no threshold."""
    description: str = field(Text(1000), "What it measures, in words.", default=Absent(""))
    injected: frozenset[str] = CONTEXT_NAMES
    """Names that a Release cannot set."""

    def types(self) -> dict[str, ParameterType]:
        return {parameter.name: parameter.type for parameter in self.parameters}


@dataclass(frozen=True)
class Context:
    """What every template knows and nobody can set. `stable` is empty before the first version is stable."""

    cluster: str
    namespace: str
    service: str
    stable: str
    canary: str
    of_source: Mapping[str, str] = plain(default_factory=dict)
    """What the source's provider adds, such as a bucket."""

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
            **self.of_source,
        }


def parse_template(raw_spec: object, path: str, *, languages: Collection[str], kinds: Kinds) -> MetricTemplate:
    """`languages` are those some provider speaks. Raises SpecError."""
    place = Place(path, kinds)
    template = parse(MetricTemplate, raw_spec, place)
    if template.language not in languages:
        raise place.at("language").refuse(f"{template.language!r} is not one of {', '.join(sorted(languages))}")
    return replace(template, injected=frozenset(injected(kinds)))


def bind(template: MetricTemplate, raw: object, path: str) -> dict[str, Value]:
    """A value for each parameter of the template: what the Release says, else the default.

    `raw` is the Release's `parameters` at `path`. Raises SpecError for unknown, missing and mistyped ones.
    """
    given = {} if raw is None else an_object(raw, Place(path))
    types = template.types()
    for name in given:
        if name in template.injected:
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
        raise SpecError(path, f"{len(value)} characters, maximum is {MAX_TEXT}")
    if TOKEN_PREFIX in value:
        raise SpecError(path, f"may not hold {TOKEN_PREFIX!r}, which stands for the window")
    if _CONTROL.search(value):
        raise SpecError(path, "holds a control character")
    return value
