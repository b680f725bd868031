"""What happened at the end of a time is looked at before anything follows from that time."""

from dataclasses import replace

import pytest

from controller.rollout.actions import SetPreview
from controller.rollout.bake import Bake
from controller.rollout.steps.mirror import Mirror
from controller.stats.counts import Counts
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import analyze, approve, blue_green, pause, release, weight
from tests.unit.rollout.test_judged_without_work import copies

SETTLE_S = 20.0


def seen(world, canary_bad, units=50):
    """A look at copies of the last seconds, which arrives now."""
    now = world.cluster.now
    world.attempts[world.release.run].look(now - 5, now, 0.0, Counts(canary_bad, units, 0, 100 * units), copied=10.0)


def seen_with_work(world, canary_bad):
    """A look at the last seconds of a canary with a quarter of the work, which arrives now."""
    now = world.cluster.now
    world.attempts[world.release.run].look(now - 5, now, 25.0, Counts(canary_bad, 50, 0, 5000))


@pytest.fixture
def late(world):
    world.settle_s = SETTLE_S
    return world


@pytest.fixture
def previewed(late):
    """A person has approved what copies have shown; their last look has not come yet."""
    late.given(blue_green(copies(10.0), approve(), preview=4))
    late.regress("v1", 0.0)
    late.regress("v2", 0.0)
    late.commit("v2")
    late.until(lambda: late.release.reason == "AwaitingApproval")
    late.ask("approve")
    assert (late.release.step, late.traffic.canary) == (2, 0)
    return late


def test_a_version_is_promoted_after_the_last_look_at_the_time_in_which_the_old_one_was_kept(late):
    late.given(blue_green(keep=10.0))
    late.commit("v2")
    late.until(lambda: late.traffic.canary == 100)
    late.advance(seconds=15)
    assert (late.release.phase, late.release.reason, late.traffic.canary) == ("Baking", "Analyzing", 100)
    assert "waiting for the last looks" in late.release.message
    late.advance(seconds=SETTLE_S)
    assert late.release.stable == "v2"


def test_two_looks_are_awaited_however_short_that_time_is(world):
    world.given(blue_green(keep=1.0))
    world.regress("v2", 0.5)
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    world.advance(seconds=5)
    assert "waiting for 2 looks at v2" in world.release.message
    world.advance(seconds=10)
    assert world.release.phase == "RolledBack"


def test_where_nothing_is_measured_nothing_is_awaited(late):
    late.given(blue_green(keep=10.0, metrics=()))
    late.commit("v2")
    late.until(lambda: late.traffic.canary == 100)
    late.advance(seconds=15)
    assert late.release.stable == "v2"


@pytest.mark.parametrize(("keep", "settle"), [(10.0, SETTLE_S), (1.0, 0.0)], ids=["the last look", "two looks"])
def test_looks_of_metrics_that_only_advise_keep_nobody_waiting(world, keep, settle):
    world.settle_s = settle
    world.given(blue_green(keep=keep))
    metrics = tuple(replace(one, advises=True) for one in world.spec.analysis.metrics)
    world.edit(analysis=replace(world.spec.analysis, metrics=metrics))
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    world.advance(seconds=keep + 4)
    assert world.release.stable == "v2"


def test_what_these_looks_show_takes_the_work_back(late):
    late.given(blue_green(keep=10.0))
    late.commit("v2")
    late.until(lambda: late.traffic.canary == 100)
    late.advance(seconds=10)
    late.regress("v2", 0.5)
    late.advance(seconds=15)
    assert (late.release.phase, late.traffic.stable) == ("RolledBack", 100)


def test_a_bake_ends_after_its_last_look_too(late):
    late.given(release([weight(25), Bake(weight=95, seconds=10)]))
    late.commit("v2")
    late.until(lambda: late.release.phase == "Baking")
    late.advance(seconds=15)
    assert (late.release.reason, late.release.canary) == ("Analyzing", "v2")
    late.advance(seconds=SETTLE_S)
    assert late.release.stable == "v2"


