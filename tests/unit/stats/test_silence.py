"""Three kinds of silence, told apart; and the fast path for a canary that fails everything."""

import math
from dataclasses import replace

import pytest

from controller.rollout.decide import decide
from controller.stats.all_bad import CHANCE, disaster
from controller.stats.counts import NOTHING, Counts, Look
from controller.stats.data_gap import missing
from controller.stats.evidence import Evidence, MetricEvidence, Verdict
from controller.stats.spending import Spending
from controller.stats.xgs import UpperTail
from tests.unit.rollout.language import analyze, release, weight


def looks(*rows, weight=10.0, seconds=5.0, name="errors"):
    """One look after the other; None: the metric was not asked."""
    return [
        Look(number + 1, number * seconds, (number + 1) * seconds, weight, {} if row is None else {name: row})
        for number, row in enumerate(rows)
    ]


def both(canary, stable):
    return Counts(0, canary, 0, stable)


def test_the_canary_alone_is_missing_after_two_looks_in_which_stable_had_work():
    sentence = missing(looks(both(0, 200), both(0, 200)), {})
    assert sentence == "metric errors: no units of the canary in 2 looks, where about 44 were expected"
    assert "of the new version in" in (missing(looks(both(0, 200), both(0, 200)), {}, "new version") or "")


def test_one_look_is_not_enough():
    assert missing(looks(both(10, 90), both(0, 2000)), {}) is None


def test_twenty_expected_units_are_needed_however_many_looks_are_empty():
    quiet = [both(0, 9)] * 19
    assert missing(looks(*quiet), {}) is None
    assert missing(looks(*quiet, both(0, 9)), {}) is not None


def test_units_that_came_once_and_then_no_more_are_missed_too():
    assert missing(looks(both(10, 90), both(0, 100), both(0, 100)), {}) is not None


def test_units_that_are_back_end_it():
    assert missing(looks(both(0, 200), both(0, 200), both(20, 200)), {}) is None


def test_silence_on_both_sides_is_missed_where_there_was_work_a_moment_ago():
    sentence = missing(looks(both(50, 450), NOTHING, NOTHING), {})
    assert sentence == "metric errors: no units at all in 2 looks, where about 100 were expected"


def test_silence_on_both_sides_is_missed_where_there_was_work_before_the_canary():
    assert missing(looks(NOTHING, NOTHING), {"errors": 100.0}) is not None


def test_a_service_that_nobody_calls_is_idle_and_misses_nothing():
    assert missing(looks(*[NOTHING] * 100), {}) is None
    assert missing(looks(*[NOTHING] * 100), {"errors": 0.01}) is None


def test_a_metric_that_was_not_asked_is_not_missed():
    assert missing(looks(both(10, 90), *[None] * 10), {"errors": 100.0}) is None


def test_without_a_share_nothing_is_expected():
    assert missing(looks(both(0, 500), both(0, 500), weight=0.0), {"errors": 100.0}) is None


def test_after_a_switch_as_much_is_expected_as_there_was_before():
    assert missing(looks(both(0, 0), both(0, 0), weight=100.0), {"errors": 100.0}) == (
        "metric errors: no units at all in 2 looks, where about 1000 were expected"
    )
    assert missing(looks(both(0, 0), both(0, 0), weight=100.0), {"errors": 1.0}) is None, "nobody calls at night"
    assert missing(looks(both(5, 0), both(0, 0), both(0, 0), weight=100.0), {}) is None, "a first version may be idle"


def test_everything_bad_on_the_canary_and_nothing_on_stable_is_a_disaster():
    found = disaster("errors", Counts(10, 10, 0, 90), 1.1)
    assert found is not None
    exact = 1.1**10 / sum(math.comb(10, k) * math.comb(90, 10 - k) * 1.1**k for k in range(11))
    assert found.p == pytest.approx(exact, rel=1e-9)
    assert found.sentence().startswith("errors: all 10 bad on the canary, 0 of 90 on stable")


@pytest.mark.parametrize(
    "counts",
    [
        Counts(9, 10, 0, 90),  # one answer was good
        Counts(4, 4, 0, 10**6),  # too few
        Counts(5, 5, 0, 45),  # so few happen by chance too often: 7.6e-7
        Counts(10, 10, 90, 90),  # stable is as bad
        Counts(10, 10, 60, 90),  # stable is bad as well
        NOTHING,
    ],
)
def test_anything_less_is_left_to_the_looks(counts):
    assert disaster("errors", counts, 1.1) is None


def test_the_fast_path_leaves_the_promise_almost_whole():
    """A question a second for a day, for twenty metrics, at a promise of 1 %."""
    assert 24 * 3600 * 20 * CHANCE < 0.02 * 0.01


def test_a_disaster_rolls_back_at_once_and_says_so(world):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    world.disaster = disaster("errors", Counts(10, 10, 0, 90), 1.1)
    world.settle()
    assert world.traffic.canary == 0
    assert world.release.last_rollback.reason == "AllBad"
    assert world.release.last_rollback.evidence == "errors 10/10 vs 0/90"


def test_more_harm_than_is_allowed_is_not_waited_for(world):
    spec = release([weight(50, analyze("1m", "10m"))])
    world.given(limited(spec, max_harmed=200).on("v2"))
    world.regress("v2", errors=0.0)
    world.advance(seconds=30)
    assert world.release.canary == "v2"
    world.regress("v2", errors=0.2)
    world.advance(seconds=10)
    assert world.release.last_rollback.reason in {"MaxHarmed", "Regressed"}


def test_harm_alone_is_enough_where_the_test_is_not_sure(world):
    spec = limited(release([weight(50, analyze("1m", "10m"))]), max_harmed=100)
    world.given(spec.on("v2"))
    counts = Counts(300, 5000, 150, 5000)
    held = MetricEvidence("errors", Verdict.UNDECIDED, counts, UpperTail(1.1, Spending(0.01)).standing)
    seen = replace(world.observe(), evidence=Evidence(5, (held,)))
    decided = decide(seen, world.cluster.now)
    assert decided.status.last_rollback is not None
    assert decided.status.last_rollback.reason == "MaxHarmed"
    assert "about 150 more bad units" in decided.status.last_rollback.message


def test_a_person_who_has_the_route_in_hand_is_left_alone_until_the_time_is_over(world):
    world.given(release([weight(5, analyze("1m", "2m"))]).on("v2"))
    for revision in ("v1", "v2"):
        world.regress(revision, errors=0.0)
    world.manual_until = world.cluster.now + 600
    world.cluster.route = {"v1": 70.0, "v2": 30.0}
    world.log.clear()
    world.advance(minutes=9)
    assert (world.release.phase, world.release.reason) == ("Paused", "Manual")
    assert [entry for entry in world.log if not entry.startswith("status")] == []
    world.advance(minutes=2)
    assert world.traffic.canary == 5


def limited(given, *, max_harmed):
    analysis = replace(given.spec.analysis, max_harmed=max_harmed)
    return replace(given, spec=replace(given.spec, analysis=analysis))
