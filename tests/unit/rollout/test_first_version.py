"""The first version is judged too, where its Release has limits and a bake: there is nothing else to judge it by."""

import pytest

from controller.rollout.bake import Bake
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, analyze, release, weight

STEPS = [weight(20, analyze("10s", "30s")), Bake(weight=95, seconds=120)]


def first(world, by=BY_WEIGHT, steps=None, **spec):
    world.given(release(steps or STEPS, limits={"floor": 0.02}, by=by, **spec).first())
    world.advance(seconds=15)
    return world


@pytest.fixture(params=[BY_WEIGHT, BY_PODS], ids=str)
def tried(world, request):
    return first(world, request.param)


def test_it_has_all_of_the_work_and_is_trusted_after_the_bake(tried):
    assert (tried.release.phase, tried.release.reason, tried.release.stable) == ("Baking", "Baking", "")
    assert (tried.traffic.of("v1"), tried.release.weight, tried.cluster.service) == (100, 100, "v1")
    tried.advance(seconds=90)
    assert tried.release.phase == "Baking"
    assert tried.release.evidence.startswith("floor ")
    tried.advance(seconds=30)
    assert (tried.release.phase, tried.release.stable, tried.release.judged) == ("Healthy", "v1", "LimitsKept")
    assert (tried.release.weight, tried.release.run, tried.release.evidence) == (0, "", "")
    assert next(one for one in tried.conditions if one["type"] == "Judged")["status"] == "True"
    assert list(tried.cluster.runs.values()) == ["promoted"]


def test_one_that_breaks_a_limit_keeps_the_work_and_is_never_trusted(tried):
    tried.regress("v1", 0.2)
    tried.until(lambda: tried.release.reason == "LimitExceeded", minutes=1)
    assert "no version to roll back to" in tried.release.message
    assert "400 of 2000 bad on the canary, where at most 2.00% are allowed" in tried.release.message
    tried.regress("v1", 0.0)
    tried.advance(minutes=30)
    assert (tried.release.phase, tried.release.reason, tried.release.stable) == ("Paused", "LimitExceeded", "")
    assert tried.traffic.of("v1") == 100
    assert [event.reason for event in tried.cluster.events].count("LimitExceeded") == 1


def test_a_better_one_takes_its_place_once_it_serves(tried):
    tried.regress("v1", 0.2)
    tried.until(lambda: tried.release.reason == "LimitExceeded", minutes=1)
    tried.commit("v2")
    assert (tried.release.canary, tried.release.phase, tried.traffic.of("v1")) == ("v2", "Pending", 100)
    assert list(tried.cluster.runs.values()) == ["superseded"]
    tried.advance(seconds=15)
    assert (tried.release.phase, tried.traffic.of("v2"), tried.release.attempts) == ("Baking", 100, 2)
    assert "v1" in tried.cluster.deployments, "what is still open ends there"
    tried.advance(seconds=60)
    assert "v1" not in tried.cluster.deployments
    tried.advance(seconds=60)
    assert (tried.release.stable, tried.release.judged) == ("v2", "LimitsKept")


def test_a_person_can_take_it_as_it_is(tried):
    tried.regress("v1", 0.2)
    tried.until(lambda: tried.release.reason == "LimitExceeded", minutes=1)
    asked = tried.ask("promote", reason="it is what there is")
    assert tried.cluster.answers[asked].accepted
    tried.advance(seconds=5)
    assert (tried.release.phase, tried.release.stable, tried.release.judged) == ("Healthy", "v1", "PromotedByPerson")


@pytest.mark.parametrize("action", ["abort", "skip", "pause", "approve"])
def test_what_needs_a_version_beside_it_is_refused(tried, action):
    asked = tried.ask(action)
    assert not tried.cluster.answers[asked].accepted
    assert tried.answer(asked) == "refused: v1 is the first version; there is no other version to move its traffic to"


def test_a_person_cannot_end_what_has_not_begun(world):
    world.given(release(STEPS, limits={"floor": 0.02}).first())
    world.settle()
    asked = world.ask("promote")
    assert world.answer(asked) == "refused: no rollout is in progress (phase Pending)"


def test_an_outage_stops_the_clock_and_takes_no_work_away(tried):
    tried.metrics.go_dark()
    tried.advance(minutes=40)
    assert (tried.release.phase, tried.release.reason) == ("Waiting", "SourceOutage")
    assert (tried.traffic.of("v1"), tried.release.weight) == (100, 100)
    tried.metrics.come_back()
    tried.advance(seconds=60)
    assert tried.release.phase == "Baking"
    tried.advance(seconds=60)
    assert tried.release.judged == "LimitsKept"


def test_pods_that_go_stop_the_clock_and_are_said(tried):
    tried.unready("v1")
    tried.advance(minutes=10)
    assert (tried.release.phase, tried.release.reason) == ("Waiting", "Starting")
    tried.crash_loop("v1")
    assert (tried.release.phase, tried.release.reason) == ("Waiting", "CrashLoop")
    tried.recover("v1")
    tried.advance(seconds=60)
    assert tried.release.phase == "Baking"


def test_suspended_its_clock_stands_still(tried):
    tried.edit(suspend=True)
    tried.advance(minutes=10)
    assert tried.release.phase == "Paused"
    tried.edit(suspend=False)
    tried.advance(seconds=60)
    assert tried.release.phase == "Baking"
    tried.advance(seconds=90)
    assert tried.release.judged == "LimitsKept"


def test_without_work_it_is_trusted_and_not_called_judged(world):
    world.metrics.per_look = 0
    first(world)
    world.advance(minutes=3)
    assert (world.release.phase, world.release.judged) == ("Healthy", "FirstDeployment")


@pytest.mark.parametrize(
    "spec", [{"metrics": ("errors",), "limits": {}}, {"steps": STEPS[:1], "limits": {"floor": 0.02}}], ids=str
)
def test_without_a_limit_or_a_bake_readiness_alone_decides(world, spec):
    world.given(release(spec.pop("steps", STEPS), **spec).first())
    world.advance(seconds=15)
    assert (world.release.phase, world.release.judged) == ("Healthy", "FirstDeployment")


def test_the_next_version_is_compared_with_it(tried):
    tried.advance(minutes=3)
    assert tried.release.judged == "LimitsKept"
    tried.commit("v2")
    tried.until(lambda: tried.release.stable == "v2", minutes=10)
    assert tried.release.judged in ("Proven", "Unproven")


def test_deleted_in_the_midst_of_it_everything_goes(tried):
    tried.delete()
    assert tried.cluster.gone
