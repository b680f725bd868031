"""`baseline: fresh`: new pods of stable beside the canary, with as much work, and compared with it."""

from dataclasses import replace

import pytest

from controller.api.revision import baseline_name
from controller.rollout.bake import Bake
from controller.stats.counts import Counts
from controller.stats.lost_baseline import disaster_alone
from tests.unit.rollout.cluster import CRASHING, NO_ROOM, UNREADY
from tests.unit.rollout.language import analyze, approve, pause, release, weight

STEPS = [weight(5, analyze("30s", "1m")), weight(50, analyze("30s", "1m")), weight(80, analyze("30s", "1m"))]


def fresh(steps=None, **given):
    return release(STEPS if steps is None else steps, baseline="fresh", **given)


@pytest.fixture
def started(world):
    world.given(fresh([weight(25, analyze("1m", "2m")), approve(), weight(50)], replicas=8).on("v2"))
    return world


def test_as_many_new_pods_of_stable_have_as_much_work_as_the_canary(started):
    baseline = started.release.baseline
    assert baseline == baseline_name("v1", "v2", started.release.attempts)
    assert started.cluster.weights() == {"v1": 50, baseline: 25, "v2": 25}
    assert started.cluster.deployments[baseline].wanted == started.cluster.deployments["v2"].wanted == 3


def test_canary_and_baseline_are_made_in_the_same_decision(world):
    world.given(fresh())
    world.target = "v2"
    world.reconcile()
    made = [entry for entry in world.log if entry.startswith("make")]
    assert made == ["make v2 1", f"make {world.release.baseline} 1 v1"]
    assert world.log.index("status Progressing CanaryStarting") < world.log.index(made[0])
    assert world.traffic.stable == 100


def test_the_status_names_the_baseline_and_its_weight_before_any_work_moves(world):
    world.given(fresh())
    world.target = "v2"
    world.broken = "status"
    world.advance(minutes=1)
    assert world.traffic.stable == 100
    world.broken = ""
    world.until(lambda: world.traffic.canary > 0)
    assert world.release.baseline_weight == 5


def test_stable_gives_the_baseline_what_is_left_when_the_canary_has_more_than_half(world):
    world.given(fresh([weight(80, analyze("30s", "1m")), approve()]).on("v2"))
    assert world.cluster.weights() == {world.release.baseline: 20, "v2": 80}


def test_a_version_comes_out_and_its_baseline_goes_before_it_is_stable(world):
    world.given(fresh())
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") == 80)
    baseline = world.release.baseline
    world.until(lambda: world.release.stable == "v2")
    promoted = world.log.index("weights v2:100")
    before = world.log.index("weights v1:20,v2:80")
    assert before < promoted
    world.advance(minutes=2)
    assert set(world.cluster.deployments) == {"v2"}
    assert baseline not in world.cluster.templates
    assert world.release.phase == "Healthy"
    assert baseline not in {world.release.previous, *world.release.named}


def test_the_bake_leaves_the_holdback_to_the_baseline_and_a_regression_goes_back_to_stable(world):
    world.given(fresh([weight(25, analyze("10s", "30s")), Bake(weight=95, seconds=600)]))
    world.commit("v2")
    world.until(lambda: world.release.phase == "Baking")
    assert world.cluster.weights() == {world.release.baseline: 5, "v2": 95}
    assert world.cluster.deployments["v1"].wanted == 4
    world.regress("v2")
    world.until(lambda: world.release.phase in ("RollingBack", "RolledBack"))
    assert world.cluster.weights() == {"v1": 100}
    world.advance(minutes=1)
    assert set(world.cluster.deployments) == {"v1"}


def test_a_canary_that_is_worse_than_its_baseline_is_rolled_back(started):
    started.regress("v2")
    started.advance(minutes=1)
    assert (started.release.phase, started.release.reason) == ("RolledBack", "Regressed")
    assert set(started.cluster.deployments) == {"v1"}


def test_a_canary_as_slow_as_its_baseline_is_not_blamed_where_warm_pods_do_better(started):
    started.regress(started.release.baseline)
    started.regress("v2")
    started.advance(minutes=1)
    assert started.release.canary == "v2"


def test_the_same_start_is_blamed_on_the_canary_when_it_is_compared_with_warm_pods(world):
    world.given(release([weight(25, analyze("1m", "2m")), approve()], replicas=8).on("v2"))
    world.regress("v2")
    world.advance(minutes=1)
    assert world.release.reason == "Regressed"


@pytest.mark.parametrize("behavior", [UNREADY, CRASHING, NO_ROOM])
def test_a_baseline_that_loses_its_pods_gives_its_work_to_stable_and_blames_nobody(started, behavior):
    baseline = started.release.baseline
    started.pods(baseline, behavior)
    assert started.cluster.weights() == {"v1": 75, "v2": 25}
    assert (started.release.phase, started.release.reason) == ("Waiting", "BaselineUnready")
    started.advance(minutes=10)
    assert (started.release.canary, started.release.step, started.traffic.of("v2")) == ("v2", 0, 25)
    started.recover(baseline)
    started.advance(seconds=5)
    assert started.cluster.weights() == {"v1": 50, baseline: 25, "v2": 25}
    started.until(lambda: started.release.reason == "AwaitingApproval")


