"""The share of a queue: by credits, and never by luck."""

from dataclasses import replace

import pytest

from controller.queue_share.ledger import GONE_S, LASTS_S, Ledger, Pod, Wanted, allocate, promoted, towards
from controller.queue_share.ledger import with_share as set_share
from tests.share_reading import credits_of, heard, yields
from tests.unit.queue_share.queue_world import QueueWorld, Worker

STABLE = Ledger(stable="v1")


def workers(*, stable=3, canary=1, slots=4, job_s=0.2, canary_job_s=None):
    return [
        *(Worker(f"s{number}", "v1", slots, job_s, number) for number in range(stable)),
        *(
            Worker(f"c{number}", "v2", slots, job_s if canary_job_s is None else canary_job_s, 5 + number)
            for number in range(canary)
        ),
    ]


def pod(revision, claims, seen_at=100.0):
    return Pod(revision, claims, seen_at)


def rounds(ledger, *many):
    for number, pods in enumerate(many):
        ledger = allocate(ledger, pods, 100.0 + number / 2, LASTS_S)
    return ledger


def open_at(share, **claims):
    pods = {name: pod("v2" if name.startswith("c") else "v1", total) for name, total in claims.items()}
    return set_share(STABLE, "v2", share, pods, 110.0)


def test_credits_come_after_what_was_claimed_and_fractions_are_kept():
    ledger = open_at(0.05, s=1000, c=0)
    assert credits_of(ledger, "c", "v2", 0, 100.0) == 0
    ledger = rounds(ledger, {"s": pod("v1", 1019), "c": pod("v2", 0)})
    assert (credits_of(ledger, "c", "v2", 0, 100.0), round(ledger.carried, 6)) == (0, 0.95)
    ledger = rounds(ledger, {"s": pod("v1", 1021), "c": pod("v2", 0)})
    assert credits_of(ledger, "c", "v2", 0, 100.0) == 1
    assert credits_of(ledger, "c", "v2", 1, 100.0) == 0, "spent"


def test_what_is_seen_twice_or_late_makes_no_credits():
    ledger = open_at(0.5, s=0, c=0)
    now = {"s": pod("v1", 8), "c": pod("v2", 0)}
    once = rounds(ledger, now)
    assert rounds(ledger, now, now, {"s": pod("v1", 3), "c": pod("v2", 0)}, now).granted == once.granted
    assert rounds(once, {"c": pod("v2", 0)}, now).granted == once.granted, "a pod out of sight, and back"


def test_an_idle_canary_cannot_burst_later():
    ledger = open_at(0.25, s=0, c=0)
    for number in range(1, 500):
        ledger = allocate(ledger, {"s": pod("v1", 10 * number), "c": pod("v2", 0)}, 100.0, LASTS_S)
    assert credits_of(ledger, "c", "v2", 0, 100.0) == 20, "eight rounds' worth"


def test_a_canary_that_had_stopped_for_want_of_an_allocator_does_not_make_up_for_it():
    ledger = rounds(open_at(0.5, s=0, c=0), {"s": pod("v1", 8), "c": pod("v2", 4)})
    late = ledger.expires_at + 1
    ledger = allocate(ledger, {"s": pod("v1", 1000, late), "c": pod("v2", 4, late)}, late, LASTS_S)
    assert credits_of(ledger, "c", "v2", 4, late) == 6, "what it had"
    ledger = allocate(ledger, {"s": pod("v1", 1010, late), "c": pod("v2", 4, late)}, late + 0.5, LASTS_S)
    assert credits_of(ledger, "c", "v2", 4, late) == 11


def test_a_round_that_comes_late_is_no_round_in_which_much_was_claimed():
    ledger = open_at(0.5, s=0, c=0)
    ledger = allocate(ledger, {"s": pod("v1", 200, 109.0), "c": pod("v2", 0, 109.0)}, 109.0, LASTS_S)
    assert credits_of(ledger, "c", "v2", 0, 109.0) == 44, "eight rounds of eleven claims each, and not of two hundred"


def test_what_a_pod_claimed_before_it_was_seen_makes_no_credits():
    ledger = set_share(STABLE, "v2", 0.5, {}, 110.0)
    ledger = rounds(ledger, {"s": pod("v1", 1000), "c": pod("v2", 70)}, {"s": pod("v1", 1004), "c": pod("v2", 70)})
    assert credits_of(ledger, "c", "v2", 70, 100.0) == 2


def test_a_pod_that_does_not_write_gets_nothing_and_in_the_end_loses_what_it_had():
    ledger = rounds(open_at(0.5, s=0, c0=0, c1=0), {"s": pod("v1", 8), "c0": pod("v2", 0), "c1": pod("v2", 0)})
    assert ledger.granted == {"c0": 2, "c1": 2}
    pods = {"s": pod("v1", 12, 109.0), "c0": pod("v2", 0, 109.0), "c1": pod("v2", 0)}
    ledger = allocate(ledger, pods, 109.0, LASTS_S)
    assert ledger.granted == {"c0": 4, "c1": 2}
    late = 100.0 + GONE_S + 1
    ledger = allocate(ledger, {"s": pod("v1", 12, late), "c0": pod("v2", 0, late), "c1": pod("v2", 0)}, late, LASTS_S)
    assert ledger.granted == {"c0": 4}


def test_whoever_has_fewest_left_is_given_first():
    pods = {"s": pod("v1", 20), "c0": pod("v2", 0), "c1": pod("v2", 3)}
    ledger = rounds(open_at(0.2, s=0, c0=0, c1=3), {**pods, "s": pod("v1", 5)}, {**pods, "s": pod("v1", 20)})
    assert sorted(ledger.granted[name] - pods[name].claims for name in ("c0", "c1")) == [2, 2]


