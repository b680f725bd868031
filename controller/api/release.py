"""A Release's `spec`: its fields, each declared once, and what the rest of the program reads.

Routers and steps are found in their folders and handed in as `kinds`, so this module knows none of them by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.abilities import (
    ability_rules,
    can_do_its_steps,
    preview_rules,
    previews_elsewhere,
    reaches_in_one_way,
)
from controller.api.adopt import Adopt
from controller.api.analysis import Analysis
from controller.api.choice import Choice, OneOf
from controller.api.fields import RULES, Absent, Kinds, Place, Rule, declared, field, parse, record, schema
from controller.api.git_origin import GitOrigin
from controller.api.notify import NOTIFY, Notify
from controller.api.pod_template import POD_TEMPLATE
from controller.api.reading import SpecError
from controller.api.service import PORTS, Service, is_tcp
from controller.api.shapes import (
    Duration,
    Flag,
    Integer,
    Record,
    Word,
)

__all__ = ["Choice", "Kinds"]

NAME_MOST = 52
"""Characters of a Release's name: NAME-REVISION (10 letters and a dash) must fit a Service's 63."""

_SERVICE_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")

ON_NEW_VERSION = ("restart", "finish", "queue")


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


_JUDGES = "(!has(metric.mode) || metric.mode != 'advise')"
"""In CEL."""
_NO_BAKE = "leaves the old version a share of the work, and {} moves all of it in one switch: leave it out"
_NEEDS_TCP = "needs a TCP port for its route"
_NOTHING_TO_ANALYZE = "there is nothing to analyze: spec.analysis.metrics has no metric that judges"
_NEEDS_LIMIT = "people choose these requests, so nothing can be compared: add a metric with limit to spec.analysis"
_COPIES_ARE_NO_CLIENTS = "copies are requests, and with sticky metrics count clients: leave analyze or sticky out"
_COPIES_ARE_NOT_FRESH = "copies go to the canary alone, so a fresh baseline has none: use baseline: stable"


def _analyzes_something(written: Written, place: Place) -> None:
    for index, step in enumerate(written.strategy.config.steps):
        if step.analyzes and not written.analysis.judging:
            raise _analyze(written, place, index).refuse(_NOTHING_TO_ANALYZE)


def _analyze(written: Written, place: Place, step: int) -> Place:
    return place.at("strategy").at(written.strategy.kind).at("steps").item(step).at("analyze")


def _can_judge_without_work(written: Written, place: Place) -> None:
    """What reaches a version without a weight is compared where it is a random sample, and else held to limits."""
    strategy = written.strategy.config
    limited = any(metric.limit is not None for metric in written.analysis.judging)
    for index, step in enumerate(strategy.steps):
        if not step.analyzes or getattr(step, "reach", None) is None:
            continue
        problem = ""
        if getattr(step, "by_limits", False):
            problem = "" if limited else _NEEDS_LIMIT
        elif strategy.cookie:
            problem = _COPIES_ARE_NO_CLIENTS
        elif strategy.fresh_baseline:
            problem = _COPIES_ARE_NOT_FRESH
        if problem:
            raise _analyze(written, place, index).refuse(problem)


def _bakes_beyond_its_steps(written: Written, place: Place) -> None:
    weights = [step.weight for step in written.strategy.config.steps if step.weight is not None]
    before = max(weights, default=0.0)
    if written.bake is not None and before > written.bake.weight:
        problem = f"leaves {written.bake.weight:g} % to the new version, which has {before:g} % after the last step"
        raise place.at("bake").at("holdback").refuse(problem)


def _bakes_beside_a_switch(written: Written, place: Place) -> None:
    if written.bake is not None and written.strategy.config.switches:
        raise place.at("bake").refuse(_NO_BAKE.format(written.strategy.kind))


def _has_a_service(written: Written, place: Place) -> None:
    if written.service is None and getattr(written.traffic.config, "needs_ports", True):
        raise place.at("service").at("ports").refuse(PORTS.needs)


def _has_a_tcp_port(written: Written, place: Place) -> None:
    needed = getattr(written.traffic.config, "needs_tcp", False)
    if needed and written.service is not None and not any(map(is_tcp, written.service.ports)):
        raise place.at("service").at("ports").refuse(f"{_NEEDS_TCP}; these are {_protocols(written.service.ports)}")


def _protocols(ports: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(port["protocol"]) for port in ports}))


@record(
    "What should run, and how a change is rolled out.",
    checks=[
        _has_a_service,
        _has_a_tcp_port,
        _analyzes_something,
        _can_judge_without_work,
        _bakes_beside_a_switch,
        can_do_its_steps,
        previews_elsewhere,
        reaches_in_one_way,
        _bakes_beyond_its_steps,
    ],
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
    config_refs: str = field(
        Word(("Auto", "None")),
        "Whether the ConfigMaps that the template names are a part of the version. Auto (the default): each version "
        "has its own copy of them, a change of one is a new version, and a rollback brings the old content back. A "
        "ConfigMap with the annotation `pointsman.dev/config: live` is left out, and so are Secrets. None: pods read "
        "ConfigMaps as they are.",
        default=Absent("Auto"),
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
    service: Service | None = field(
        Record(Service),
        "The Services that Pointsman makes, NAME for callers that pass no router, NAME-REVISION for each version. A "
        "queue's worker needs none.",
        default=Absent(),
    )
    adopt: Adopt | None = field(
        Record(Adopt), "What runs already and is taken over by the first version.", default=Absent()
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
    keep_failed: float | None = field(
        Duration("1s", "24h"),
        "How long one pod of a rejected version stays, without work, for a look at it: 1s to 24h. Default: it goes at "
        "once.",
        default=Absent(),
    )
    notify: tuple[Notify, ...] = field(
        NOTIFY,
        "Whom to notify of a rollback, a promotion, a pending approval, or metrics that fail. Nothing waits for it.",
        default=Absent(()),
    )
    git_origin: GitOrigin | None = field(
        Record(GitOrigin),
        "Where this manifest is kept, and whether a rollback is written there. Nothing waits for that.",
        default=Absent(),
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
    strategy_kind: str
    """Its word."""
    steps: tuple[Any, ...]
    """What the strategy compiles to: `Step`s of `rollout/steps`; the last one is the bake, where there is one."""
    analysis: Analysis
    drain: Drain
    owned: bool
    """deletionPolicy Delete: what was made goes with the Release."""
    on_new_version: str = "restart"
    """What a new version does to the one that is under way."""
    notify: tuple[Notify, ...] = ()
    versions_configuration: bool = True
    """configRefs Auto."""
    keep_failed: float | None = None
    """Seconds."""
    git_origin: GitOrigin | None = None
    adopt: Adopt | None = None
    unread: frozenset[str] = frozenset()
    """Which parts of an invalid spec could not be read."""


def release_schema(kinds: Kinds) -> dict[str, Any]:
    """Of `spec`, with the rules that depend on which modules there are."""
    rules = [_service_rule(kinds), *_tcp_rules(kinds), *ability_rules(kinds), *preview_rules(kinds)]
    for kind, config in kinds.of("strategies").items():
        if "steps" in declared(config).keys:
            steps = f"self.strategy.{kind}.steps"
            analyzes = f"has(self.strategy.{kind}) && {steps}.exists(step, has(step.analyze))"
            rules.append(
                Rule(
                    f"a step analyzes and {_NOTHING_TO_ANALYZE}",
                    cel=f"!({analyzes}) || self.analysis.metrics.exists(metric, {_JUDGES})",
                )
            )
            chosen = [word for word, step in kinds.of("steps").items() if getattr(step, "by_limits", False)]
            for word in chosen:
                analyzed = f"{steps}.exists(step, has(step.{word}) && has(step.analyze))"
                rules.append(
                    Rule(
                        f"{word} analyzes and {_NEEDS_LIMIT}",
                        cel=f"!has(self.strategy.{kind}) || !({analyzed}) || "
                        f"self.analysis.metrics.exists(metric, has(metric.limit) && {_JUDGES})",
                    )
                )
        if config.switches:
            rules.append(Rule(f"bake {_NO_BAKE.format(kind)}", cel=f"!has(self.bake) || !has(self.strategy.{kind})"))
    return {**schema(Written, kinds), RULES: [rule.schema() for rule in rules]}


def _service_rule(kinds: Kinds) -> Rule:
    without = [kind for kind, config in kinds.of("routers").items() if not getattr(config, "needs_ports", True)]
    cel = " || ".join(["has(self.service)", *(f"has(self.traffic.{kind})" for kind in without)])
    used = " or ".join(f"traffic.{kind}" for kind in without)
    return Rule(f"service is required unless {used} is used" if without else "service is required", cel=cel)


def _tcp_rules(kinds: Kinds) -> list[Rule]:
    """None for `gatewayAPI`: 0.1 took such a spec. The API server lets no stored object off a new rule of `spec`, and
    would refuse each write of it, its finalizer's removal included.
    """
    tcp = "has(self.service) && self.service.ports.exists(port, !has(port.protocol) || port.protocol == 'TCP')"
    return [
        Rule(f"traffic.{kind} {_NEEDS_TCP}", cel=f"!has(self.traffic.{kind}) || ({tcp})")
        for kind, config in kinds.of("routers").items()
        if getattr(config, "needs_tcp", False) and kind != "gatewayAPI"
    ]


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
        strategy_kind=written.strategy.kind,
        steps=steps if written.bake is None else (*steps, written.bake),
        analysis=written.analysis,
        drain=written.drain,
        owned=written.owned,
        on_new_version=written.on_new_version,
        notify=written.notify,
        versions_configuration=written.config_refs == "Auto",
        keep_failed=written.keep_failed,
        git_origin=written.git_origin,
        adopt=written.adopt,
    )