@pytest.mark.parametrize("paused", ["", "pause"])
def test_a_bad_canary_that_is_compared_with_nobody_does_not_keep_its_work_for_ever(started, paused):
    """Half of its requests failed for hours: its baseline had no pod, so that nothing could convict it."""
    baseline = started.release.baseline
    started.pods(baseline, CRASHING)
    started.regress("v2", 0.5)
    if paused:
        started.ask(paused)
    started.advance(minutes=16)
    assert started.cluster.weights() == {"v1": 100}
    assert (started.release.phase, started.release.canary) == ("Waiting" if not paused else "Paused", "v2")
    assert not started.release.rejected


def test_a_canary_whose_work_went_to_stable_for_its_baseline_gets_it_again(started):
    baseline = started.release.baseline
    started.no_room(baseline)
    started.advance(minutes=30)
    assert (started.release.reason, started.traffic.of("v2")) == ("BaselineUnready", 0)
    started.recover(baseline)
    started.advance(seconds=5)
    assert started.cluster.weights() == {"v1": 50, baseline: 25, "v2": 25}
    started.until(lambda: started.release.reason == "AwaitingApproval")


def test_a_canary_keeps_its_work_without_its_baseline_where_the_spec_says_so(started):
    analysis = started.spec.analysis
    started.edit(analysis=replace(analysis, on_outage=replace(analysis.on_outage, to_stable=False)))
    started.unready(started.release.baseline)
    started.advance(minutes=60)
    assert started.cluster.weights() == {"v1": 75, "v2": 25}


@pytest.mark.parametrize("behavior", [UNREADY, CRASHING, NO_ROOM])
def test_a_baseline_that_never_serves_is_waited_for_until_the_spec_says_otherwise(world, behavior):
    world.given(fresh(deadline="2m"))
    baseline = baseline_name("v1", "v2", world.release.attempts + 1)
    world.pods(baseline, behavior)
    world.commit("v2")
    world.advance(minutes=5)
    assert (world.release.phase, world.release.reason) == ("Waiting", "BaselineUnready")
    assert world.traffic.stable == 100
    assert "baseline: stable" in world.release.message
    world.edit(strategy=release().spec.strategy)
    world.until(lambda: world.traffic.of("v2") == 5)
    world.advance(seconds=5)
    assert baseline not in world.cluster.deployments
    world.until(lambda: world.release.stable == "v2")


def test_a_canary_that_crashes_is_rolled_back_while_its_baseline_is_waited_for(world):
    world.given(fresh())
    world.pods(baseline_name("v1", "v2", world.release.attempts + 1), UNREADY)
    world.commit("v2")
    world.advance(minutes=1)
    world.crash_loop("v2")
    world.advance(seconds=30)
    assert world.release.phase == "RolledBack"
    assert set(world.cluster.deployments) == {"v1"}


def test_a_canary_that_loses_its_pods_takes_the_baselines_work_to_stable_too(started):
    started.unready("v2")
    assert started.cluster.weights() == {"v1": 100}
    started.recover("v2")
    started.until(lambda: started.traffic.of("v2") == 25)
    assert started.traffic.of(started.release.baseline) == 25


def test_no_weight_rises_before_the_baseline_has_its_pods_for_it(world):
    world.given(fresh([weight(5), approve(), weight(50, analyze("30s", "1m"))], replicas=8))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    baseline = world.release.baseline
    world.ask("approve")
    assert world.cluster.deployments[baseline].wanted == world.cluster.deployments["v2"].wanted == 5
    world.pods(baseline, UNREADY)
    world.advance(seconds=30)
    assert world.traffic.of("v2") == 5
    world.recover(baseline)
    world.until(lambda: world.traffic.of("v2") == 50)
    assert world.traffic.of(baseline) == 50


def test_an_edit_to_fresh_in_mid_release_brings_a_baseline_and_one_back_takes_it_away(world):
    world.given(release([weight(25, analyze("1m", "2m")), approve(), weight(50)], replicas=8).on("v2"))
    old, new = world.spec.strategy, fresh().spec.strategy
    world.edit(strategy=new)
    assert world.cluster.weights() == {"v1": 75, "v2": 25}
    world.until(lambda: world.traffic.of(world.release.baseline) == 25)
    baseline = world.release.baseline
    world.edit(strategy=old)
    assert world.cluster.weights() == {"v1": 75, "v2": 25}
    assert baseline in world.cluster.deployments
    world.advance(seconds=5)
    assert baseline not in world.cluster.deployments
    world.until(lambda: world.release.reason == "AwaitingApproval")


def test_another_version_gets_a_baseline_of_its_own(started):
    before = started.release.baseline
    started.commit("v3")
    assert started.traffic.stable == 100
    started.until(lambda: started.traffic.of("v3") == 25)
    assert started.release.baseline not in ("", before)
    started.advance(seconds=10)
    assert before not in started.cluster.deployments


