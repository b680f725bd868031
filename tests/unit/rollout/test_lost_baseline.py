"""A baseline that is gone: what breaks everything is not the canary's doing, whoever would be blamed for it."""

from dataclasses import replace

import pytest

from tests.unit.rollout.cluster import CRASHING
from tests.unit.rollout.language import analyze, approve, release, weight


def without_baseline(world, **given):
    """The canary has a quarter of the work, and the new pods beside it are gone."""
    steps = [weight(25, analyze("1m", "2m")), approve(), weight(50)]
    world.given(release(steps, baseline="fresh", replicas=8, **given).on("v2"))
    world.advance(seconds=30)
    world.pods(world.release.baseline, CRASHING)
    return world


def everything_fails(world):
    for version in ("v1", "v2", world.release.baseline):
        world.regress(version, 1.0)


def test_a_limit_that_everybody_exceeds_is_a_common_cause(world):
    without_baseline(world, limits={"floor": 0.05})
    everything_fails(world)
    world.advance(minutes=2)
    assert (world.release.phase, world.release.reason) == ("Waiting", "CommonCause")
    assert "stable is above the limit of 5.00% as well" in world.release.message
    assert world.release.canary == "v2"
    for version in ("v1", "v2"):
        world.regress(version, 0.001)
    world.advance(minutes=5)
    assert world.release.reason == "BaselineUnready"


def test_a_limit_that_the_canary_alone_exceeds_still_rolls_it_back(world):
    without_baseline(world, limits={"floor": 0.05})
    world.regress("v2", 0.5)
    world.advance(minutes=1)
    assert (world.release.phase, world.release.reason) == ("RolledBack", "Regressed")


@pytest.mark.parametrize(("stable", "rolled_back"), [(0.5, False), (0.001, True)], ids=["all fail", "it alone"])
def test_harm_is_reckoned_by_what_stable_does_meanwhile(world, stable, rolled_back):
    without_baseline(world)
    world.edit(analysis=replace(world.spec.analysis, max_harmed=200))
    world.regress("v1", stable)
    world.regress("v2", 0.5)
    world.advance(minutes=2)
    assert (world.release.canary == "") is rolled_back
    if rolled_back:
        assert world.release.last_rollback.reason == "MaxHarmed"
        assert "without the baseline" in world.release.last_rollback.message


def test_with_all_of_the_work_on_the_canary_no_baseline_is_missed(world):
    steps = [weight(25, analyze("30s", "2m")), weight(100, analyze("30s", "2m"))]
    world.given(release(steps, baseline="fresh", replicas=8).on("v2"))
    world.until(lambda: world.release.stable == "v2", minutes=10)


@pytest.mark.parametrize("edit", [{"advises": True}, {"margin": None, "limit": 0.9}], ids=["mode", "margin"])
def test_an_edit_of_a_metric_leaves_a_rollout_whom_it_is_compared_with(world, edit):
    steps = [weight(25, analyze("5m", "10m")), weight(50)]
    world.given(release(steps, baseline="fresh", replicas=8, limits={"floor": 0.9}).on("v2"))
    world.advance(seconds=30)
    for version in ("v2", world.release.baseline):  # new pods fail more
        world.regress(version, 0.2)
    world.advance(minutes=1)
    metrics = tuple(one if one.margin is None else replace(one, **edit) for one in world.spec.analysis.metrics)
    world.edit(analysis=replace(world.spec.analysis, metrics=metrics))
    world.advance(minutes=3)
    assert world.release.rejected == ()
