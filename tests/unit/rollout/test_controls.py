"""Negative controls: each takes one protection out, and shows that the test which should notice does.

A test that passes with and without what it protects protects nothing.
"""

from collections.abc import Callable

import pytest

from controller.api.status import Status
from controller.rollout import canary, failed_checks, stable
from controller.rollout import plan as planning
from controller.rollout.actions import Action, AddFinalizer
from controller.rollout.plan import Plan
from controller.stats.evidence import Judge
from tests.unit.rollout import test_crashes, test_outage, test_requests, test_rollback, test_rollout
from tests.unit.rollout.language import BY_WEIGHT, release
from tests.unit.rollout.world import World

Patch = pytest.MonkeyPatch


def fails(test: Callable[..., None], *args: object) -> None:
    with pytest.raises(AssertionError):
        test(World(), *args)


def test_without_the_guard_of_capacity_work_goes_to_pods_that_do_not_serve(monkeypatch: Patch):
    monkeypatch.setattr(canary, "_has_capacity", lambda plan: plan.ensure_pods(plan.status.canary, 1) is None)
    fails(test_rollout.test_the_canary_gets_no_work_before_its_pods_serve)


def test_without_the_guard_of_endpoints_a_dead_canary_keeps_its_work(monkeypatch: Patch):
    monkeypatch.setattr(canary, "leave_the_dead", lambda _: None)
    fails(test_rollback.test_a_canary_without_endpoints_gets_no_work_and_comes_back_at_the_same_step)


def test_without_the_guard_of_the_outage_steps_go_on(monkeypatch: Patch):
    observe = World.observe

    def blind(world: World):
        world.metrics.trouble = None
        return observe(world)

    monkeypatch.setattr(World, "observe", blind)
    fails(test_outage.test_outage_waits_and_neither_promotes_nor_rejects, "SourceOutage")


def test_without_the_guard_of_the_clock_an_outage_uses_up_the_step(monkeypatch: Patch):
    monkeypatch.setattr(canary, "release_hold", lambda plan: plan.update(held_since=None))
    fails(test_outage.test_the_steps_clock_stands_still_meanwhile)


def test_without_the_guard_of_rejections_a_bad_version_comes_back(monkeypatch: Patch):
    monkeypatch.setattr(Status, "is_rejected", lambda *_: False)
    fails(test_rollback.test_a_rejected_version_stays_rejected_whoever_asks)


def test_without_the_guard_of_the_finalizer_deleting_could_leave_work_at_a_canary(monkeypatch: Patch):
    do = Plan.do

    def forgetful(plan: Plan, action: Action) -> None:
        if not isinstance(action, AddFinalizer):
            do(plan, action)

    monkeypatch.setattr(Plan, "do", forgetful)
    fails(test_rollout.test_a_version_comes_out_in_this_order)


def test_without_the_guard_of_handled_requests_one_approval_passes_two_steps(monkeypatch: Patch):
    keep = World._keep
    monkeypatch.setattr(World, "_keep", lambda world, raw: keep(world, raw | {"handledActions": []}))
    fails(test_requests.test_an_approval_whose_answer_was_lost_does_not_pass_a_second_step)


def test_without_the_guard_of_the_routers_delay_requests_meet_no_pod(monkeypatch: Patch):
    monkeypatch.setattr(planning, "ROUTER_FOLLOWS_S", 0.0)
    fails(test_crashes.test_a_canary_keeps_its_pods_until_the_router_has_followed_also_after_a_lost_status, BY_WEIGHT)


def test_without_the_guard_of_the_drain_the_old_version_goes_at_once(monkeypatch: Patch):
    retire = Plan.retire_others

    def hasty(plan: Plan, *kept: str) -> bool:
        plan.update(drain_since=None)
        return retire(plan, *kept)

    monkeypatch.setattr(Plan, "retire_others", hasty)
    fails(test_rollout.test_the_old_version_drains_before_it_goes)


def test_without_the_guard_of_weight_first_a_rollback_tidies_before_it_helps(monkeypatch: Patch):
    def polite(plan: Plan, reason: str, message: str) -> None:
        plan.tell("Sorry", message)
        stable.reject(plan, reason, message)

    monkeypatch.setattr(failed_checks, "reject", polite)
    fails(test_rollback.test_a_crash_loop_needs_no_statistics)


def test_without_the_guard_of_enough_bad_units_one_crossing_convicts(monkeypatch: Patch):
    evidence_of = Judge._evidence_of

    def eager(judge: Judge, name: str, judged):
        judge.plan = type(judge.plan)(judge.plan.alpha, 1, judge.plan.metrics)
        return evidence_of(judge, name, judged)

    monkeypatch.setattr(Judge, "_evidence_of", eager)
    fails(test_rollback.test_a_crossing_with_too_few_bad_units_convicts_once_they_have_come)


def test_the_world_itself_notices_a_decision_that_is_not_repeatable(monkeypatch: Patch):
    keep = stable.keep_stable

    def restless(plan: Plan) -> None:
        keep(plan)
        plan.update(message=f"at {plan.status.attempt}", attempt=plan.status.attempt + 1)

    monkeypatch.setattr("controller.rollout.decide.keep_stable", restless)
    with pytest.raises(AssertionError, match="decided again, and differently"):
        World().given(release())
