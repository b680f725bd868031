"""`analyze` on what reaches a version without work: copies of requests, and requests that people choose."""

from dataclasses import replace

import pytest

from controller.api import reach
from controller.rollout.actions import SetPreview
from controller.rollout.steps.header import Header
from controller.rollout.steps.mirror import Mirror
from controller.stats.all_bad import Disaster
from controller.stats.counts import Counts
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import analyze, approve, blue_green, pause, release, weight


def copies(percent, at_least="30s", at_most="2m"):
    return Mirror(percent, analyze(at_least, at_most))


def given(world, *steps, **more):
    world.given(release([*steps], **more))


def looks(world):
    run = world.attempts.get(world.release.run)
    return run.looks if run is not None else []


def test_copies_that_are_worse_reject_the_version_before_anybody_got_it(world):
    given(world, copies(10.0), weight(5, analyze("30s", "1m")))
    world.regress("v2")
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=10)
    assert world.release.last_rollback.reason == "Regressed"
    assert world.traffic.of("v2") == 0
    assert all(look.weight == 0 and look.copied == 10 for look in looks(world))
    assert not any(words.startswith("weights") for words in world.log), "no request of anybody has moved"
    world.advance(minutes=1)
    assert (world.cluster.preview, list(world.cluster.deployments)) == (None, ["v1"])


def test_a_version_that_copies_prove_no_worse_goes_on(world):
    given(world, copies(50.0), approve(), weight(5), approve(), promote_below=1.5)
    world.cluster.behavior("v1").errors = world.cluster.behavior("v2").errors = 0.05
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=5)
    assert "proven no worse" in " ".join(event.message for event in world.cluster.events)


def test_at_most_without_proof_is_decided_by_on_timeout(world):
    given(world, copies(10.0), approve(), on_timeout="rollback")
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    assert world.release.last_rollback.reason == "Unproven"


def test_without_traffic_to_copy_it_is_waited_for(world):
    given(world, copies(10.0), approve())
    world.metrics.per_look = 4
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingTraffic", minutes=5)
    assert world.release.phase == "Waiting"
    world.metrics.per_look = 2000
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=5)


def test_looks_begin_when_the_router_copies_and_end_with_it(world):
    given(world, approve(), copies(10.0), pause("30s"), weight(5), approve())
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.advance(minutes=1)
    assert (looks(world), world.release.copied) == ([], 0)
    world.ask("approve")
    world.until(lambda: world.release.reason == "Pausing", minutes=5)
    assert world.release.copied == 10
    assert len(looks(world)) > 20, "and go on in a pause"
    world.until(lambda: world.traffic.canary == 5, minutes=5)
    world.advance(seconds=10)
    assert world.release.copied == 0
    assert (looks(world)[-1].weight, looks(world)[-1].copied) == (5, 0)


def test_copies_that_nobody_wants_to_be_analyzed_are_in_no_look(world):
    given(world, Mirror(10.0), approve())
    world.regress("v2")
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.advance(minutes=5)
    assert (world.release.reason, looks(world), world.release.copied) == ("AwaitingApproval", [], 0)


def test_an_outage_stops_the_clock_and_judges_nobody(world):
    given(world, copies(10.0, "0s", "2m"), approve())
    world.commit("v2")
    world.until(lambda: world.release.copied == 10)
    world.advance(seconds=30)
    world.metrics.go_dark()
    world.advance(minutes=20)
    assert (world.release.phase, world.release.reason) == ("Waiting", "SourceOutage")
    assert world.release.step == 0
    assert "no work until" not in world.release.message, "it has none"
    world.metrics.come_back()
    world.advance(seconds=60)
    assert world.release.reason == "Analyzing"
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=3)


def test_a_disaster_in_copies_is_acted_on_at_once(world):
    given(world, copies(10.0), approve())
    world.commit("v2")
    world.until(lambda: world.release.copied == 10)
    world.disaster = Disaster("errors", Counts(40, 40, 0, 400), 1e-30)
    world.settle()
    assert world.release.last_rollback.reason == "AllBad"


