"""Who leaves its share lie is found out, and nobody else."""

import pytest

from controller.api.strategy import Scale
from controller.queue_share import starvation
from controller.queue_share.ledger import Ledger, Pod
from controller.queue_share.starvation import UnusedCredits, after_round
from controller.rollout.failed_checks import UNUSED_CREDITS_S
from controller.rollout.sizing import Sizing, sizes
from tests.unit.queue_share.yield_world import YieldWorld
from workloads.common import share_rules


@pytest.mark.parametrize(
    ("rate", "share", "pods"),
    [(20.0, 0.05, (3, 1)), (0.0, 0.25, (8, 3)), (200.0, 0.25, (12, 5)), (0.0, 0.5, (8, 8)), (1.0, 0.5, (3, 3))],
    ids=["light", "saturated", "200 a second", "as many as stable", "few messages, and stable polls as well"],
)
def test_a_canary_that_keeps_up_is_never_hungry_for_long(rate, share, pods):
    world = YieldWorld("waiting", rate=rate, share=share, pods=pods).run(120)
    assert world.longest_unused_s < UNUSED_CREDITS_S / 3


@pytest.mark.parametrize("weight", [1, 5, 20, 33, 40, 45, 50])
def test_a_canary_has_the_pods_for_its_share_of_a_backlog(weight):
    both = sizes(Sizing.BY_CLAIMS, Scale(), 8, weight)
    world = YieldWorld("waiting", share=weight / 100, pods=(both.stable, both.canary)).run(90)
    assert world.longest_unused_s < UNUSED_CREDITS_S / 3
    assert world.missing <= 0.01 * (world.claims("v1") + world.claims("v2"))


@pytest.mark.parametrize(
    ("share", "pods", "canary_job_s"),
    [(0.25, (8, 3), 0.6), (0.05, (3, 1), 10.0), (0.5, (8, 4), 0.2)],
    ids=["three times as slow", "hangs now and then", "too few slots"],
)
def test_a_canary_that_is_too_slow_or_too_small_is_hungry_all_the_time(share, pods, canary_job_s):
    world = YieldWorld("waiting", share=share, pods=pods, canary_job_s=canary_job_s).run(UNUSED_CREDITS_S * 1.5)
    assert world.unused.seconds > UNUSED_CREDITS_S


def rounds(*, canary, waiting, seconds=90):
    unused, ledger = UnusedCredits(), Ledger("v1", "v2", share=0.5, granted={"c": 9})
    for number in range(2 * seconds):
        pods = {"s": Pod("v1", 10 * number, 0.0), "c": Pod("v2", canary(number), 0.0, waiting)}
        unused = after_round(unused, ledger, pods, number / 2)
    return unused.seconds


def test_a_canary_that_waits_at_another_queue_is_hungry():
    assert rounds(canary=lambda _: 3, waiting=6) > UNUSED_CREDITS_S


def test_a_canary_whose_polls_find_something_now_and_then_is_not():
    assert rounds(canary=lambda number: number // 60, waiting=9) < UNUSED_CREDITS_S / 2


def test_a_canary_that_takes_little_and_asks_for_little_is_hungry():
    assert rounds(canary=lambda number: number // 60, waiting=0) > UNUSED_CREDITS_S


def test_a_consumer_that_joins_the_canary_has_its_minute():
    ledger, unused = Ledger("v1", "v2", share=0.5, granted={"c": 9}), UnusedCredits()
    for number in range(2 * 90):
        pods = {"s": Pod("v1", 10 * number, 0.0), "c": Pod("v2", 0, 0.0)}
        unused = after_round(unused, ledger, pods, number / 2)
    assert unused.seconds > UNUSED_CREDITS_S
    joined = after_round(unused, ledger, {**pods, "d": Pod("v2", 0, 0.0)}, 90.0)
    assert joined.seconds == 0.0
    again = after_round(joined, ledger, {**pods, "s": Pod("v1", 2000, 0.0), "d": Pod("v2", 0, 0.0)}, 90.5)
    assert again.seconds == 0.5


def test_a_new_share_begins_without_unused_credits():
    pods = {"s": Pod("v1", 10, 0.0), "c": Pod("v2", 0, 0.0)}
    unused = after_round(UnusedCredits(seconds=50.0, epoch=3), Ledger("v1", "v2", share=0.5, epoch=4), pods, 9.0)
    assert (unused.seconds, unused.epoch) == (0.0, 4)


def test_operator_and_consumers_know_the_same_cycle():
    assert starvation._CYCLE_S == share_rules.CYCLE_S
