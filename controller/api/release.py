"""A Release's `spec`, read into types that cannot be wrong.

Routers and steps are found in their folders and handed in as `kinds`, so this module knows none of them by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.reading import Reader, SpecError

NAME_MOST = 52
"""Letters of a Release's name: NAME-REVISION (10 letters and a dash) must fit a Service's 63."""

_SERVICE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")

ON_NEW_VERSION = ("restart", "finish", "queue")
ON_TIMEOUT = ("proceed", "wait", "rollback")

Parse = Callable[[Reader], Any]


@dataclass(frozen=True)
class Kinds:
    """What this installation knows: the word in the manifest and how what follows is read."""

    routers: Mapping[str, Parse]
    steps: Mapping[str, Parse]
    strategies: Mapping[str, Callable[[Reader, Parse], Any]]
    """A strategy reads its own fields, and gets the parser of a step."""
    bake: Parse
    """Of `spec.bake`, into the step it stands for."""


@dataclass(frozen=True)
class Choice:
    """The one key that was set out of several, and what stood under it."""

    kind: str
    config: Any


@dataclass(frozen=True)
class Margin:
    rollback_above: float
    """Odds ratio canary to stable that is still tolerated."""
    promote_below: float | None = None
    """Odds ratio that has to be excluded to call the canary no worse; None: no proof is looked for."""
    slack: float = 0.0
    """Rate of bad units, 0 to 1, that is tolerated beyond the ratio, which then is one of rates."""


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


@dataclass(frozen=True)
class Advanced:
    settle: float | None
    """Seconds that late points are given before a look's window closes; None: learnt from stable."""
    warm_up: float
    """Seconds after a scale-up in which latency is not compared."""
    min_bad_units: int
    min_units: int
    max_false_promotion: float = 0.05
    """Chance of calling a canary no worse that is not, 0 to 1; per metric and release."""


@dataclass(frozen=True)
class OnOutage:
    """What becomes of the canary's work while nobody can see what it does."""

    wait_at_most: float
    to_stable: bool


@dataclass(frozen=True)
class Analysis:
    interval: float
    alpha: float
    """Bound on statistical rollbacks of a good version, 0 to 1, for the whole release."""
    on_timeout: str
    metrics: tuple[Metric, ...]
    advanced: Advanced
    on_outage: OnOutage = OnOutage(wait_at_most=900.0, to_stable=True)
    max_harmed: int | None = None
    """Bad canary units beyond what stable's rate would have given, after which nothing is waited for."""


@dataclass(frozen=True)
class Scale:
    """Canary pods: `fixed` of them, as many as stable (`full`), or as the weight asks for."""

    full: bool = False
    fixed: int | None = None


@dataclass(frozen=True)
class Drain:
    quiet: float
    max: float


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


def parse_release(name: str, raw: Mapping[str, Any], kinds: Kinds) -> ReleaseSpec:
    """Raises SpecError with the path of the first thing that is wrong."""
    if len(name) > NAME_MOST:
        raise SpecError("metadata.name", f"{name!r} has {len(name)} letters, {NAME_MOST} are the most")
    if not _SERVICE_NAME.fullmatch(name):
        problem = f"{name!r} is not a Service's name: small letters, digits and dashes, the first a letter, no dot"
        raise SpecError("metadata.name", problem)
    spec = Reader.of(raw, "spec").only(
        "replicas", "template", "progressDeadlineSeconds", "revisionHistoryLimit", "onNewVersion", "suspend", "service",
        "traffic", "strategy", "analysis", "bake", "drain", "deletionPolicy",
    )  # fmt: skip
    template = spec.child("template")
    if not template.child("spec").items("containers"):
        raise SpecError("spec.template.spec.containers", "needs at least one container")
    traffic = spec.child("traffic").only(*kinds.routers)
    router = traffic.one_of(kinds.routers)
    routed = kinds.routers[router](traffic.child(router))
    strategy = _parse_strategy(spec, kinds)
    steps = tuple(strategy.steps)
    analysis = _parse_analysis(spec.child("analysis"))
    _check_steps(steps, analysis)
    if spec.has("bake"):
        steps = (*steps, _parse_bake(spec.child("bake"), steps, kinds))
    return ReleaseSpec(
        replicas=spec.integer("replicas", 1),
        template=template.raw,
        progress_deadline=spec.integer("progressDeadlineSeconds", 600, least=1),
        revision_history_limit=spec.integer("revisionHistoryLimit", 5, most=100),
        suspend=spec.flag("suspend"),
        ports=_parse_ports(spec.child("service").only("ports"), needed=getattr(routed, "needs_ports", True)),
        traffic=Choice(router, routed),
        strategy=strategy,
        steps=steps,
        analysis=analysis,
        drain=_parse_drain(spec.child("drain")),
        owned=spec.choice("deletionPolicy", ("Delete", "Orphan"), "Delete") == "Delete",
        on_new_version=spec.choice("onNewVersion", ON_NEW_VERSION, "restart"),
    )


def _parse_ports(service: Reader, *, needed: bool) -> tuple[Mapping[str, Any], ...]:
    ports = service.items("ports")
    if needed and not ports:
        raise SpecError(service.at("ports"), "needs at least one port, such as {port: 80, targetPort: 8080}")
    names: set[str] = set()
    for port in ports:
        port.only("name", "port", "targetPort", "protocol").integer("port", least=1, most=65535)
        name = port.text("name", "")
        if not name and len(ports) > 1:
            raise SpecError(port.at("name"), "is required: each of several ports needs a name")
        if name and name in names:
            raise SpecError(port.at("name"), f"{name!r} is there twice")
        names.add(name)
    return tuple(dict(port.raw) for port in ports)


