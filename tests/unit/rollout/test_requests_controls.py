"""Negative controls: each protection of what people ask for is taken out, and its test has to fail."""

from dataclasses import replace

from controller.rollout import guards, manual_rollback, requests
from controller.rollout.desired import Desired
from controller.rollout.draft import Draft
from tests.unit.rollout import test_requests_people as people
from tests.unit.rollout import test_requests_refused as refused
from tests.unit.rollout import test_requests_rollback as rollback
from tests.unit.rollout.language import BY_WEIGHT
from tests.unit.rollout.test_controls import Patch, fails
from tests.unit.rollout.world import World


def test_without_its_place_in_the_status_a_pause_stops_nothing(monkeypatch: Patch):
    keep = World._keep
    monkeypatch.setattr(World, "_keep", lambda world, raw: keep(world, {**raw, "pausedBy": ""}))
    fails(people.test_a_pause_stops_steps_and_the_clock_goes_on_where_it_stood, BY_WEIGHT)


def test_without_the_memory_of_the_annotation_a_bad_version_is_retried_for_ever(monkeypatch: Patch):
    keep = World._keep
    monkeypatch.setattr(World, "_keep", lambda world, raw: keep(world, raw | {"retrySeen": ""}))
    fails(people.test_the_annotation_retries_once_for_a_rejection)


def test_without_the_refusals_a_pause_is_undone_by_the_next_person(monkeypatch: Patch):
    monkeypatch.setattr(requests, "_refusal", lambda *_: None)
    fails(people.test_nobodys_haste_undoes_anothers_stop)


def test_without_the_memory_of_what_was_taken_a_skip_counts_twice(monkeypatch: Patch):
    keep = World._keep
    monkeypatch.setattr(World, "_keep", lambda world, raw: keep(world, raw | {"handledActions": []}))
    fails(refused.test_it_is_consumed_once_wherever_the_operator_stops, "skip")


def test_without_the_wait_for_its_pods_an_older_version_gets_work_it_cannot_do(monkeypatch: Patch):
    back = manual_rollback.manual_rollback

    def hasty(draft: Draft, older: str) -> Desired | None:
        seen = draft.seen
        draft.seen = replace(seen, revisions={one: state for one, state in seen.revisions.items() if one != "v2"})
        desired = back(draft, older)
        draft.seen = seen
        return desired

    table = tuple(replace(one, outcome=hasty) if one.outcome is back else one for one in guards.GUARDS)
    monkeypatch.setattr(guards, "GUARDS", table)
    fails(rollback.test_rollback_leaves_a_healthy_version_pods_first_then_the_work, BY_WEIGHT)
