"""Every module of every folder; a new one fails here before it has a test of its own."""

from types import SimpleNamespace
from typing import Any

import pytest

from controller import registry
from controller.api.choice import Entry, OneOf
from controller.api.fields import Place, field, record
from controller.api.resources import SERVICES, Rule
from controller.api.shapes import Text
from controller.rollout.sizing import Sizing
from controller.rollout.step import Done, Fail, StepView, Wait
from tests.unit.contract.rules import broken

ALL = [(folder, kind) for folder in registry.FOLDERS for kind in registry.modules(folder)]


@pytest.mark.parametrize(("folder", "kind"), ALL)
def test_a_module_keeps_the_rules_of_its_folder(folder: str, kind: str) -> None:
    assert broken(folder, registry.modules(folder)[kind]) == []


@pytest.mark.parametrize("kind", registry.modules("steps"))
def test_a_step_is_a_value_that_answers_at_once(kind: str) -> None:
    module = registry.modules("steps")[kind]
    steps = [_parsed_step(module), _parsed_step(module)]
    assert steps[0] == steps[1]
    view = StepView(
        elapsed=0.0, canary_units=0, min_units=50, on_timeout="wait", suspicion=None, evidence="", approved_by=None
    )
    assert isinstance(steps[0].advance(view), Wait | Done | Fail)
    assert steps[0].advance(view) == steps[1].advance(view)
    assert steps[0].weight is None or 0 <= steps[0].weight <= 100


def _parsed_step(module: Any) -> Any:
    return Entry("steps", "").parse(module.EXAMPLE, Place("", registry.kinds()))


@pytest.mark.parametrize("kind", registry.modules("strategies"))
@pytest.mark.parametrize("sizing", Sizing)
def test_a_strategy_has_steps_and_pods_for_every_weight(kind: str, sizing: Sizing) -> None:
    module = registry.modules("strategies")[kind]
    strategy = OneOf("strategies").parse({kind: module.EXAMPLE}, Place("", registry.kinds())).config
    assert strategy.steps
    for weight in (0, 0.5, 5, 50, 100):
        sizes = strategy.sizes(sizing, 4, weight)
        assert sizes.stable >= 0
        assert sizes.canary >= (weight > 0)


# -- a module that is not done ---------------------------------------------------------------------------------------


@record("Nothing yet.")
class Empty:
    pass


@record()
class Undescribed:
    text: str = field(Text(9), "")


def new_module(**changes: Any) -> SimpleNamespace:
    known = {"__doc__": "New.", "KIND": "new", "EXAMPLE": {}, "Config": Empty, "WATCHES": (), "RULES": ()}
    return SimpleNamespace(**(known | changes))


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (new_module(__doc__=None), "it has no docstring"),
        (new_module(Config=object), "Config is not a record"),
        (new_module(Config=Undescribed, EXAMPLE={"text": "a"}), "Config has no description"),
        (new_module(Config=Undescribed, EXAMPLE={"text": "a"}), "text has no description"),
        (new_module(EXAMPLE={"a": 1}), "EXAMPLE is refused: new.a: is not a known field (known: none)"),
        (new_module(WATCHES=(SERVICES,)), "RULES lack list, watch of services, which it watches"),
        (
            new_module(WATCHES=(SERVICES,), RULES=(Rule(SERVICES, ("list", "watch")),)),
            "RULES lack a verb that writes services, which it watches to put right",
        ),
    ],
)
def test_a_module_that_is_not_done_is_told_what_it_lacks(module: Any, sentence: str) -> None:
    assert sentence in broken("routers", module)


def test_a_module_that_does_nothing_yet_can_keep_the_rules() -> None:
    assert broken("routers", new_module()) == []
