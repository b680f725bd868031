"""`blueGreen`: judged without work, then everything in one switch, and back in one."""

from dataclasses import replace

import pytest

from controller.api.reasons import Reason
from controller.rollout.observation import MetricTrouble
from controller.rollout.strategies.canary import Canary
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import (
    BY_CLAIMS,
    BY_PODS,
    BY_WEIGHT,
    analyze,
    approve,
    blue_green,
    pause,
    release,
    weight,
)
from tests.unit.rollout.test_rollout import told

ROUTERS = pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS, BY_CLAIMS])


def switched(world, *before, **given):
    world.given(blue_green(*before, **given))
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    world.log.clear()


@ROUTERS
def test_all_of_the_work_moves_once_and_the_old_version_goes_after_keep_old(world, by):
    world.given(blue_green(pause("20s"), keep=60.0, by=by))
    world.commit("v2")
    world.advance(seconds=START_S + 5)
    assert (world.cluster.deployments["v2"].wanted, world.traffic.canary) == (4, 0)
    world.until(lambda: world.traffic.canary > 0)
    assert (world.traffic.canary, world.cluster.service) == (100, "v2")
    assert (world.release.phase, world.release.reason) == ("Baking", "KeepingOld")
    world.advance(seconds=50)
    assert world.cluster.deployments["v1"].wanted == 4
    world.advance(minutes=3)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")
    assert list(world.cluster.deployments) == ["v2"]


def test_the_switch_waits_until_the_new_version_has_all_its_pods(world):
    world.given(blue_green(approve(), preview=1))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert world.cluster.deployments["v2"].wanted == 1
    world.ask("approve")
    assert (world.cluster.deployments["v2"].wanted, world.traffic.canary) == (4, 0)
    world.until(lambda: world.traffic.canary > 0)
    assert (world.traffic.canary, world.cluster.states()["v2"].serving) == (100, 4)


def test_its_first_step_begins_when_all_pods_of_the_preview_serve(world):
    world.given(blue_green(approve()))
    world.commit("v2")
    world.cluster.deployments["v2"].started[-1] += 60
    world.advance(seconds=START_S + 30)
    assert (world.cluster.states()["v2"].serving, world.release.reason) == (3, "NewVersionStarting")
    world.advance(seconds=60)
    assert (world.cluster.states()["v2"].serving, world.release.reason) == (4, "AwaitingApproval")


@ROUTERS
def test_an_abort_after_the_switch_while_new_pods_crash_is_one_write_to_a_version_that_serves(world, by):
    switched(world, by=by)
    world.cluster.behavior("v2").pods = "crashing"
    world.ask("abort")
    assert told(world)[0] == "weights v1:100"
    assert (world.traffic.canary, world.cluster.service) == (0, "v1")
    assert world.cluster.states()["v1"].serving == 4
    assert "make v1 4" not in told(world)


def test_service_name_returns_before_anything_grows_or_goes(world):
    switched(world)
    world.ask("abort")
    assert [one for one in told(world) if not one.startswith(("close", "finalizer"))][:2] == [
        "weights v1:100",
        "service v1",
    ]


def test_a_preview_that_never_becomes_ready_is_rejected_by_its_deadline_and_nobody_noticed(world):
    world.given(blue_green(approve(), deadline="2m"))
    world.unready("v2")
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack")
    assert world.release.reason == "ProgressDeadlineExceeded"
    assert not [one for one in told(world) if one.startswith("weights")]


def test_pods_lost_hours_into_an_approval_get_the_whole_deadline(world):
    world.given(blue_green(approve(), deadline="5m"))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.advance(minutes=60)
    world.unready("v2")
    world.advance(minutes=4)
    assert world.release.canary == "v2"
    world.recover("v2")
    world.advance(seconds=START_S)
    assert world.release.reason == "AwaitingApproval"
    world.unready("v2")
    world.advance(minutes=6)
    assert world.release.is_rejected("v2")


def test_another_version_in_mid_switch_returns_the_work_and_starts_at_its_first_step(world):
    switched(world, pause("20s"))
    world.commit("v3")
    assert told(world)[0] == "weights v1:100"
    world.until(lambda: world.traffic.canary == 100)
    assert world.release.canary == "v3"
    assert world.cluster.service == "v3"


def test_stable_in_the_spec_again_ends_the_switch_at_once(world):
    switched(world)
    world.commit("v1")
    assert told(world)[0] == "weights v1:100"
    assert world.cluster.service == "v1"
    world.advance(minutes=2)
    assert (world.release.phase, list(world.cluster.deployments)) == ("Healthy", ["v1"])


