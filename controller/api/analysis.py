"""`spec.analysis`: which metrics are compared, how much worse the canary may be, and what an outage does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.alerts import MOST_GATES, AlertGate
from controller.api.fields import Absent, Place, Rule, field, record
from controller.api.reading import DURATION, parse_duration
from controller.api.shapes import (
    LABEL,
    NAME,
    Custom,
    Duration,
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
from controller.stats.before import RATIO, SLACK

ON_TIMEOUT = ("proceed", "wait", "rollback")
ADVISE = "advise"
"""A mode of metrics, beside `judge`."""


def _fraction(percent: float) -> float:
    return percent / 100


@record()
class AfterSwitch:
    ratio: float = field(
        Number(1, 100), "Ratio of the rate after the switch to that of the worst looks before it.", default=RATIO
    )
    slack: float = field(
        Share(50, by_parser=True),
        "Share of bad units that is tolerated beyond the ratio, above 0% and at most 50%.",
        default="0.5%",
        convert=_fraction,
    )
    """Rate of bad units, 0 to 1."""


AFTER_SWITCH = AfterSwitch(RATIO, SLACK)


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
    after_switch: AfterSwitch | None = field(
        Record(AfterSwitch),
        "For strategies that switch: how much worse than the old version was the new one may be. Nothing is randomized "
        "there, so maxFalseRollback does not bound these rollbacks. Default: 2 and 0.5%.",
        default=Absent(),
    )


@record()
class Limit:
    max: float = field(Share(50, by_parser=True), "Share of bad units, above 0% and at most 50%.", convert=_fraction)


_ONE_OF_EACH = "limit is set beside a margin: use two metrics, one with each"


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
    advises: bool = field(
        Word(("judge", ADVISE)),
        "judge (the default): a regression rolls back, and a promotion needs its proof. advise: it is measured and "
        "shown, and a regression is reported; it decides nothing, keeps nothing waiting, and takes no part of "
        "maxFalseRollback.",
        default=Absent(value=False),
        key="mode",
        convert=lambda word: word == ADVISE,
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
    advises: bool = False
    """It is measured and shown, and decides nothing."""

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
            written.advises,
        )


def _settle(value: Any, place: Place) -> float | None:
    return None if a_string(value, place) == "auto" else parse_duration(value, place.path)


_SETTLE = Custom({"type": "string", "pattern": f"^(auto|{DURATION})$", "maxLength": 20}, _settle)


@record()
class Advanced:
    settle: float | None = field(
        _SETTLE,
        "Time that late points are given before a look's window closes: a duration, or auto, which learns it from "
        "stable's counts while the canary's pods start, between 500ms and 15s; 3s where they are too few to tell.",
        default="auto",
    )
    """Seconds; None: learnt from stable."""
    warm_up: float = field(
        Duration(),
        "Time after a scale-up, and after each change of the weight that follows it, in which latency is not compared: "
        "new pods have cold caches.",
        default="30s",
    )
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
    """What happens to the canary's work while its metrics are out or missing."""

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
    alerts: tuple[AlertGate, ...] = field(
        List(Record(AlertGate, "One gate."), MOST_GATES, kind="atomic"),
        "What firing alerts do. Grafana, Alertmanager and Kapacitor send them to the operator's /v1/alerts, or a "
        "MetricSource is asked for them.",
        default=Absent(()),
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

    @property
    def judging(self) -> tuple[Metric, ...]:
        """The metrics that decide."""
        return tuple(metric for metric in self.metrics if not metric.advises)
