"""The metrics are out: nobody is blamed, nothing rises, and the clock stands still."""

import pytest

from tests.unit.rollout.language import BY_PODS, analyze, approve, pause, release, weight
from tests.unit.rollout.test_rollout import told


@pytest.mark.parametrize("reason", ["SourceOutage", "MetricBroken", "MetricInvalid"])
def test_outage_waits_and_neither_promotes_nor_rejects(world, reason):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.metrics.go_dark(reason)
    world.advance(minutes=14)
    assert (world.release.phase, world.release.reason) == ("Waiting", reason)
    assert world.traffic.canary == 5
    assert world.release.rejected == ()
    assert world.release.stable == "v1"


def test_a_long_outage_gives_the_work_to_stable_and_the_step_is_entered_again(world):
    world.given(release([weight(5, analyze("1m", "10m")), weight(50, analyze("1m", "10m"))]).on("v2", at_step=1))
    world.metrics.go_dark()
    world.advance(minutes=16)
    assert world.traffic.canary == 0
    assert (world.release.phase, world.release.rejected) == ("Waiting", ())
    assert "no work until the data are back" in world.release.message
    world.advance(minutes=60)
    assert (world.traffic.canary, world.release.canary) == (0, "v2")
    world.metrics.come_back()
    world.settle()
    assert (world.traffic.canary, world.release.step) == (50, 1)


def test_a_long_outage_after_the_last_step_does_not_promote_what_nobody_watches(world):
    world.given(release([weight(50, analyze("5s", "30s"))]).on("v2"))
    world.until(lambda: world.release.step == 1)
    world.metrics.go_dark()
    world.advance(minutes=16)
    assert (world.traffic.canary, world.release.step) == (0, 0)
    world.metrics.come_back()
    world.settle()
    assert (world.traffic.canary, world.release.stable) == (50, "v1")


def test_the_steps_clock_stands_still_meanwhile(world):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.advance(minutes=4)
    world.metrics.go_dark()
    world.advance(minutes=14)
    world.metrics.come_back()
    world.advance(seconds=5 * 60 + 50)
    assert world.release.reason == "Analyzing"
    world.advance(seconds=20)
    assert world.release.phase == "Promoting"


def test_looks_before_an_outage_count_for_the_step(world):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.advance(minutes=1)
    before = world.observe().step_units
    world.metrics.go_dark()
    world.advance(minutes=10)
    world.metrics.come_back()
    world.settle()
    assert world.observe().step_units == before > 0


def test_after_an_outage_that_took_the_work_away_the_step_counts_anew(world):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.advance(minutes=1)
    world.metrics.go_dark()
    world.advance(minutes=16)
    world.metrics.come_back()
    world.settle()
    assert (world.traffic.canary, world.observe().step_units) == (5, 0)


def test_the_status_stands_still_too(world):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.metrics.go_dark()
    world.advance(seconds=5)
    world.log.clear()
    world.advance(minutes=10)
    assert world.log == []


@pytest.mark.parametrize("steps", [[weight(5), pause("1m")], [weight(5), approve()]])
def test_pauses_and_approvals_wait_as_well(world, steps):
    world.given(release(steps).on("v2", at_step=1))
    world.metrics.go_dark()
    world.advance(minutes=5)
    name = world.ask("approve")
    world.advance(minutes=5)
    assert "nothing waits for approval" in world.answer(name)
    assert world.release.step == 1


def test_no_first_weight_is_given_while_nobody_watches(world):
    world.given(release())
    world.metrics.go_dark()
    world.commit("v2")
    world.advance(minutes=10)
    assert world.traffic.canary == 0
    assert world.release.phase == "Waiting"
    world.metrics.come_back()
    world.settle()
    assert world.traffic.canary == 5


def test_an_outage_at_the_end_of_the_steps_does_not_promote(world):
    world.given(release([weight(50, analyze("5s", "30s"))]).on("v2"))
    world.until(lambda: world.release.step == 1)
    world.metrics.go_dark()
    world.advance(minutes=14)
    assert (world.release.phase, world.release.stable) == ("Waiting", "v1")
    assert world.traffic.canary == 50
    world.metrics.come_back()
    world.advance(seconds=20)
    assert world.release.stable == "v2"


def test_plain_signs_roll_back_during_an_outage_too(world):
    world.given(release().on("v2"))
    world.metrics.go_dark()
    world.advance(minutes=1)
    world.unready("v2")
    assert world.traffic.canary == 0
    world.recover("v2")
    assert world.traffic.canary == 0, "no weight rises while the metrics are out"
    world.crash_loop("v2")
    assert world.release.last_rollback.reason == "CrashLoop"


def test_a_person_can_abort_during_an_outage(world):
    world.given(release().on("v2"))
    world.metrics.go_dark()
    world.advance(minutes=1)
    world.ask("abort")
    assert world.traffic.of("v2") == 0
    assert world.release.phase == "RollingBack"


def test_a_proven_regression_is_not_forgotten_in_an_outage(world):
    world.given(release().on("v2"))
    world.regress("v2")
    world.cluster.now += 5
    world._look()
    world.metrics.go_dark()
    world.settle()
    assert world.release.reason == "Regressed"


def test_by_pods_no_pod_is_added_while_nobody_watches(world):
    world.given(release([weight(25, analyze("5s", "30s")), weight(50, analyze("5s", "30s"))], by=BY_PODS).on("v2"))
    world.advance(seconds=25)
    world.metrics.go_dark()
    world.log.clear()
    world.advance(minutes=5)
    assert told(world) == []
    assert world.traffic.canary == 25


def test_a_route_edited_by_hand_is_put_back_also_during_an_outage(world):
    world.given(release().on("v2"))
    world.metrics.go_dark()
    world.advance(seconds=5)
    world.cluster.route = {"v1": 10.0, "v2": 90.0}
    world.settle()
    assert world.traffic.canary == 5


def test_without_metrics_there_is_no_outage(world):
    world.given(release([weight(5), pause("1m")], metrics=()))
    world.metrics.go_dark()
    world.commit("v2")
    world.advance(minutes=3)
    assert world.release.stable == "v2"


def test_by_pods_what_was_added_for_the_next_weight_goes_while_nobody_watches(world):
    world.given(release([weight(25, analyze("5s", "30s")), weight(50, analyze("5s", "30s"))], by=BY_PODS).on("v2"))
    world.until(lambda: world.release.step == 1)
    assert world.cluster.deployments["v2"].wanted == 2
    world.metrics.go_dark()
    world.advance(minutes=1)
    assert world.traffic.canary == 25