def test_a_retry_gets_new_pods(started):
    before = started.release.baseline
    started.ask("abort")
    started.advance(minutes=1)
    started.ask("retry", "v2")
    started.until(lambda: started.traffic.of("v2") == 25)
    assert started.release.baseline != before


def test_a_full_promotion_waits_for_no_baseline(world):
    world.given(fresh())
    world.pods(baseline_name("v1", "v2", world.release.attempts + 1), UNREADY)
    world.commit("v2")
    world.advance(seconds=30)
    world.ask("promote")
    world.until(lambda: world.release.stable == "v2", minutes=2)


def test_suspended_a_baseline_keeps_its_work_as_long_as_it_serves(started):
    started.edit(suspend=True)
    baseline = started.release.baseline
    assert started.traffic.of(baseline) == 25
    started.unready(baseline)
    assert started.cluster.weights() == {"v1": 75, "v2": 25}


def test_the_version_that_has_most_of_the_work_serves(world):
    world.given(fresh([weight(30), approve(), weight(40), approve()]))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert world.release.serves == "v1"
    world.ask("approve")
    world.until(lambda: world.traffic.of("v2") == 40)
    assert world.release.serves == "v2"


def test_without_a_metric_that_compares_there_is_no_baseline(world):
    world.given(fresh(metrics=(), limits={"floor": 0.5}).on("v2"))
    assert world.release.baseline == ""


def test_work_of_a_baseline_that_somebody_takes_away_comes_back(started):
    wanted = dict(started.cluster.route)
    started.cluster.route = {"v1": 75.0, "v2": 25.0}
    started.settle()
    assert started.cluster.route == wanted


def test_a_baseline_that_somebody_deletes_is_made_again(started):
    baseline = started.release.baseline
    del started.cluster.deployments[baseline]
    started.cluster.route = {"v1": 75.0, "v2": 25.0}
    started.settle()
    assert baseline in started.cluster.deployments
    started.until(lambda: started.traffic.of(baseline) == 25)


def test_a_release_scaled_to_zero_leaves_no_pod_of_its_baseline(started):
    started.edit(replicas=0)
    assert started.cluster.deployments[started.release.baseline].wanted == 0
    started.edit(replicas=4)
    started.until(lambda: started.traffic.of(started.release.baseline) == 25)


def test_deleting_the_release_takes_the_baselines_work_to_stable(started):
    started.delete()
    assert started.cluster.weights() == {"v1": 100}
    assert started.cluster.gone


def test_a_pause_step_is_passed_while_the_baseline_serves(world):
    world.given(fresh([weight(10), pause("20s"), weight(20), pause("20s")]))
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2", minutes=5)


def test_a_step_does_not_begin_again_each_time_its_baseline_loses_a_pod(world):
    """A pause of minutes never ended while the baseline's only pod was moved every half minute."""
    world.given(fresh([weight(25), pause("5m"), weight(50), approve()]).on("v2"))
    for _ in range(20):
        world.unready(world.release.baseline)
        world.advance(seconds=5)
        world.recover(world.release.baseline)
        world.advance(seconds=25)
    assert world.release.step >= 2


def test_a_step_stands_still_while_its_baseline_has_no_pod(world):
    world.given(fresh([weight(25), pause("5m"), weight(50), approve()]).on("v2"))
    world.unready(world.release.baseline)
    world.advance(minutes=10)
    world.recover(world.release.baseline)
    world.advance(minutes=4)
    assert world.release.step == 1
    world.advance(minutes=2)
    assert world.release.step >= 2


def test_new_pods_that_are_worse_than_those_that_run_are_said_once_and_decide_nothing(world):
    said = "new pods of stable are worse than those that run: latency 40/200 vs 10/4000 (p 1e-9)"
    world.given(fresh([weight(25, analyze("1m", "2m")), approve()], replicas=8).on("v2"))
    world.cold_start = said
    world.advance(seconds=20)
    assert said in world.release.message
    world.until(lambda: world.release.reason == "AwaitingApproval")
    assert said in world.release.message
    assert [event.message for event in world.cluster.events if event.reason == "BaselineWorse"] == [said]
    world.ask("approve")
    world.until(lambda: world.release.stable == "v2")
    assert said not in world.release.message


@pytest.mark.parametrize("paused", ["", "pause"])
def test_a_disaster_that_newness_cannot_explain_is_rolled_back_while_the_baseline_is_lost(started, paused):
    started.pods(started.release.baseline, CRASHING)
    if paused:
        started.ask(paused)
    started.disaster = disaster_alone("errors", Counts(120, 200, 0, 20_000), (0, 1000), 1.1)
    started.advance(seconds=1)
    assert (started.release.canary, started.release.reason) == ("", "Regressed")
    assert "since its baseline is gone" in started.release.message
    assert started.cluster.weights() == {"v1": 100}


def test_so_is_a_canary_that_harms_too_many(started):
    started.edit(analysis=replace(started.spec.analysis, max_harmed=200))
    started.pods(started.release.baseline, CRASHING)
    started.regress("v2", 0.5)
    started.advance(seconds=30)
    assert (started.release.phase, started.release.reason) == ("RolledBack", "MaxHarmed")
