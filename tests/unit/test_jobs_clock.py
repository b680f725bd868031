"""How far a clock is off, by the Date of answers, which has whole seconds."""

import random

import pytest

from workloads.common.server_clock import ServerClock


def seen(off: float, *, answers: int, took: float = 0.05, start: float = 1000.0) -> ServerClock:
    clock, draws = ServerClock(), random.Random(answers)  # noqa: S311
    for _ in range(answers):
        start += draws.random()
        date = float(int(start + took / 2))
        clock.note(date, sent=start + off, received=start + took + off)
    return clock


@pytest.mark.parametrize("off", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("answers", [0, 1, 50])
def test_a_clock_that_may_be_right_is_not_called_wrong(off: float, answers: int) -> None:
    assert abs(seen(off, answers=answers).ahead_s) <= abs(off)


@pytest.mark.parametrize("off", [2.0, -2.0, 3600.0, -7200.0])
def test_a_wrong_clock_is_found_with_its_sign_and_never_overstated(off: float) -> None:
    found = seen(off, answers=40).ahead_s
    assert found == pytest.approx(off, abs=0.3)
    assert abs(found) <= abs(off)
    assert abs(seen(off, answers=1).ahead_s) >= abs(off) - 1.1


def test_slow_answers_make_it_careful_and_not_wrong() -> None:
    assert seen(0.0, answers=30, took=20.0).ahead_s == 0
    assert seen(3.0, answers=30, took=20.0).ahead_s <= 3


def test_a_clock_that_was_set_is_right_at_once() -> None:
    clock = seen(-5.0, answers=20)
    clock.note(1030.0, sent=1030.2, received=1030.3)
    assert clock.ahead_s == 0
