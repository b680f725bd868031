"""A Release's `spec`: its fields, each declared once, and what the rest of the program reads.

Routers and steps are found in their folders and handed in as `kinds`, so this module knows none of them by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.choice import Choice, Entry, OneOf
from controller.api.fields import NO_KINDS, RULES, Absent, Kinds, Place, Rule, declared, field, parse, record, schema
from controller.api.notify import NOTIFY, Notify
from controller.api.pod_template import POD_TEMPLATE
from controller.api.reading import SpecError, parse_duration
from controller.api.shapes import (
    LABEL,
    NAME,
    Custom,
    Duration,
    Flag,
    Integer,
    List,
    Number,
    Record,
    Share,
    Text,
    Values,
    Word,
    a_string,
)

__all__ = ["Choice", "Kinds"]

NAME_MOST = 52
"""Characters of a Release's name: NAME-REVISION (10 letters and a dash) must fit a Service's 63."""

_SERVICE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")

ON_NEW_VERSION = ("restart", "finish", "queue")
ON_TIMEOUT = ("proceed", "wait", "rollback")


def _fraction(percent: float) -> float:
    return percent / 100


# -- spec.analysis -------------------------------------------------------------------------------------------------


@record()
class Margin:
    rollback_above: float = field(
        Number(1, 100), "Odds ratio of canary to stable above which a version is rolled back.", default=1.1
    )
    promote_below: float | None = field(
        Number(1, 100),
        "Odds ratio of canary to stable that must be excluded before the canary counts as no worse.",
        default=1.5,
    )
    slack: float = field(
        Share(50, by_parser=True),
        "Share of bad units that is tolerated beyond the ratio, above 0% and at most 50%; "
        "for rates so small that a ratio says little.",
        default=Absent(0.0),
        convert=_fraction,
    )
    """Rate of bad units, 0 to 1, that is tolerated beyond the ratio, which then is one of rates."""


@record()
class Limit:
    max: float = field(Share(50, by_parser=True), "Share of bad units, above 0% and at most 50%.", convert=_fraction)


_ONE_OF_EACH = "limit stands beside a margin: give two metrics, one of each"


@record(
    rules=[
        Rule(
            _ONE_OF_EACH,
            cel="!(has(self.margin) && has(self.limit))",
            test=lambda metric: metric.margin_given is None or metric.limit_given is None,
            at="limit",
            says=_ONE_OF_EACH.removeprefix("limit "),
        )
    ]
)
class _Metric:
    name: str = field(Text(63, 1, LABEL), "Name of this metric in status, events and records.")
    template: str = field(Text(253, 1, NAME), "A MetricTemplate of this namespace, or else of the operator's.")
    path: str = ""
    parameters: Mapping[str, Any] = field(
        Values(20),
        "Values of the template's parameters: texts, numbers, durations, true or false.",
        default=Absent({}),
    )
    limit_given: Limit | None = field(
        Record(Limit),
        "What the canary must not exceed, whatever stable does; instead of margin.",
        default=Absent(),
        key="limit",
    )
    margin_given: Margin | None = field(
        Record(Margin),
        "How much worse than stable the canary may be. Default: 1.1 and 1.5.",
        default=Absent(),
        key="margin",
    )


@dataclass(frozen=True)
class Metric:
    name: str
    template: str
    parameters: Mapping[str, Any]
    margin: Margin | None
    """Compared with stable; None where a limit is set."""
    path: str
    limit: float | None = None
    """Rate of bad units, 0 to 1, that the canary may not exceed whatever stable does."""

    @classmethod
    def of(cls, written: _Metric) -> Metric:
        limit = written.limit_given
        margin = None if limit is not None else written.margin_given or Margin()
        return cls(
            written.name,
            written.template,
            written.parameters,
            margin,
            written.path,
            None if limit is None else limit.max,
        )


def _settle(value: Any, place: Place) -> float | None:
    return None if a_string(value, place) == "auto" else parse_duration(value, place.path)


_SETTLE = Custom({"type": "string", "pattern": r"^(auto|(\d{1,6}(ms|s|m|h|d))+)$", "maxLength": 20}, _settle)


@record()
class Advanced:
    settle: float | None = field(
        _SETTLE,
        "Time that late points are given before a look's window closes: a duration, or auto, which learns it from "
        "stable's counts while the canary's pods start, between 500ms and 15s; 3s where they are too few to tell.",
        default="auto",
    )
    """Seconds; None: learnt from stable."""
    warm_up: float = field(Duration(), "Time after a scale-up in which latency is not compared.", default="30s")
    min_bad_units: int = field(Integer(1, 1_000_000), "Fewest bad units of the canary for a rollback.", default=5)
    min_units: int = field(
        Integer(0, 1_000_000_000), "Fewest units of the canary for a step to complete by its clock alone.", default=50
    )
    max_false_promotion: float = field(
        Share(50),
        "Bound on the probability of calling a bad version no worse, above 0% and at most 50%: each metric, all looks "
        "together.",
        default="5%",
        convert=_fraction,
    )


@record()
class OnOutage:
    """What becomes of the canary's work while nobody can see what it does."""

    wait_at_most: float = field(Duration(), "How long to stay at the weight.", default="15m")
    to_stable: bool = field(
        Word(("stable", "stay")),
        "stable: weight 0 until the data are back; stay: keep waiting at the present weight.",
        default="stable",
        key="then",
        convert=lambda word: word == "stable",
    )