def test_a_version_that_fails_only_under_all_of_the_work_is_switched_back_in_two_looks(world):
    switched(world)
    world.regress("v2", 0.05)
    world.advance(seconds=5)
    assert world.traffic.canary == 100
    world.advance(seconds=5)
    assert (world.traffic.canary, world.cluster.service) == (0, "v1")
    rollback = world.release.last_rollback
    assert (rollback.revision, rollback.reason) == ("v2", "Regressed")
    assert "40000 before it" in rollback.message
    assert "has no bound" in rollback.message


def test_a_version_that_is_as_good_as_before_is_kept_and_nobody_calls_it_proven(world):
    switched(world, keep=120.0)
    world.until(lambda: world.release.phase == "Healthy")
    assert (world.release.stable, world.release.judged) == ("v2", "SwitchKept")
    assert world.condition("Judged")["status"] == "False"


def test_an_outage_of_the_metrics_stops_the_clock_of_keep_old_and_then_returns_the_work(world):
    switched(world, keep=120.0)
    world.metrics.trouble = MetricTrouble(Reason.SOURCE_OUTAGE, "down")
    world.advance(minutes=5)
    assert (world.traffic.canary, world.release.phase) == (100, "Waiting")
    world.advance(minutes=11)
    assert (world.traffic.canary, world.cluster.service) == (0, "v1")
    assert not world.release.is_rejected("v2")
    world.metrics.trouble = None
    world.until(lambda: world.traffic.canary == 100)


def test_the_old_version_that_lost_pods_while_kept_is_named_and_gets_them_again(world):
    switched(world)
    world.unready("v1")
    world.advance(seconds=5)
    assert "v1" in world.release.message
    assert "0 of 4" in world.release.message
    world.recover("v1")
    world.advance(seconds=START_S)
    assert "of 4" not in world.release.message


def test_consumers_know_that_the_new_version_is_on_trial_from_the_switch_to_its_promotion(world):
    switched(world, keep=120.0, by=BY_CLAIMS)
    assert (world.release.phase, world.cluster.on_trial) == ("Baking", "v2")
    world.advance(minutes=1)
    assert world.cluster.on_trial == "v2"
    world.until(lambda: world.release.stable == "v2")
    assert world.cluster.on_trial == ""


@pytest.mark.parametrize("given", [blue_green(by=BY_CLAIMS), release([weight(100, analyze("1m", "5m"))], by=BY_CLAIMS)])
def test_a_switch_back_ends_the_trial(world, given):
    world.given(given)
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    assert world.cluster.on_trial == "v2"
    world.ask("abort")
    assert (world.traffic.canary, world.cluster.on_trial) == (0, "")


def test_a_mark_that_is_lost_or_old_is_set_again_and_nobody_is_blamed(world):
    """A ledger that an older operator wrote over, or whose mark ends soon, is not a route that was changed by hand."""
    switched(world, by=BY_CLAIMS)
    world.cluster.on_trial = ""
    world.advance(seconds=61)
    assert (world.cluster.on_trial, world.release.phase) == ("v2", "Baking")
    assert "ChangedByHand" not in [event.reason for event in world.cluster.events]
    assert world.release.route_edits.at == ()


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_CLAIMS])
def test_from_canary_to_blue_green_in_mid_release_is_no_jump_to_everything(world, by):
    world.given(release([weight(5), approve(), weight(50)], by=by).on("v2", at_step=1))
    new = blue_green(approve())
    world.edit(strategy=new.spec.strategy, strategy_kind="blueGreen", steps=new.spec.steps)
    assert (world.traffic.canary, world.release.step, world.release.canary) == (0, 0, "v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert world.traffic.canary == 0
    assert world.release.attempts == 2
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 100)


def test_from_blue_green_to_canary_after_the_switch_starts_at_a_small_share(world):
    switched(world)
    new = release([weight(5), approve()])
    world.edit(strategy=new.spec.strategy, strategy_kind="canary", steps=new.spec.steps)
    assert world.traffic.canary <= 5
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert (world.traffic.canary, world.cluster.service) == (5, "v1")
    assert isinstance(world.spec.strategy, Canary)


def test_a_change_of_strategy_at_rest_changes_nothing(world):
    world.given(release())
    new = blue_green(approve())
    world.edit(strategy=new.spec.strategy, strategy_kind="blueGreen", steps=new.spec.steps)
    world.advance(minutes=1)
    assert told(world) == []


def test_suspend_after_the_switch_leaves_all_callers_where_they_are(world):
    switched(world)
    world.edit(suspend=True)
    world.advance(minutes=1)
    assert (world.traffic.canary, world.cluster.service) == (100, "v2")
    assert told(world) == []