def parse_what_runs(name: str, raw: Mapping[str, Any], kinds: Kinds) -> ReleaseSpec:
    """As much of a spec that cannot be read as is needed to move its traffic. Raises SpecError when not even that."""
    needed = ("replicas", "template", "service", "traffic", "deletionPolicy")
    return parse_release(name, {key: raw[key] for key in needed if key in raw}, kinds)


def _parse_strategy(spec: Reader, kinds: Kinds) -> Any:
    """A canary without steps where nothing is said, as is all that can be read of some specs."""
    strategy = spec.child("strategy").only(*kinds.strategies)
    kind = strategy.one_of(kinds.strategies) if strategy.raw else "canary"
    return kinds.strategies[kind](strategy.child(kind), lambda step: _parse_step(step, kinds))


def _parse_step(step: Reader, kinds: Kinds) -> Any:
    kind = step.one_of(kinds.steps)
    step.only(kind, "analyze") if kind == "weight" else step.only(kind)
    return kinds.steps[kind](step)


def _check_steps(steps: tuple[Any, ...], analysis: Analysis) -> None:
    last = 0.0
    for index, step in enumerate(steps):
        path = f"spec.strategy.canary.steps[{index}]"
        weight = step.weight
        if weight is not None:
            if weight < last:
                raise SpecError(f"{path}.weight", f"{weight:g} is less than the step before it ({last:g})")
            last = weight
        if step.analyzes and not analysis.metrics:
            raise SpecError(f"{path}.analyze", "there is nothing to analyze: spec.analysis.metrics is empty")


def _parse_bake(bake: Reader, steps: tuple[Any, ...], kinds: Kinds) -> Any:
    parsed = kinds.bake(bake)
    before = max((step.weight for step in steps if step.weight is not None), default=0.0)
    if before > parsed.weight:
        problem = f"leaves {parsed.weight:g} % to the new version, which has {before:g} % after the last step"
        raise SpecError(bake.at("holdback"), problem)
    return parsed


def _parse_analysis(analysis: Reader) -> Analysis:
    analysis.only("interval", "maxFalseRollback", "onTimeout", "onOutage", "maxHarmed", "metrics", "advanced")
    advanced = analysis.child("advanced").only("settle", "warmUp", "minBadUnits", "minUnits", "maxFalsePromotion")
    alpha = _parse_share(analysis, "maxFalseRollback", 1.0)
    metrics = tuple(_parse_metric(item) for item in analysis.items("metrics"))
    for index, metric in enumerate(metrics):
        if any(metric.name == other.name for other in metrics[:index]):
            raise SpecError(f"{metric.path}.name", f"{metric.name!r} is there twice")
    interval = analysis.seconds("interval", 5.0)
    if interval < 1:
        raise SpecError(analysis.at("interval"), "is shorter than 1s")
    return Analysis(
        interval=interval,
        alpha=alpha,
        on_timeout=analysis.choice("onTimeout", ON_TIMEOUT, "proceed"),
        on_outage=_parse_on_outage(analysis.child("onOutage")),
        max_harmed=analysis.integer("maxHarmed", least=1) if analysis.has("maxHarmed") else None,
        metrics=metrics,
        advanced=Advanced(
            settle=None if advanced.raw.get("settle", "auto") == "auto" else advanced.seconds("settle"),
            warm_up=advanced.seconds("warmUp", 30.0),
            min_bad_units=advanced.integer("minBadUnits", 5, least=1),
            min_units=advanced.integer("minUnits", 50),
            max_false_promotion=_parse_share(advanced, "maxFalsePromotion", 5.0),
        ),
    )


def _parse_share(reader: Reader, key: str, default: float | None = None) -> float:
    """0 to 1; given in percent."""
    share = reader.percent(key, default) / 100
    if not 0 < share <= 0.5:  # noqa: PLR2004 - beyond one half neither a promise nor a limit means anything
        raise SpecError(reader.at(key), "is not above 0% and at most 50%")
    return share


def _parse_on_outage(outage: Reader) -> OnOutage:
    outage.only("waitAtMost", "then")
    then = outage.choice("then", ("stable", "stay"), "stable")
    return OnOutage(wait_at_most=outage.seconds("waitAtMost", 900.0), to_stable=then == "stable")


def _parse_metric(metric: Reader) -> Metric:
    metric.only("name", "template", "parameters", "margin", "limit")
    margin = limit = None
    if metric.has("limit"):
        if metric.has("margin"):
            raise SpecError(metric.at("limit"), "stands beside a margin: give two metrics, one of each")
        limit = _parse_share(metric.child("limit").only("max"), "max")
    else:
        margin = _parse_margin(metric.child("margin").only("rollbackAbove", "promoteBelow", "slack"))
    return Metric(
        name=metric.text("name"),
        template=metric.text("template"),
        parameters=metric.child("parameters").raw,
        margin=margin,
        path=metric.path,
        limit=limit,
    )


def _parse_margin(margin: Reader) -> Margin:
    return Margin(
        rollback_above=margin.number("rollbackAbove", 1.1, least=1, most=100),
        promote_below=margin.number("promoteBelow", 1.5, least=1, most=100),
        slack=_parse_share(margin, "slack") if margin.has("slack") else 0.0,
    )


def _parse_drain(drain: Reader) -> Drain:
    drain.only("quiet", "max")
    quiet, most = drain.seconds("quiet", 30.0), drain.seconds("max", 300.0)
    if quiet > most:
        raise SpecError(drain.at("quiet"), "is longer than spec.drain.max")
    return Drain(quiet=quiet, max=most)
