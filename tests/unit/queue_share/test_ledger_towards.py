"""From the weights that are wanted to the ledger that says so."""

from dataclasses import replace

import pytest

from controller.queue_share.ledger import (
    LASTS_S,
    TRIAL_S,
    Ledger,
    Pod,
    Wanted,
    allocate,
    on_trial_at,
    shares_of,
    towards,
)
from tests.share_reading import credits_of, heard
from workloads.common.share_rules import is_on_trial, is_stopped

NOW = 1000.0
PODS = {"s": Pod("v1", 100, NOW), "c": Pod("v2", 7, NOW)}


def wanted(stable="v1", **shares):
    return Wanted(shares, stable)


def written(*many, ledger=None):
    for one in many:
        ledger = towards(one, ledger, PODS, NOW)
    return ledger


def test_a_first_version_needs_no_credits():
    ledger = written(wanted(stable="", v1=100.0))
    assert (ledger.stable, ledger.share, shares_of(ledger)) == ("v1", 0.0, {"v1": 100.0})
    assert credits_of(ledger, "s", "v1", 0, NOW) == float("inf")


def test_what_is_said_already_is_not_said_again():
    ledger = written(wanted(v1=100.0), wanted(v1=95.0, v2=5.0))
    assert towards(wanted(v1=95.0, v2=5.0), ledger, PODS, NOW) is ledger
    rested = written(wanted(v1=100.0))
    assert towards(wanted(v1=100.0), rested, PODS, NOW) is rested


def test_a_share_begins_where_the_totals_are():
    ledger = written(wanted(v1=100.0), wanted(v1=95.0, v2=5.0))
    assert (ledger.canary, ledger.share, ledger.expires_at) == ("v2", 0.05, NOW + LASTS_S)
    assert ledger.counted == {"s": 100, "c": 7}
    assert shares_of(ledger) == pytest.approx({"v1": 95.0, "v2": 5.0})


def test_another_weight_is_another_epoch():
    five = written(wanted(v1=95.0, v2=5.0))
    half = written(wanted(v1=50.0, v2=50.0), ledger=five)
    assert (half.share, half.epoch) == (0.5, five.epoch + 1)


def test_everything_on_the_canary_is_its_promotion_and_the_old_one_ends_its_work():
    ledger = written(wanted(v1=50.0, v2=50.0), wanted(v2=100.0))
    assert (ledger.stable, ledger.canary, ledger.draining) == ("v2", "", ("v1",))


def test_a_rollback_leaves_the_canary_nothing():
    ledger = allocate(written(wanted(v1=50.0, v2=50.0)), {**PODS, "s": Pod("v1", 120, NOW)}, NOW, LASTS_S)
    assert credits_of(ledger, "c", "v2", 7, NOW) > 0
    back = written(wanted(v1=100.0), ledger=ledger)
    assert credits_of(back, "c", "v2", 7, NOW) == 0
    assert back.epoch > ledger.epoch


def test_a_version_that_had_everything_and_goes_back_takes_nothing_more():
    ledger = written(wanted(v1=50.0, v2=50.0), wanted(v2=100.0), wanted(v1=100.0))
    assert (ledger.stable, ledger.draining) == ("v1", ())
    assert credits_of(ledger, "c", "v2", 0, NOW) == 0


def test_a_version_that_drained_and_comes_again_has_only_its_share():
    ledger = written(wanted(v1=50.0, v2=50.0), wanted(v2=100.0), wanted(stable="v2", v2=95.0, v1=5.0))
    assert (ledger.stable, ledger.canary, ledger.share, ledger.draining) == ("v2", "v1", 0.05, ())
    assert credits_of(ledger, "s", "v1", 100, NOW) == 0


def test_a_ledger_that_was_lost_is_made_again_with_an_epoch_that_never_was():
    before = written(wanted(v1=95.0, v2=5.0))
    again = towards(wanted(v1=95.0, v2=5.0), None, {}, NOW + 60)
    assert (again.stable, again.canary, again.share) == ("v1", "v2", 0.05)
    assert again.epoch > before.epoch


def test_a_ledger_of_an_earlier_release_of_that_name_is_taken_over():
    ledger = written(wanted(v1=95.0, v2=5.0), ledger=Ledger(stable="old", canary="older", share=0.5, epoch=3))
    assert (ledger.stable, ledger.canary, ledger.share) == ("v1", "v2", 0.05)


