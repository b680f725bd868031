"""A strategy's own words: what takes all of the work at once is a new version, and no canary."""

from dataclasses import replace

import pytest

from controller.rollout.actions import Event
from controller.rollout.decide import decide
from controller.stats.counts import Counts
from controller.stats.evidence import Evidence, MetricEvidence, Verdict
from controller.stats.spending import Spending
from controller.stats.xgs import UpperTail
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import analyze, approve, blue_green, release, weight
from tests.unit.stats.test_silence import limited

OF_A_SWITCH, OF_A_CANARY = blue_green(approve(), keep=600.0), release([approve(), weight(50, analyze("1m", "10m"))])


def said(decision):
    """All that a person reads of it."""
    status = decision.status
    events = [action for action in decision.actions if isinstance(action, Event)]
    return [status.reason, status.message, status.evidence, *(f"{one.reason} {one.message}" for one in events)]


@pytest.mark.parametrize(
    ("given", "starting", "unready"),
    [
        (OF_A_SWITCH, "NewVersionStarting", "NewVersionUnready"),
        (OF_A_CANARY, "CanaryStarting", "CanaryUnready"),
    ],
)
def test_a_version_that_starts_and_loses_its_pods_is_called_what_its_strategy_calls_it(world, given, starting, unready):
    world.given(given)
    world.commit("v2")
    assert world.release.reason == starting
    world.advance(seconds=START_S)
    world.unready("v2")
    world.advance(seconds=5)
    assert world.release.reason == unready


@pytest.mark.parametrize(("given", "trial"), [(OF_A_SWITCH, "new version"), (OF_A_CANARY, "canary")])
def test_an_action_for_another_revision_is_refused_in_the_strategys_words(world, given, trial):
    world.given(given)
    world.commit("v2")
    assert world.answer(world.ask("abort", "v9")) == f"refused: it is for revision v9, but the {trial} is v2"


@pytest.mark.parametrize("limit", [None, 0.02])
def test_a_switch_that_is_taken_back_for_harm_or_a_limit_speaks_of_no_canary(world, limit):
    world.given(limited(OF_A_SWITCH, max_harmed=100))
    world.commit("v2")
    world.advance(seconds=START_S + 5)
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 100)
    standing = UpperTail(1.1, Spending(0.01)).standing
    verdict = Verdict.UNDECIDED if limit is None else Verdict.REGRESSION
    found = MetricEvidence("errors", verdict, Counts(300, 5000, 0, 5000), standing, limit=limit)
    decided = decide(replace(world.observe(), evidence=Evidence(5, (found,))), world.cluster.now)
    rollback = decided.status.last_rollback
    assert rollback is not None
    assert rollback.revision == "v2"
    assert "on the new version" in rollback.message
    assert not [line for line in [*said(decided), rollback.message] if "canary" in line.lower()]
