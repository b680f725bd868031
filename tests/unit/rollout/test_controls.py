"""Negative controls: each takes one protection out, and shows that the test which should notice does.

A test that passes with and without what it protects protects nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.api.status import Status
from controller.rollout import at_stable, converge, decide, guards, pod_evidence, retiring, traffic, walker
from controller.rollout.actions import Action, Event
from controller.rollout.desired import Desired
from controller.rollout.draft import Draft
from controller.rollout.traffic import Move
from controller.stats.judge import Judge
from tests.unit.rollout import test_crashes, test_outage, test_requests, test_rollback, test_rollout
from tests.unit.rollout.language import BY_WEIGHT, release
from tests.unit.rollout.world import World

Patch = pytest.MonkeyPatch


def without(monkeypatch: Patch, name: str) -> None:
    """Takes one guard out of the table."""
    left = tuple(guard for guard in guards.GUARDS if guard.name != name)
    assert len(left) == len(guards.GUARDS) - 1, f"there is no guard {name!r}"
    monkeypatch.setattr(guards, "GUARDS", left)


def fails(test: Callable[..., None], *args: object) -> None:
    with pytest.raises(AssertionError):
        test(World(), *args)


def test_without_the_guard_of_capacity_work_goes_to_pods_that_do_not_serve(monkeypatch: Patch):
    monkeypatch.setattr(walker, "lacks_pods", lambda *_: False)
    fails(test_rollout.test_the_canary_gets_no_work_before_its_pods_serve)


def test_without_the_guard_of_endpoints_a_dead_canary_keeps_its_work(monkeypatch: Patch):
    without(monkeypatch, "the canary has no endpoints")
    monkeypatch.setattr(walker, "lacks_pods", lambda *_: False)
    fails(test_rollback.test_a_canary_without_endpoints_gets_no_work_and_comes_back_at_the_same_step)


def test_without_the_guard_of_the_outage_steps_go_on(monkeypatch: Patch):
    observe = World.observe

    def blind(world: World):
        world.metrics.trouble = None
        return observe(world)

    monkeypatch.setattr(World, "observe", blind)
    fails(test_outage.test_outage_waits_and_neither_promotes_nor_rejects, "SourceOutage")


def test_without_the_guard_of_the_clock_an_outage_uses_up_the_step(monkeypatch: Patch):
    monkeypatch.setattr(Draft, "run_clock", lambda draft: draft.update_clock(held_since=None))
    fails(test_outage.test_the_steps_clock_stands_still_meanwhile)


def test_without_the_guard_of_rejections_a_bad_version_comes_back(monkeypatch: Patch):
    monkeypatch.setattr(Status, "is_rejected", lambda *_: False)
    fails(test_rollback.test_a_rejected_version_stays_rejected_whoever_asks)


def test_without_the_guard_of_the_finalizer_deleting_could_leave_work_at_a_canary(monkeypatch: Patch):
    monkeypatch.setattr(converge, "_finalizer", lambda *_: ([], []))
    fails(test_rollout.test_a_version_comes_out_in_this_order)


def test_without_the_guard_of_handled_requests_one_approval_passes_two_steps(monkeypatch: Patch):
    keep = World._keep
    monkeypatch.setattr(World, "_keep", lambda world, raw: keep(world, raw | {"handledActions": []}))
    fails(test_requests.test_an_approval_whose_answer_was_lost_does_not_pass_a_second_step)


def test_without_the_guard_of_the_routers_delay_requests_meet_no_pod(monkeypatch: Patch):
    monkeypatch.setattr(retiring, "ROUTER_FOLLOWS_S", 0.0)
    monkeypatch.setattr(pod_evidence, "WAIT_S", 0.0)
    fails(test_crashes.test_a_canary_keeps_its_pods_until_the_router_has_followed_also_after_a_lost_status, BY_WEIGHT)


def test_without_the_guard_of_the_drain_the_old_version_goes_at_once(monkeypatch: Patch):
    monkeypatch.setattr(retiring, "_drain_left", lambda *_: 0.0)
    fails(test_rollout.test_an_old_version_that_still_gets_work_keeps_its_pods_until_it_is_quiet)
    fails(test_rollout.test_the_old_version_drains_before_it_goes)


def test_a_guard_that_reads_a_message_is_found(monkeypatch: Patch):
    suspended = next(guard for guard in guards.GUARDS if guard.name == "the Release is suspended")
    reads = replace(suspended, test=lambda draft: True if "serve" in draft.status.message else None)
    monkeypatch.setattr(guards, "GUARDS", (reads, *guards.GUARDS))
    with pytest.raises(AssertionError, match="a text has steered"):
        test_rollout.test_the_old_version_drains_before_it_goes(World())


def test_without_the_guard_of_weight_first_a_rollback_tidies_before_it_helps(monkeypatch: Patch):
    write = converge._write

    def polite(draft: Draft, moved: Move) -> list[Action]:
        return [Event("Sorry", "work goes"), *write(draft, moved)]

    monkeypatch.setattr(converge, "_write", polite)
    fails(test_rollback.test_a_crash_loop_needs_no_statistics)


def test_without_the_write_ahead_work_goes_to_a_version_that_no_status_names(monkeypatch: Patch):
    monkeypatch.setattr(traffic, "_gives_work", lambda *_: False)
    fails(test_rollout.test_a_version_comes_out_in_this_order)


def test_without_the_guard_of_enough_bad_units_one_crossing_convicts(monkeypatch: Patch):
    evidence_of = Judge._evidence_of

    def eager(judge: Judge, name: str, judged):
        judge.plan = type(judge.plan)(judge.plan.alpha, 1, judge.plan.metrics)
        return evidence_of(judge, name, judged)

    monkeypatch.setattr(Judge, "_evidence_of", eager)
    fails(test_rollback.test_a_crossing_with_too_few_bad_units_convicts_once_they_have_come)


def test_the_world_itself_notices_a_decision_that_is_not_repeatable(monkeypatch: Patch):
    rest = at_stable.at_rest

    def restless(draft: Draft) -> Desired:
        draft.update(attempts=draft.status.attempts + 1)
        return rest(draft)

    monkeypatch.setattr(decide, "at_rest", restless)
    with pytest.raises(AssertionError, match="decided again, and differently"):
        World().given(release())
