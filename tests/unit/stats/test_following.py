"""The share that is seen says whether the router has followed; its status does not."""

import pytest

from controller.stats.counts import Counts, Look
from controller.stats.share_lag import share_lag
from tests.unit.rollout.language import BY_PODS, analyze, release, weight


def looks(*shares, units=1000, seconds=5.0, names=("errors",)):
    """Looks from second 100 on, each with this share of the work on the canary."""
    return [
        Look(
            number + 1,
            100 + number * seconds,
            100 + (number + 1) * seconds,
            10.0,
            dict.fromkeys(names, Counts(0, round(units * share), 0, units - round(units * share))),
        )
        for number, share in enumerate(shares)
    ]


def slow(seen, percent=10.0, since=100.0):
    return share_lag(seen, percent, since) is not None


def test_ten_seconds_with_another_share_are_slow():
    sentence = share_lag(looks(0.5, 0.5), 10.0, 100.0)
    assert sentence == "10 s after the weight was set to 10 % the share that is seen still differs from it"


def test_before_ten_seconds_have_passed_nothing_is_said():
    assert not slow(looks(0.0))


@pytest.mark.parametrize("share", [0.07, 0.1, 0.13])
def test_a_share_in_its_band_is_no_news(share):
    assert not slow(looks(share, share))


def test_a_router_that_came_late_has_come():
    assert not slow(looks(0.0, 0.0, 0.1, 0.1))


def test_one_that_was_there_once_is_not_asked_about_again():
    assert not slow(looks(0.1, *[0.3] * 20))


def test_only_looks_since_the_weight_count():
    assert slow(looks(0.1, 0.1, 0.0, 0.0), since=110.0)


def test_looks_with_too_few_units_are_taken_together():
    assert not slow(looks(*[0.0] * 12, units=16))
    assert slow(looks(*[0.0] * 13, units=16))


def test_one_metric_in_its_band_is_enough():
    seen = looks(0.0, 0.0, names=("errors", "slow"))
    assert slow(seen)
    seen[1] = Look(2, 105.0, 110.0, 10.0, {**seen[1].rows, "slow": Counts(0, 100, 0, 900)})
    assert not slow(seen)


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_a_whole_share_needs_no_band(percent):
    assert not slow(looks(0.5, 0.5), percent)


def test_a_router_that_does_not_follow_is_told_and_stops_nothing(world):
    world.follows = False
    world.given(release([weight(10, analyze("30s", "10m"))]).on("v2"))
    world.advance(seconds=15)
    assert (world.release.phase, world.release.reason) == ("Progressing", "RouterSlow")
    assert world.release.message.endswith("the share that is seen still differs from it")
    assert [one.reason for one in world.cluster.events].count("RouterSlow") == 1
    world.follows = True
    world.advance(seconds=5)
    assert world.release.reason == "Analyzing"


def test_by_pods_the_share_is_only_about_what_was_asked_for(world):
    world.follows = False
    world.given(release([weight(25, analyze("30s", "10m"))], by=BY_PODS).on("v2"))
    world.advance(seconds=30)
    assert world.release.reason == "Analyzing"