def test_a_first_version_is_trusted_after_the_last_look_at_its_limits(late):
    late.given(blue_green(keep=10.0, limits={"floor": 0.5}).first())
    late.until(lambda: late.release.phase == "Baking")
    late.advance(seconds=15)
    assert (late.release.reason, late.release.stable) == ("Analyzing", "")
    late.advance(seconds=SETTLE_S + 5)
    assert (late.release.phase, late.release.judged) == ("Healthy", "LimitsKept")


def test_the_switch_waits_for_the_last_look_at_the_preview(previewed):
    assert (previewed.release.reason, previewed.cluster.preview) == ("Analyzing", None)
    assert "waits for the last look" in previewed.release.message
    previewed.advance(seconds=SETTLE_S - 5)
    assert previewed.traffic.canary == 0
    previewed.advance(seconds=10)
    assert previewed.traffic.canary == 100


def test_what_that_look_shows_rejects_the_version_before_it_has_work(previewed):
    seen(previewed, 50)
    previewed.advance(seconds=10)
    assert (previewed.release.phase, previewed.release.last_rollback.reason) == ("RolledBack", "Regressed")
    assert not any(words.startswith("weights") for words in previewed.log)


def test_copies_that_the_router_does_not_end_are_named_as_what_the_switch_waits_for(late):
    late.given(blue_green(copies(10.0), approve(), preview=4))
    late.commit("v2")
    late.until(lambda: late.release.reason == "AwaitingApproval")
    late.broken = SetPreview
    late.ask("approve")
    late.preview_refused = "the API server refuses TraefikService shop/web: no"
    late.advance(minutes=5)
    assert (late.release.phase, late.release.reason) == ("Waiting", "RouteNotAccepted")
    assert late.release.message == (
        "the switch waits until the router ends the copies: the API server refuses TraefikService shop/web: no"
    )
    assert [event for event in late.cluster.events if event.reason == "PreviewRefused"]
    late.broken = late.preview_refused = ""
    late.until(lambda: late.traffic.canary == 100, minutes=2)


def test_copies_that_outlive_the_first_weight_are_said(world):
    world.given(release([Mirror(10.0), approve(), weight(5), approve()]))
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.broken = SetPreview
    world.ask("approve")
    world.until(lambda: world.release.step == 3)
    world.preview_refused = "the API server refuses TraefikService shop/web: no"
    world.settle()
    assert world.release.message.endswith("the mirror: the API server refuses TraefikService shop/web: no")


def test_who_promotes_in_full_waits_for_no_look(previewed):
    previewed.ask("promote")
    previewed.advance(seconds=5)
    assert previewed.traffic.of("v2") == 100


def test_a_suspicion_keeps_a_version_from_its_switch_until_a_person_lets_it_pass(previewed):
    for _ in range(4):
        seen(previewed, 1)
    previewed.advance(seconds=SETTLE_S + 5)
    assert (previewed.release.phase, previewed.release.reason) == ("Waiting", "Suspicious")
    assert previewed.release.message.startswith("not switched: errors")
    previewed.advance(minutes=10)
    assert previewed.traffic.canary == 0
    previewed.ask("approve", by="eva")
    assert previewed.traffic.canary == 100
    assert "approved by eva, though errors" in previewed.release.unproven[-1].message
    assert previewed.release.attempt.approved_by == "", "what comes after the switch is another question"


def test_who_skips_a_suspicion_has_let_it_pass(previewed):
    for _ in range(4):
        seen(previewed, 1)
    previewed.until(lambda: previewed.release.reason == "Suspicious")
    previewed.ask("skip", by="eva")
    previewed.advance(seconds=SETTLE_S + 15)
    assert previewed.release.stable == "v2"
    assert any("step 3/3 skipped, unproven: errors" in event.message for event in previewed.cluster.events)


# -- before a canary is promoted ---------------------------------------------------------------------------------------


def at_its_end(late, *steps, **more):
    """The last step has just ended; the looks at its last seconds have not come yet."""
    late.given(release([weight(25), *steps], **more))
    late.regress("v1", 0.0)
    late.regress("v2", 0.0)
    late.commit("v2")
    late.until(lambda: late.release.step == len(late.spec.steps))
    assert late.release.canary == "v2"