@record()
class Analysis:
    interval: float = field(Duration("1s"), "Time from one look to the next, at least 1s.", default="5s")
    alpha: float = field(
        Share(50),
        "Bound on the probability of rolling back a good version, above 0% and at most 50%: whole release, all metrics "
        "and looks together.",
        default="1%",
        key="maxFalseRollback",
        convert=_fraction,
    )
    on_timeout: str = field(
        Word(ON_TIMEOUT),
        "What happens when atMost has passed with enough units, and with neither proof nor suspicion.",
        default="proceed",
    )
    metrics: tuple[Metric, ...] = field(
        List(Record(_Metric, "One metric."), 20, unique=("name",)),
        "What is compared: each a MetricTemplate with its parameters filled in.",
        default=[],
        convert=lambda written: tuple(map(Metric.of, written)),
    )
    advanced: Advanced = field(Record(Advanced), "Settings that rarely need a change.", default={})
    on_outage: OnOutage = field(
        Record(OnOutage),
        "What happens to the canary's work while its metrics are out or missing. Nothing is rejected, and git is not "
        "touched.",
        default={},
        filled=True,
    )
    max_harmed: int | None = field(
        Integer(1),
        "Hard stop without statistics: bad canary units beyond what stable's rate would have given.",
        default=Absent(),
    )


# -- spec.strategy -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """Canary pods: `fixed` of them, as many as stable (`full`), or as the weight asks for."""

    full: bool = False
    fixed: int | None = None


@record()
class _Pods:
    replicas: int = field(Integer(1, 10_000), "Number of pods, whatever the weight.")


def _scale(value: Any, place: Place) -> Scale:
    match value:
        case "matchWeight":
            return Scale()
        case "full":
            return Scale(full=True)
        case Mapping():
            return Scale(fixed=parse(_Pods, value, place).replicas)
        case _:
            raise place.refuse(f"{value!r} is not matchWeight, full or {{replicas: n}}")


# A word or an object: no structural type says that. The pattern holds for texts, the rest for objects.
SCALE = Custom(
    {
        "x-kubernetes-preserve-unknown-fields": True,
        "pattern": "^(matchWeight|full)$",
        "required": ["replicas"],
        "maxProperties": 1,
        "properties": schema(_Pods, NO_KINDS)["properties"],
    },
    _scale,
)


def _grow(steps: tuple[Any, ...], place: Place) -> None:
    last = 0.0
    for index, step in enumerate(steps):
        if step.weight is not None and step.weight < last:
            problem = f"{step.weight:g} is less than the step before it ({last:g})"
            raise place.item(index).at("weight").refuse(problem)
        last = last if step.weight is None else step.weight


STEPS = List(
    Entry("steps", "One step."),
    50,
    kind="atomic",
    rules=(
        # Whole percents only: a string here is reckoned as long as a request can be, and reading its number costs
        # more than 100 times CEL's budget (tried with 50 steps). `0.5%` and the like are left to
        # `pointsman validate` and the operator.
        Rule(
            "a weight is less than one before it; weights only grow",
            cel="self.filter(step, has(step.weight) && type(step.weight) == int)"
            ".map(step, int(step.weight)).isSorted()",
        ),
    ),
    checks=(_grow,),
)
"""Of a strategy that people write in steps."""


# -- the rest of spec ----------------------------------------------------------------------------------------------


def _port_names(ports: tuple[_Port, ...], place: Place) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = place.item(index).at("name")
        if not port.name and len(ports) > 1:
            raise here.refuse("is required: each of several ports needs a name")
        if port.name and port.name in names:
            raise here.refuse(f"duplicate {port.name!r}")
        names.add(port.name)


def _target_port(value: Any, place: Place) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return Integer(1, 65535).parse(value, place)
    return Text(15, 0, LABEL).parse(value, place)


_TARGET_PORT = Custom(
    {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 65535, "pattern": LABEL, "maxLength": 15},
    _target_port,
)