def test_pods_that_are_lost_end_the_looks_and_the_version_goes_on_with_new_ones(world):
    given(world, copies(10.0), approve())
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 3)
    world.unready("v2")
    seen = len(looks(world))
    world.advance(seconds=20)
    assert (world.release.copied, len(looks(world))) == (0, seen)
    world.recover("v2")
    world.advance(seconds=START_S + 10)
    assert world.release.copied == 10
    assert len(looks(world)) > seen


def test_an_abort_ends_the_judged_copies(world):
    given(world, copies(10.0), approve())
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 3)
    world.ask("abort")
    assert (world.cluster.preview, world.release.copied) == (None, 0)
    assert set(world.cluster.runs.values()) == {"aborted"}


def test_a_pause_stops_steps_and_no_rollback(world):
    given(world, copies(10.0), approve())
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 1)
    world.ask("pause")
    world.advance(minutes=5)
    assert (world.release.reason, world.release.step) == ("PausedByPerson", 0)
    world.regress("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)


def test_another_share_of_copies_is_another_look(world):
    given(world, copies(10.0, at_most="20m"), approve())
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 3)
    world.edit(steps=(copies(50.0, at_most="20m"), approve()))
    world.advance(seconds=30)
    assert {look.copied for look in looks(world)} == {10, 50}
    assert world.cluster.preview.reach.mirror == 50


def test_a_mirror_step_that_leaves_the_spec_takes_its_copies_and_looks_along(world):
    given(world, copies(10.0, at_most="20m"), approve(), weight(5))
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 3)
    world.edit(steps=(approve(), weight(5)))
    seen = len(looks(world))
    world.advance(minutes=1)
    assert (world.cluster.preview, world.release.copied, len(looks(world))) == (None, 0, seen)
    assert world.release.reason == "AwaitingApproval"


def test_a_restart_in_the_middle_finds_the_same_evidence(world):
    given(world, copies(10.0, at_most="20m"), approve())
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 5)
    before = world.observe().evidence
    world.restart()
    assert world.observe().evidence == before
    assert world.release.copied == 10
    world.regress("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)


def test_a_mirror_that_cannot_be_written_begins_no_look(world):
    given(world, copies(10.0), approve())
    world.broken = SetPreview
    world.commit("v2")
    world.advance(minutes=5)
    assert (world.release.copied, looks(world), world.release.step) == (0, [], 0)


@pytest.mark.parametrize(("percent", "pods"), [(10.0, 1), (50.0, 3), (100.0, 4)])
def test_the_canary_has_pods_for_its_copies(world, percent, pods):
    given(world, copies(percent), approve())
    world.commit("v2")
    world.until(lambda: world.release.copied == percent)
    assert world.cluster.deployments["v2"].wanted == pods


# -- before a switch ---------------------------------------------------------------------------------------------------


def test_what_copies_find_before_the_switch_rejects_the_version_before_anybody_got_it(world):
    world.given(blue_green(copies(10.0), approve()))
    world.regress("v2")
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    assert (world.traffic.of("v2"), world.cluster.service) == (0, "v1")
    message = world.release.last_rollback.message
    assert "on the new version" in message
    assert message.endswith("It had copies of 10 % of the requests, and nobody got its answers")
    assert "v2 rejected before it had work: errors" in " ".join(event.message for event in world.cluster.events)
    assert world.cluster.runs == {"shop-v2-1-preview": "regression"}
    world.advance(minutes=1)
    assert (world.cluster.preview, list(world.cluster.deployments)) == (None, ["v1"])


def test_before_and_after_a_switch_are_two_runs_with_half_of_the_budget_each(world):
    world.given(blue_green(copies(10.0), approve(), keep=120.0))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=5)
    assert world.release.run == "shop-v2-1-preview"
    before = len(looks(world))
    world.advance(minutes=1)
    assert len(looks(world)) > before, "looks go on while a person decides"
    world.ask("approve")
    world.until(lambda: world.traffic.of("v2") == 100)
    world.advance(seconds=20)
    assert world.release.run == "shop-v2-1"
    assert all(look.weight == 100 and not look.copied for look in looks(world))
    world.until(lambda: world.release.stable == "v2", minutes=5)
    assert world.release.judged == "SwitchKept"