def test_a_canary_is_promoted_after_the_last_look_at_its_last_step(late):
    at_its_end(late, pause("1m"))
    late.advance(seconds=SETTLE_S - 5)
    assert (late.release.phase, late.release.reason) == ("Promoting", "Analyzing")
    assert late.release.message == "all steps are done; waiting for the last look at v2"
    assert late.traffic.canary == 25
    late.advance(seconds=10)
    assert late.release.stable == "v2"


def test_what_that_look_shows_rolls_the_canary_back(late):
    at_its_end(late, pause("1m"))
    seen_with_work(late, 50)
    late.advance(seconds=10)
    assert (late.release.phase, late.release.last_rollback.reason) == ("RolledBack", "Regressed")
    assert late.traffic.stable == 100


def test_a_proof_is_looked_at_to_its_end_too(late):
    late.given(release([weight(25), weight(50, analyze("0s", "1h"))], promote_below=1.5))
    late.regress("v1", 0.05)
    late.regress("v2", 0.05)
    late.commit("v2")
    late.until(lambda: late.release.step == 2)
    late.until(lambda: late.release.reason == "Analyzing")
    assert (late.release.phase, late.traffic.canary) == ("Promoting", 50)
    late.until(lambda: late.release.stable == "v2", minutes=2)


def test_after_an_approval_the_last_look_is_awaited_as_well(late):
    late.given(release([weight(25), approve()]).on("v2", at_step=1))
    late.ask("approve")
    late.until(lambda: late.release.reason == "Analyzing")
    assert "waiting for the last look at v2" in late.release.message
    late.until(lambda: late.release.stable == "v2", minutes=1)


def test_who_promotes_a_canary_in_full_waits_for_no_look(late):
    at_its_end(late, pause("1m"))
    late.ask("promote")
    late.advance(seconds=START_S)
    assert late.release.stable == "v2"


@pytest.mark.parametrize("metrics", ["none", "advise"])
def test_a_canary_that_nothing_judges_is_promoted_at_once(late, metrics):
    late.given(release([weight(25), pause("1m")]))
    judging = tuple(replace(one, advises=True) for one in late.spec.analysis.metrics)
    late.edit(analysis=replace(late.spec.analysis, metrics=() if metrics == "none" else judging))
    late.commit("v2")
    late.until(lambda: late.traffic.canary == 25)
    late.advance(seconds=60 + START_S + 5)
    assert late.release.stable == "v2"


def test_a_suspicion_in_that_look_keeps_the_canary_from_its_promotion_until_a_person_lets_it_pass(late):
    at_its_end(late, pause("1m"))
    for _ in range(4):
        seen_with_work(late, 1)
    late.advance(seconds=SETTLE_S + 5)
    assert (late.release.phase, late.release.reason) == ("Waiting", "Suspicious")
    assert late.release.message.startswith("not promoted: errors")
    late.advance(minutes=10)
    assert (late.release.canary, late.traffic.canary) == ("v2", 25)
    assert late.answer(late.ask("approve", by="eva")) == "approve taken"
    late.advance(seconds=5)
    assert late.release.stable == "v2"
    assert "approved by eva, though errors" in late.release.unproven[-1].message
    assert late.release.judged == "Unproven"


def test_a_suspicion_that_a_person_has_let_pass_is_not_asked_about_again(late):
    """Whoever skips the last step, or approves it, has seen it."""
    late.given(release([weight(25), pause("1h")]).on("v2", at_step=1))
    for _ in range(4):
        seen_with_work(late, 1)
    late.settle()
    assert late.observe().evidence.held_back is not None
    late.ask("skip", by="eva")
    late.advance(seconds=SETTLE_S + 10)
    assert late.release.stable == "v2"


def test_a_fresh_baseline_keeps_its_work_until_the_last_look(late):
    at_its_end(late, pause("1m"), baseline="fresh")
    late.advance(seconds=SETTLE_S - 5)
    assert late.release.attempt.baseline_weight == 25
    late.until(lambda: late.release.stable == "v2", minutes=1)


def test_an_operator_that_comes_back_awaits_the_last_look_too(late):
    at_its_end(late, pause("1m"))
    late.restart()
    late.advance(seconds=SETTLE_S - 5)
    assert late.release.canary == "v2"
    late.advance(seconds=10)
    assert late.release.stable == "v2"
