"""I16: the circuit breaker."""

import pytest

from workloads.invitations.sending.breaker import Breaker, Limits

LIMITS = Limits(failures=3, rest=10, longest_rest=40)


@pytest.fixture
def breaker():
    return Breaker(LIMITS)


def fail(breaker, times, *, now):
    for _ in range(times):
        ticket = breaker.admit(now)
        assert ticket is not None
        breaker.note(ticket, well=False, now=now)


def test_it_opens_after_so_many_failures_in_a_row(breaker):
    fail(breaker, 2, now=0)
    assert breaker.admit(0) is not None
    fail(breaker, 1, now=0)
    assert breaker.admit(0) is None
    assert breaker.is_open(9.9)
    assert breaker.admit(9.9) is None


def test_a_success_in_between_begins_the_count_anew(breaker):
    fail(breaker, 2, now=0)
    breaker.note(breaker.admit(0), well=True, now=0)
    fail(breaker, 2, now=0)
    assert breaker.admit(0) is not None


def test_after_its_rest_one_call_is_tried_and_not_two(breaker):
    fail(breaker, 3, now=0)
    assert breaker.admit(10) is not None
    assert breaker.admit(10) is None
    assert breaker.admit(19.9) is None


def test_a_trial_that_goes_well_closes_it(breaker):
    fail(breaker, 3, now=0)
    breaker.note(breaker.admit(10), well=True, now=11)
    assert not breaker.is_open(11)
    fail(breaker, 2, now=11)
    assert breaker.admit(11) is not None, "counts from nothing again"


def test_each_trial_that_fails_doubles_the_rest_up_to_a_limit(breaker):
    fail(breaker, 3, now=0)
    now, rests = 10.0, []
    for _ in range(4):
        fail(breaker, 1, now=now)
        rest = next(rest for rest in range(1, 100) if not breaker.is_open(now + rest))
        rests.append(rest)
        now += rest
    assert rests == [20, 40, 40, 40]


def test_a_trial_that_never_tells_is_followed_by_another(breaker):
    fail(breaker, 3, now=0)
    assert breaker.admit(10) is not None
    assert breaker.admit(20) is not None


def test_calls_that_failed_together_do_not_lengthen_the_rest(breaker):
    tickets = [breaker.admit(0) for _ in range(8)]
    for ticket in tickets:
        breaker.note(ticket, well=False, now=1)
    assert breaker.is_open(10.9)
    assert breaker.admit(11) is not None


def test_a_late_failure_from_before_does_not_undo_a_closed_one(breaker):
    late = breaker.admit(0)
    fail(breaker, 3, now=0)
    breaker.note(breaker.admit(10), well=True, now=10)
    for _ in range(3):
        breaker.note(late, well=False, now=11)
    assert breaker.admit(11) is not None