def test_deleting_after_the_switch_gives_everything_back_first(world):
    switched(world)
    world.delete()
    assert [one for one in told(world) if not one.startswith("close")][:2] == ["weights v1:100", "service v1"]
    assert (world.traffic.canary, world.cluster.service) == (0, "v1")


def test_a_first_version_keeps_to_its_limits_for_as_long_as_a_switched_one(world):
    world.given(blue_green(keep=120.0, limits={"floor": 0.02}).first())
    world.until(lambda: world.release.phase == "Baking")
    world.until(lambda: world.release.phase == "Healthy")
    assert world.release.judged == "LimitsKept"


@ROUTERS
def test_forty_switches_leave_nothing_behind(world, by):
    """With a whole operator there are two hundred, in `test_switch_memory.py`."""
    world.given(blue_green(keep=5.0, by=by))
    for number in range(40):
        revision = f"v{number + 2}"
        world.commit(revision)
        world.until(lambda wanted=revision: world.release.stable == wanted)
        world.advance(seconds=40)
    assert len(world.cluster.deployments) == 1
    assert world.release.phase == "Healthy"


def test_a_switch_that_nobody_saw_is_not_called_kept(world):
    world.given(blue_green(keep=60.0))
    world.metrics.per_look = 0
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2")
    assert world.release.judged == "Unproven"


def test_after_the_switch_an_autoscaler_and_the_status_follow_who_serves(world):
    switched(world)
    assert world.release.serves == "v2"
    world.unready("v1")
    world.advance(seconds=5)
    assert world.release.ready_replicas == 4
    assert world.condition("Available")["status"] == "True"
    assert "v2 serves" in world.condition("Available")["message"]
    world.recover("v1")
    world.ask("abort")
    assert world.release.serves == "v1"


def test_all_of_the_work_does_not_stay_on_less_than_half_of_the_pods(world):
    switched(world)
    for number in range(3):
        world.cluster.deployments["v2"].started[number] += 600
    world.advance(seconds=5)
    assert (world.traffic.canary, world.cluster.service) == (0, "v1")
    assert not world.release.is_rejected("v2")


def test_a_scale_up_after_the_switch_takes_no_work_away(world):
    switched(world)
    world.edit(replicas=12)
    world.advance(seconds=5)
    assert world.traffic.canary == 100


def test_steps_that_leave_before_the_switch_are_no_approval(world):
    world.given(blue_green(pause("20s"), approve()))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.edit(steps=blue_green(approve()).spec.steps)
    world.advance(minutes=1)
    assert (world.traffic.canary, world.release.reason) == (0, "AwaitingApproval")


def test_steps_that_come_before_the_switch_leave_it_as_it_is(world):
    switched(world)
    world.edit(steps=blue_green(pause("20s"), approve()).spec.steps)
    world.advance(seconds=10)
    assert (world.traffic.canary, world.release.reason) == (100, "KeepingOld")


def test_an_approval_ends_the_wait_of_a_suspicious_switch(world):
    world.given(blue_green(keep=60.0, alpha=0.3))
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    run = world.attempts[world.release.run]
    run.plan = run.judge.plan = replace(run.plan, min_bad_units=1_000_000)
    world.regress("v2", 0.05)
    world.until(lambda: world.release.reason == "Suspicious")
    world.ask("approve")
    world.until(lambda: world.release.stable == "v2")


def test_a_status_lost_after_the_switch_trusts_whom_it_trusted_before(world):
    switched(world)
    world._keep({"observedGeneration": -1})
    world.settle()
    assert world.release.stable == "v1"
    world.advance(minutes=1)
    assert "v1" in world.cluster.deployments


def test_an_attempt_from_before_there_were_two_strategies_starts_anew(world):
    world.given(release([weight(5), approve()]).on("v2", at_step=1))
    world._keep({name: value for name, value in world.raw.items() if name != "strategy"})
    new = blue_green(approve())
    world.edit(strategy=new.spec.strategy, strategy_kind="blueGreen", steps=new.spec.steps)
    assert (world.traffic.canary, world.release.step) == (0, 0)


def test_the_switch_waits_for_looks_to_compare_with_and_not_for_ever(world):
    world.given(blue_green())
    world.lacks_before = True
    world.commit("v2")
    world.advance(seconds=START_S + 30)
    assert (world.traffic.canary, world.release.reason) == (0, "Analyzing")
    assert "waits for some looks" in world.release.message
    world.advance(minutes=2)
    assert world.traffic.canary == 100