@record()
class _Port:
    port: int = field(Integer(1, 65535), "What callers call.")
    name: str = field(Text(63, 1, LABEL), "Required if there are several.", default=Absent(""))
    target_port: int | str | None = field(
        _TARGET_PORT, "Number or name of the pods' port. Default: same as `port`.", default=Absent()
    )
    protocol: str = field(Word(("TCP", "UDP", "SCTP")), "Of the transport.", default="TCP")


@dataclass(frozen=True)
class _AsWritten:
    """A list whose entries are read to see that they can be, and kept as they are: they are hashed."""

    of: List

    @property
    def needs(self) -> str:
        return self.of.needs

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return self.of.schema(kinds)

    def parse(self, value: Any, place: Place) -> tuple[Mapping[str, Any], ...]:
        self.of.parse(value, place)
        return tuple(dict(item) for item in value)


_PORTS = List(
    Record(_Port),
    20,
    1,
    unique=("port", "protocol"),
    rules=(
        Rule("each of several ports needs a name", cel="self.size() <= 1 || self.all(port, has(port.name))"),
        Rule(
            "two ports have the same name",
            cel="self.all(one, !has(one.name) || self.exists_one(other, has(other.name) && other.name == one.name))",
        ),
    ),
    checks=(_port_names,),
    needs="needs at least one port, such as {port: 80, targetPort: 8080}",
)


@record()
class _Service:
    ports: tuple[Mapping[str, Any], ...] = field(
        _AsWritten(_PORTS), "As in a Service. A route sends to the first. A change is a new version."
    )


@record(
    rules=[
        Rule(
            "quiet is longer than max",
            cel="self.quiet.contains('d') || self.max.contains('d') || duration(self.quiet) <= duration(self.max)",
            test=lambda drain: drain.quiet <= drain.max,
            at="quiet",
            says="is longer than spec.drain.max",
        )
    ]
)
class Drain:
    quiet: float = field(
        Duration(),
        "Time without a request after which the old version goes; without metrics: time after the switch.",
        default="30s",
    )
    max: float = field(Duration(), "The old version goes after this time, whatever it still gets.", default="5m")


@dataclass(frozen=True)
class _Brought:
    """A record of another room, by its name among the installation's kinds."""

    name: str

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        return schema(kinds.of(self.name)[self.name], kinds)

    def parse(self, value: Any, place: Place) -> Any:
        return parse(place.kinds.of(self.name)[self.name], value, place)


_NOTHING_TO_ANALYZE = "there is nothing to analyze: spec.analysis.metrics is empty"


def _analyzes_something(written: Written, place: Place) -> None:
    for index, step in enumerate(written.strategy.config.steps):
        if step.analyzes and not written.analysis.metrics:
            here = place.at("strategy").at(written.strategy.kind).at("steps").item(index).at("analyze")
            raise here.refuse(_NOTHING_TO_ANALYZE)


def _bakes_beyond_its_steps(written: Written, place: Place) -> None:
    weights = [step.weight for step in written.strategy.config.steps if step.weight is not None]
    before = max(weights, default=0.0)
    if written.bake is not None and before > written.bake.weight:
        problem = f"leaves {written.bake.weight:g} % to the new version, which has {before:g} % after the last step"
        raise place.at("bake").at("holdback").refuse(problem)


def _has_a_service(written: Written, place: Place) -> None:
    if written.service is None and getattr(written.traffic.config, "needs_ports", True):
        raise place.at("service").at("ports").refuse(_PORTS.needs)


@record(
    "What should run, and how a change is rolled out.",
    checks=[_has_a_service, _analyzes_something, _bakes_beyond_its_steps],
    kw_only=True,
)
class Written:
    """A Release's spec as people write it."""

    replicas: int = field(
        Integer(0, 10_000),
        "Pods of the service at full size. Left out of the manifest where an autoscaler sets it through /scale.",
        default=1,
    )
    template: Mapping[str, Any] = field(
        POD_TEMPLATE,
        "The pods, as a Deployment's template. A change is a new version, except for the annotation of `kubectl "
        "rollout restart`.",
    )
    progress_deadline_seconds: int = field(
        Integer(1, 604_800),
        "Time within which new pods must become ready; otherwise the version is rolled back. "
        "Time without room for them does not count.",
        default=600,
    )
    revision_history_limit: int = field(
        Integer(0, 100), "Number of older versions that are kept for a rollback.", default=5
    )
    on_new_version: str = field(
        Word(ON_NEW_VERSION),
        "What a version asked for in mid-release does: restart (it comes out at once, from step one, the one under way "
        "gives up its work), finish (the one under way goes to its end, then the newest follows, those between are "
        "skipped), queue (each follows in order, at most 10 wait).",
        default="restart",
    )
    suspend: bool = field(Flag(), "Stops steps and looks. Pods and weights stay as they are.", default=False)
    service: _Service | None = field(
        Record(_Service),
        "The Services that Pointsman makes, NAME for callers that pass no router, NAME-REVISION for each version. A "
        "queue's worker needs none.",
        default=Absent(),
    )
    traffic: Choice = field(OneOf("routers"), "How work moves from version to version: exactly one way.")
    strategy: Choice = field(OneOf("strategies"), "How a new version is rolled out.", default={"canary": {}})
    analysis: Analysis = field(Record(Analysis), "How the versions are compared.", default={})
    bake: Any = field(
        _Brought("bake"),
        "After the last step the old version keeps a share of the work as the control. Looks and rollbacks go on.",
        default=Absent(),
    )
    # filled, because the rule is tried on it as it stands
    drain: Drain = field(Record(Drain), "Before an old version is scaled down.", default={}, filled=True)
    notify: tuple[Notify, ...] = field(
        NOTIFY,
        "Whom to notify of a rollback, a promotion, a pending approval, or metrics that fail. Nothing waits for it.",
        default=Absent(()),
    )
    owned: bool = field(
        Word(("Delete", "Orphan")),
        "What happens to pods and routes when this Release is deleted: they are deleted, too, or stay.",
        default="Delete",
        key="deletionPolicy",
        convert=lambda policy: policy == "Delete",
    )