def test_a_version_that_only_everybodys_load_breaks_is_switched_back_after_its_preview(world):
    world.given(blue_green(copies(10.0), keep=600.0))
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") == 100, minutes=5)
    world.regress("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    assert "since the switch" in world.release.last_rollback.message
    assert "rolled back" in " ".join(event.message for event in world.cluster.events)


def test_the_pods_of_a_preview_are_as_many_as_the_spec_says_whatever_is_copied(world):
    world.given(blue_green(copies(100.0), approve(), preview=2))
    world.commit("v2")
    world.until(lambda: world.release.copied == 100)
    assert world.cluster.deployments["v2"].wanted == 2


def test_steps_that_are_edited_before_the_switch_begin_anew_in_the_same_run(world):
    world.given(blue_green(copies(10.0, at_most="20m"), approve()))
    world.commit("v2")
    world.until(lambda: len(looks(world)) > 3)
    edited = blue_green(copies(20.0, at_most="20m"), pause("1s"), approve()).spec
    world.edit(strategy=edited.strategy, steps=edited.steps)
    world.advance(seconds=30)
    assert (world.release.step, world.release.copied, world.release.run) == (0, 20, "shop-v2-1-preview")
    assert {look.copied for look in looks(world)} == {10, 20}


# -- requests that people choose ---------------------------------------------------------------------------------------

HEADER = Header(reach.Header("x-canary", "always"), analyze("0s", "2m"))
LIMITS = {"floor": 0.02}


def test_requests_with_a_header_are_held_to_limits_and_compared_with_nobody(world):
    given(world, HEADER, approve(), limits=LIMITS, min_units=20)
    world.cluster.behavior("v1").errors = 0.0
    world.regress("v2", 0.019)
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval", minutes=5)
    assert all(look.chosen and list(look.rows) == ["floor"] for look in looks(world))
    assert "watched for 120 s" in " ".join(event.message for event in world.cluster.events)


def test_a_limit_that_requests_with_a_header_exceed_rejects_the_version(world):
    given(world, HEADER, approve(), limits=LIMITS)
    world.regress("v2", 0.3)
    world.commit("v2")
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    message = world.release.last_rollback.message
    assert "floor" in message
    assert message.endswith("Nobody but those who send the header has met it")


def test_where_nobody_sends_the_header_it_is_waited_for(world):
    given(world, HEADER, weight(5), approve(), limits=LIMITS)
    world.metrics.chosen = 0.0
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingTraffic", minutes=5)
    world.ask("approve")
    world.until(lambda: world.traffic.canary == 5, minutes=1)


def test_with_work_everything_is_compared_again(world):
    given(world, HEADER, weight(5), approve(), limits=LIMITS)
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 5, minutes=5)
    world.advance(seconds=20)
    assert set(looks(world)[-1].rows) == {"errors", "floor"}
    assert not looks(world)[-1].chosen


def test_copies_harm_nobody_and_so_do_not_count_for_max_harmed(world):
    given(world, copies(50.0, at_most="1m"), weight(5), approve(), alpha=1e-9)
    world.spec = replace(world.spec, analysis=replace(world.spec.analysis, max_harmed=20))
    world.regress("v2", 0.004)
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 5, minutes=5)
    assert sum(look.rows["errors"].canary_bad for look in looks(world)) > 40
    world.regress("v2", 0.1)
    world.until(lambda: world.release.phase == "RolledBack", minutes=5)
    assert world.release.last_rollback.reason in ("MaxHarmed", "Regressed")
