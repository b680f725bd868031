"""An abort that also stops what a queue's canary has already taken."""

import pytest

from tests.unit.rollout.language import BY_CLAIMS, approve, release, weight
from tests.unit.rollout.test_rollout import told

STEPS = [weight(5), approve()]


@pytest.fixture
def shared(world):
    world.given(release(STEPS, by=BY_CLAIMS).on("v2"))
    world.settle()
    return world


def test_a_hard_abort_stops_what_the_canary_took_before_anything_else(shared):
    name = shared.ask("abort", reason="it writes broken images", hard=True)
    assert told(shared)[0] == "weights v1:100 hard"
    assert shared.answer(name) == "abort taken; jobs that v2 works on are stopped"
    assert (shared.release.phase, shared.traffic.canary) == ("RollingBack", 0)


def test_it_stops_also_where_the_ledger_has_taken_the_share_back_already(shared):
    """An operator that died between the ledger and the status: weights alone would say that nothing is to do."""
    shared.cluster.route = {"v1": 100.0}
    shared.ask("abort", reason="it writes broken images", hard=True)
    assert told(shared)[0] == "weights v1:100 hard"


def test_an_abort_lets_jobs_end_unless_it_is_hard(shared):
    assert shared.answer(shared.ask("abort", reason="slow")) == "abort taken"
    assert told(shared)[0] == "weights v1:100"


def test_where_no_queue_is_shared_a_hard_abort_is_refused_with_a_sentence(world):
    world.given(release(STEPS).on("v2"))
    answer = world.answer(world.ask("abort", reason="it fails", hard=True))
    assert answer == "refused: only the jobs of a queue can be stopped (spec.traffic.queue); abort without hard"
    assert world.release.canary == "v2"
