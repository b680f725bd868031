"""What stable's yielding is good for, and what it costs: why a canary reports for how many messages it waits."""

from typing import Any

import pytest

from controller.rollout.failed_checks import UNUSED_CREDITS_S
from tests.unit.queue_share.yield_world import YieldWorld

CASES: dict[str, dict[str, Any]] = {
    "light, healthy": {"rate": 20.0},
    "light, failing fast": {"rate": 20.0, "canary_job_s": 0.01},
    "saturated, healthy": {},
    "saturated, failing fast": {"canary_job_s": 0.01},
}
HANGS_S = 10.0**9


@pytest.mark.parametrize("prefers", ["", "v1", "v2"])
@pytest.mark.parametrize("case", CASES)
def test_the_canary_has_its_share_by_what_its_polls_wait_for(case, prefers):
    world = YieldWorld("waiting", prefers=prefers, **CASES[case]).run(120)
    assert 0 <= world.missing <= 10


@pytest.mark.parametrize("prefers", ["", "v1"])
@pytest.mark.parametrize(("rate", "share"), [(1.0, 0.25), (1.0, 0.5), (10.0, 0.25), (10.0, 0.5)])
def test_a_share_is_reached_where_few_messages_come_also_with_a_broker_that_prefers_stable(rate, share, prefers):
    world = YieldWorld("waiting", rate=rate, share=share, prefers=prefers, pods=(3, 3)).run(2000 / rate)
    assert share - 0.01 <= world.claims("v2") / (world.claims("v1") + world.claims("v2")) <= share


@pytest.mark.parametrize("minutes", [1, 10])
@pytest.mark.parametrize("prefers", ["", "v1"])
def test_a_canary_of_half_that_fails_fast_is_short_of_some_seconds_of_claims_and_no_more(minutes, prefers):
    world = YieldWorld("waiting", rate=40.0, share=0.5, canary_job_s=0.01, prefers=prefers, pods=(3, 3))
    assert world.run(60 * minutes).missing <= 3 * 20


def test_without_yielding_a_broker_that_prefers_stable_starves_the_canary():
    assert YieldWorld("never", rate=20.0, prefers="v1").run(120).missing > 50


@pytest.mark.parametrize("canary_job_s", [0.2, 0.01, HANGS_S], ids=["healthy", "failing fast", "hangs"])
def test_at_saturation_stable_does_what_its_slots_can(canary_job_s):
    least = YieldWorld("never", canary_job_s=canary_job_s).run(60).claims("v1")
    assert YieldWorld("waiting", canary_job_s=canary_job_s).run(60).claims("v1") >= 0.97 * least


@pytest.mark.parametrize(("canary_job_s", "left"), [(0.2, 0.85), (HANGS_S, 0.3)], ids=["healthy", "hangs"])
def test_yielding_to_each_unspent_credit_would_cost_stable_its_throughput(canary_job_s, left):
    can = YieldWorld("never", canary_job_s=canary_job_s).run(60).claims("v1")
    assert YieldWorld("unspent", canary_job_s=canary_job_s).run(60).claims("v1") <= left * can


@pytest.mark.parametrize("rate", [1.0, 20.0, 0.0], ids=["few messages", "many", "a backlog"])
def test_a_canary_that_polls_another_queue_is_found_out_in_little_more_than_a_minute_and_stable_works_till_then(rate):
    world = YieldWorld("waiting", rate=rate, share=0.25, astray=True).run(75)
    assert world.longest_unused_s >= UNUSED_CREDITS_S
    least = {1.0: 0.8, 20.0: 12.0, 0.0: 12.0}[rate]
    assert world.claims("v1") / 75 >= least, "of 60 that its slots could do"
