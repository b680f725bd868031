"""After the last step the old version is kept as the control for a while, and comparing goes on."""

import pytest

from controller.api.strategy import Scale
from controller.rollout.bake import Bake
from controller.rollout.sizing import Sizing
from tests.unit.rollout.language import analyze, release, weight

STEPS = [weight(20, analyze("10s", "30s")), Bake(weight=95, seconds=120)]


@pytest.fixture(params=Sizing, ids=str)
def baking(world, request):
    world.given(release(STEPS, replicas=20, by=request.param).on("v2"))
    world.until(lambda: world.release.phase == "Baking", minutes=5)
    return world


def test_the_old_version_keeps_a_share_until_it_is_over(baking):
    assert baking.release.reason == "Baking"
    assert "the old version keeps 5 % of the work as the control" in baking.release.message
    assert (baking.release.stable, round(baking.traffic.of("v2"))) == ("v1", 95)
    baking.advance(seconds=100)
    assert baking.release.phase == "Baking"
    baking.advance(seconds=60)
    assert (baking.release.phase, baking.release.stable) == ("Healthy", "v2")
    assert baking.traffic.of("v2") == 100


def test_a_version_that_gets_bad_while_it_bakes_goes_back(baking):
    baking.advance(seconds=60)
    baking.regress("v2", 0.3)
    baking.until(lambda: baking.release.phase == "RolledBack", minutes=2)
    assert baking.release.reason == "Regressed"
    assert baking.traffic.of("v1") == 100


def test_an_outage_stops_its_clock(baking):
    baking.advance(seconds=60)
    baking.metrics.go_dark()
    baking.advance(seconds=180)
    assert (baking.release.phase, baking.release.reason) == ("Waiting", "SourceOutage")
    baking.metrics.come_back()
    baking.advance(seconds=30)
    assert baking.release.phase == "Baking"
    baking.advance(seconds=60)
    assert baking.release.stable == "v2"


@pytest.mark.parametrize("action", ["skip", "promote"])
def test_a_person_can_end_it(baking, action):
    baking.ask(action, reason="we know")
    baking.advance(seconds=10)
    assert baking.release.stable == "v2"


def test_another_version_ends_it_with_all_work_at_the_old_one(baking):
    baking.commit("v3")
    assert baking.traffic.of("v1") == 100
    baking.until(lambda: baking.release.stable == "v3", minutes=10)


def test_a_canary_of_fixed_size_gets_all_its_pods_before_it_gets_nearly_all_of_the_work(world):

    world.given(release(STEPS, replicas=10, scale=Scale(fixed=1)).on("v2"))
    world.until(lambda: world.release.phase == "Baking", minutes=5)
    assert world.cluster.deployments["v2"].wanted == 10