@dataclass(frozen=True)
class ReleaseSpec:
    replicas: int
    template: Mapping[str, Any]
    progress_deadline: float
    revision_history_limit: int
    suspend: bool
    ports: tuple[Mapping[str, Any], ...]
    traffic: Choice
    strategy: Any
    """An object of `rollout/strategies`, a `Strategy`."""
    steps: tuple[Any, ...]
    """What the strategy compiles to: `Step`s of `rollout/steps`; the last one is the bake, where there is one."""
    analysis: Analysis
    drain: Drain
    owned: bool
    """deletionPolicy Delete: what was made goes with the Release."""
    on_new_version: str = "restart"
    """What a new version does to the one that is under way."""
    notify: tuple[Notify, ...] = ()


def release_schema(kinds: Kinds) -> dict[str, Any]:
    """Of `spec`, with the rules that depend on which modules there are."""
    rules = [_service_rule(kinds)]
    for kind, config in kinds.of("strategies").items():
        if "steps" in declared(config).keys:
            steps = f"self.strategy.{kind}.steps"
            analyzes = f"has(self.strategy.{kind}) && {steps}.exists(step, has(step.analyze))"
            rules.append(
                Rule(
                    f"a step analyzes and {_NOTHING_TO_ANALYZE}",
                    cel=f"!({analyzes}) || self.analysis.metrics.size() > 0",
                )
            )
    return {**schema(Written, kinds), RULES: [rule.schema() for rule in rules]}


def _service_rule(kinds: Kinds) -> Rule:
    without = [kind for kind, config in kinds.of("routers").items() if not getattr(config, "needs_ports", True)]
    cel = " || ".join(["has(self.service)", *(f"has(self.traffic.{kind})" for kind in without)])
    used = " or ".join(f"traffic.{kind}" for kind in without)
    return Rule(f"service is required unless {used} is used" if without else "service is required", cel=cel)


def parse_release(name: str, raw: Mapping[str, Any], kinds: Kinds) -> ReleaseSpec:
    """Raises SpecError with the path of the first thing that is wrong."""
    if len(name) > NAME_MOST:
        raise SpecError("metadata.name", f"{len(name)} characters, maximum is {NAME_MOST}")
    if not _SERVICE_NAME.fullmatch(name):
        problem = f"{name!r} is not a valid Service name: lower-case letters, digits and dashes, starting with a letter"
        raise SpecError("metadata.name", problem)
    written = parse(Written, raw, Place("spec", kinds))
    strategy = written.strategy.config
    steps = tuple(strategy.steps)
    return ReleaseSpec(
        replicas=written.replicas,
        template=written.template,
        progress_deadline=written.progress_deadline_seconds,
        revision_history_limit=written.revision_history_limit,
        suspend=written.suspend,
        ports=() if written.service is None else written.service.ports,
        traffic=written.traffic,
        strategy=strategy,
        steps=steps if written.bake is None else (*steps, written.bake),
        analysis=written.analysis,
        drain=written.drain,
        owned=written.owned,
        on_new_version=written.on_new_version,
        notify=written.notify,
    )


def parse_what_runs(name: str, raw: Mapping[str, Any], kinds: Kinds) -> ReleaseSpec:
    """As much of a spec that cannot be read as is needed to move its traffic. Raises SpecError when not even that."""
    needed = ("replicas", "template", "service", "traffic", "deletionPolicy")
    found = {key: raw[key] for key in needed if key in raw}
    try:
        return parse_release(name, {**found, "notify": raw.get("notify")}, kinds)
    except SpecError:
        return parse_release(name, found, kinds)
