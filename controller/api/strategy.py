"""Fields that strategies share: the canary's size, and a list of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.choice import Entry
from controller.api.fields import NO_KINDS, Place, Rule, field, parse, record, schema
from controller.api.shapes import (
    Custom,
    Integer,
    List,
)


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


def _no_weight(steps: tuple[Any, ...], place: Place) -> None:
    for index, step in enumerate(steps):
        if step.weight is not None:
            raise place.item(index).at("weight").refuse(_ONE_SWITCH)


def _mirror_before_work(steps: tuple[Any, ...], place: Place) -> None:
    """Copies are for a version that has no work yet; whole percents, because routers know no others."""
    works = False
    for index, step in enumerate(steps):
        percent = getattr(step, "mirror", None)
        if percent is not None and works:
            raise place.item(index).at("mirror").refuse("the canary has work by then: put it before the first weight")
        if percent is not None and percent != int(percent):
            raise place.item(index).at("mirror").refuse(f"{percent:g}% is not a whole percent")
        works = works or (step.weight or 0) > 0


_ONE_SWITCH = "all of the work moves in one switch after these steps, so none of them sets a weight"
WEIGHTLESS_STEPS = List(
    Entry("steps", "One step, of a kind that sets no weight."),
    50,
    kind="atomic",
    rules=(Rule(_ONE_SWITCH, cel="self.all(step, !has(step.weight))"),),
    checks=(_no_weight, _mirror_before_work),
)
"""Of a strategy whose steps are passed without work."""

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
    checks=(_grow, _mirror_before_work),
)
"""Of a strategy that people write in steps."""