def test_a_hard_stop_names_the_epoch_in_which_running_jobs_end():
    ledger = written(wanted(v1=50.0, v2=50.0))
    back = towards(Wanted({"v1": 100.0}, "v1", hard_stop=True), ledger, PODS, NOW)
    assert (back.share, back.min_epoch) == (0.0, back.epoch)
    assert is_stopped(heard(back, NOW), "v2", ledger.epoch)
    assert not is_stopped(heard(back, NOW), "v1", ledger.epoch), "stable's jobs go on"


def test_a_hard_stop_is_written_once_and_also_after_a_rollback_that_let_jobs_end():
    hard = Wanted({"v1": 100.0}, "v1", hard_stop=True)
    soft = written(wanted(v1=50.0, v2=50.0), wanted(v1=100.0))
    assert not is_stopped(heard(soft, NOW), "v2", soft.epoch - 1)
    stopped = towards(hard, soft, PODS, NOW)
    assert is_stopped(heard(stopped, NOW), "v2", soft.epoch - 1)
    assert stopped.epoch == soft.epoch
    assert towards(hard, stopped, PODS, NOW) is stopped
    assert towards(wanted(v1=100.0), stopped, PODS, NOW) is stopped, "a pass that knows nothing of it keeps it"


def test_a_hard_stop_does_not_reach_the_jobs_of_the_next_canary():
    hard = Wanted({"v1": 100.0}, "v1", hard_stop=True)
    stopped = towards(hard, written(wanted(v1=50.0, v2=50.0)), PODS, NOW)
    again = written(wanted(v1=95.0, v3=5.0), ledger=stopped)
    assert not is_stopped(heard(again, NOW), "v3", again.epoch)


def test_a_switch_to_a_version_that_had_a_share_before_leaves_the_old_one_nothing():
    """Only who gives up work step by step drains: after a switch it would go on at full size beside the new one."""
    ledger = written(wanted(v1=100.0), wanted(v1=95.0, v2=5.0), wanted(v1=100.0), wanted(v2=100.0))
    assert (ledger.stable, ledger.draining, shares_of(ledger)) == ("v2", (), {"v2": 100.0})
    assert credits_of(ledger, "s", "v1", 0, NOW) == 0


SWITCHED = Wanted({"v2": 100.0}, "v1", on_trial="v2")


BEFORE = {"none": (), "at rest": (wanted(v1=100.0),), "half": (wanted(v1=50.0, v2=50.0),)}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_a_version_that_gets_all_before_it_is_trusted_is_on_trial_from_the_same_write(before):
    ledger = written(*before, SWITCHED)
    assert (ledger.stable, ledger.on_trial, ledger.trial_until) == ("v2", "v2", NOW + TRIAL_S)
    assert credits_of(ledger, "c", "v2", 7, NOW) == float("inf"), "it needs no credits"
    assert towards(SWITCHED, ledger, PODS, NOW + 60) is ledger


@pytest.mark.parametrize("over", [wanted("v2", v2=100.0), wanted(v1=100.0), wanted(v1=75.0, v2=25.0)])
def test_the_trial_is_over_with_the_write_that_trusts_it_or_takes_its_work(over):
    ledger = written(wanted(v1=100.0), SWITCHED, over)
    assert (ledger.on_trial, ledger.trial_until) == ("", 0.0)


def test_the_mark_of_an_operator_that_is_gone_ends_and_is_renewed_in_time():
    ledger = written(SWITCHED)
    half = NOW + TRIAL_S / 2
    assert (on_trial_at(ledger, half - 1), on_trial_at(ledger, half + 1)) == ("v2", "")
    renewed = towards(SWITCHED, ledger, PODS, half + 1)
    assert (renewed.trial_until, renewed.epoch) == (half + 1 + TRIAL_S, ledger.epoch)
    for left, trial in ((TRIAL_S - 1, True), (TRIAL_S, False)):
        assert is_on_trial(heard(ledger, NOW), "v2", NOW + left) is trial


def test_only_the_version_that_is_named_is_on_trial_and_only_while_it_has_all():
    ledger = written(SWITCHED)
    assert not is_on_trial(heard(ledger, NOW), "v1", NOW)
    half = replace(written(wanted(v1=50.0, v2=50.0)), on_trial="v2", trial_until=NOW + TRIAL_S)
    assert not is_on_trial(heard(half, NOW), "v2", NOW), "a canary's rules are stricter"
    assert not is_on_trial(None, "v2", NOW)
