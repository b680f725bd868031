"""Copies of stable's own requests: the exact test keeps its promise, however much the two sides have in common."""

import numpy as np
import pytest

from controller.stats.counts import Counts, Look
from controller.stats.data_gap import missing
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

ALPHA, LOOKS, REQUESTS, RUNS = 0.05, 20, 2000, 300
PLAN = AnalysisPlan(ALPHA, 0, (MetricPlan("errors", 1.0),), horizon=LOOKS)


def release(draw, percent, *, by_request, base=0.02, times=1.0):
    """`by_request`: how much of a failure lies in the request itself, which then fails on both sides."""
    judge = Judge(PLAN)
    for number in range(1, LOOKS + 1):
        broken = draw.random(REQUESTS) < base * by_request
        copied = np.zeros(REQUESTS, dtype=bool)
        copied[:: 100 // percent] = True
        own = base * (1 - by_request)
        stable = broken | (draw.random(REQUESTS) < own)
        canary = (broken | (draw.random(REQUESTS) < own * times))[copied]
        counts = Counts(int(canary.sum()), canary.size, int(stable.sum()), REQUESTS)
        judge.add(Look(number, number, number + 1, 0.0, {"errors": counts}, copied=float(percent)))
        if judge.evidence().regression is not None:
            break
    return judge.evidence().verdict is Verdict.REGRESSION


@pytest.mark.parametrize("by_request", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("percent", [10, 100])
def test_a_good_version_is_rejected_no_more_often_than_promised(percent, by_request):
    draw = np.random.default_rng([7, percent, int(10 * by_request)])
    found = sum(release(draw, percent, by_request=by_request) for _ in range(RUNS))
    assert found <= RUNS * ALPHA + 3 * (RUNS * ALPHA) ** 0.5
    if (percent, by_request) == (100, 1.0):
        assert found == 0, "what fails on both sides in any case is nobody's fault"


def test_a_version_that_is_worse_on_copies_is_found():
    draw = np.random.default_rng(11)
    assert sum(release(draw, 10, by_request=0.3, times=3.0) for _ in range(20)) >= 19


def look(number, copied, counts, *, chosen=False):
    return Look(number, number * 5.0, number * 5.0 + 5, 0.0, {"errors": counts}, copied=copied, chosen=chosen)


def test_copies_that_no_metric_counts_are_missed_and_named():
    silent = [look(number, 10.0, Counts(0, 0, 3, 1000)) for number in (1, 2)]
    assert missing(silent, {}) == ("metric errors: no copies at the canary in 2 looks, where about 200 were expected")
    assert missing([look(1, 10.0, Counts(0, 98, 3, 1000))], {}) is None


def test_nobody_expects_requests_that_people_choose_or_copies_where_there_are_none():
    assert missing([look(number, 0.0, Counts(0, 0, 3, 1000), chosen=True) for number in (1, 2, 3)], {}) is None
    assert missing([look(number, 0.0, Counts(0, 0, 3, 1000)) for number in (1, 2, 3)], {}) is None


def test_the_share_of_copies_is_what_is_seen_of_both():
    assert look(1, 25.0, Counts(0, 0, 0, 0)).share == pytest.approx(0.2)