def test_stable_needs_no_credits_and_the_canary_has_none_when_the_allocator_is_gone():
    ledger = rounds(open_at(0.5, s=0, c=0), {"s": pod("v1", 8), "c": pod("v2", 0)})
    assert credits_of(ledger, "s", "v1", 10**9, 10**9) == float("inf")
    assert credits_of(ledger, "c", "v2", 0, 100.0 + LASTS_S) == 0
    assert credits_of(ledger, "c", "v3", 0, 100.0) == 0, "a version that nobody has named"
    assert ledger.unused == 0, "nobody had the time to spend it"
    assert rounds(ledger, {"s": pod("v1", 8), "c": pod("v2", 1)}).unused == 0, "it does not wait"
    ledger = rounds(ledger, {"s": pod("v1", 8), "c": replace(pod("v2", 1), waiting=2)})
    assert (ledger.unused, yields(heard(ledger, 101.0))) == (2, True)
    assert not yields(heard(ledger, 101.0 + LASTS_S))


def test_a_rollback_and_a_promotion_are_one_write_each():
    ledger = rounds(open_at(0.5, s=0, c=0), {"s": pod("v1", 8), "c": pod("v2", 0)})
    back = towards(Wanted({"v1": 100.0}, "v1"), ledger, {}, 100.0)
    assert (credits_of(back, "c", "v2", 0, 100.0), back.epoch, back.min_epoch) == (0, ledger.epoch + 1, 0)
    ahead = promoted(ledger)
    assert credits_of(ahead, "c", "v2", 0, 10**9) == float("inf")
    assert credits_of(ahead, "s", "v1", 0, 10**9) == float("inf"), "it ends what it has begun"
    assert (ahead.stable, ahead.canary, ahead.draining, ahead.share) == ("v2", "", ("v1",), 0.0)
    assert allocate(back, {"s": pod("v1", 100), "c": pod("v2", 0)}, 100.0, LASTS_S) is back


def test_a_new_share_begins_with_nothing_in_hand():
    ledger = rounds(open_at(0.5, s=0, c=0), {"s": pod("v1", 8), "c": pod("v2", 1)})
    again = set_share(ledger, "v2", 0.1, {"s": pod("v1", 8), "c": pod("v2", 1)}, 110.0)
    assert credits_of(again, "c", "v2", 1, 100.0) == 0
    assert again.epoch == ledger.epoch + 1


# -- played ------------------------------------------------------------------------------------------------------------

CASES = {
    "light, healthy": {"rate": 20.0},
    "light, failing fast": {"rate": 20.0, "canary_job_s": 0.01},
    "saturated, healthy": {"rate": 90.0},
    "saturated, failing fast": {"rate": 90.0, "canary_job_s": 0.01},
}


@pytest.mark.parametrize("prefers", ["", "v1", "v2"])
@pytest.mark.parametrize("case", CASES)
def test_the_canary_has_its_share_and_never_more(case, prefers):
    settings = dict(CASES[case])
    rate = settings.pop("rate")
    world = QueueWorld(workers(**settings), rate=rate, share=0.05, prefers=prefers).run(120)
    everything = world.claims("v1") + world.claims("v2")
    assert -10 <= world.claims("v2") - 0.05 * everything <= 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5])
def test_each_share_is_reached(share):
    world = QueueWorld(workers(canary=3), rate=40.0, share=share).run(400)
    assert share - 0.003 <= world.share() <= share


def test_without_the_ledger_one_pod_in_four_that_fails_fast_takes_most_of_a_backlog():
    crowd = workers(canary_job_s=0.01)
    world = QueueWorld(crowd, rate=200.0, share=0.05)
    world.ledger = promoted(world.ledger)  # nobody needs a credit
    assert world.run(30).share() > 0.2


@pytest.mark.parametrize("weather", ["loses", "doubles"])
def test_what_the_network_loses_or_doubles_gives_the_canary_no_more(weather):
    world = QueueWorld(workers(), rate=20.0, share=0.1)
    setattr(world, weather, 0.3)
    world.run(120)
    assert 0.08 <= world.share() <= 0.1


def test_with_the_allocator_gone_the_canary_stops_and_stable_goes_on():
    world = QueueWorld(workers(), rate=20.0, share=0.25).run(30)
    world.allocator_runs = False
    world.run(LASTS_S + 1)
    canary, stable = world.claims("v2"), world.claims("v1")
    world.run(30)
    assert world.claims("v2") == canary
    assert world.claims("v1") - stable > 0.95 * 30 * 20
    world.allocator_runs = True
    world.run(60)
    assert world.claims("v2") > canary


def test_a_canary_that_was_frozen_for_minutes_does_not_make_up_for_it():
    world = QueueWorld(workers(), rate=20.0, share=0.25).run(30)
    world.workers[-1].frozen = True
    world.run(120)
    before, stable = world.claims("v2"), world.claims("v1")
    world.workers[-1].frozen = False
    world.run(10)
    more = world.claims("v2") - before
    assert more <= 0.25 * (world.claims("v1") - stable + more) + 10


def test_a_queue_that_was_empty_for_minutes_makes_no_burst():
    world = QueueWorld(workers(), rate=20.0, share=0.25).run(30)
    world.rate = 0.0
    world.run(120)
    before, stable = world.claims("v2"), world.claims("v1")
    world.rate = 20.0
    world.run(5)
    more = world.claims("v2") - before
    assert more <= 0.25 * (world.claims("v1") - stable + more) + 5
