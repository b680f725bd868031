"""A clock that never jumps, whatever those of this machine and of the API server do."""

from email.utils import formatdate
from itertools import pairwise

import pytest

from controller.kube.clock import SteadyClock

START = 1_800_000_000.0


class Machine:
    def __init__(self, *, ahead: float = 0.0) -> None:
        self.passed = 0.0
        self.ahead = ahead
        self.server_ahead = 0.0
        self.clock = SteadyClock(lambda: START + self.passed + self.ahead, lambda: self.passed)

    def hear(self, *, took: float = 0.0) -> None:
        sent_at = self.passed
        self.passed += took
        self.clock.hear(formatdate(START + self.passed + self.server_ahead, usegmt=True), sent_at)

    def wait(self, seconds: float) -> list[float]:
        """What it says every ten seconds, from the true time on."""
        found = []
        for _ in range(int(seconds // 10)):
            self.passed += 10
            self.hear()
            found.append(self.clock.now() - START - self.passed)
        return found


@pytest.mark.parametrize("step", [-1800, -3, 3, 660, 7200])
def test_a_step_of_this_machines_clock_is_not_noticed(step):
    machine = Machine()
    machine.hear()
    machine.ahead += step
    assert machine.wait(600) == [0.0] * 60


@pytest.mark.parametrize("ahead", [-7200, -1800, 660, 7200])
def test_a_clock_that_is_wrong_at_the_start_is_put_right_at_once_and_said(ahead, caplog):
    machine = Machine(ahead=ahead)
    machine.hear()
    assert abs(machine.clock.now() - START) <= 0.5
    (record,) = caplog.records
    side = "behind" if ahead < 0 else "ahead of"
    assert record.message == f"the clock here is {abs(ahead)} s {side} the API server's; the API server's time is used"


@pytest.mark.parametrize("ahead", [-1.9, -1.0, 0.0, 1.9])
@pytest.mark.parametrize("took", [0.0, 5.0])
def test_a_clock_that_is_right_is_left_alone(ahead, took):
    machine = Machine(ahead=ahead)
    for _ in range(100):
        machine.passed += 10.3
        machine.hear(took=took)
    assert machine.clock.now() - START - machine.passed == pytest.approx(ahead, abs=1e-3)


@pytest.mark.parametrize("step", [-1800, 1800])
def test_a_step_of_the_api_servers_clock_is_followed_slowly_and_never_backward(step, caplog):
    machine = Machine()
    machine.hear()
    machine.server_ahead = step
    off = [0.0, *machine.wait(600)]
    assert all(8.9 <= 10 + later - earlier <= 11.1 for earlier, later in pairwise(off))
    assert abs(off[-1]) <= 61
    assert machine.clock.behind_s * step > 0
    assert "it is followed slowly" in caplog.text
    end = machine.wait(18_000)[-1]
    assert end == pytest.approx(step, abs=3)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 32 Jan 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_passed_over(date):
    machine = Machine()
    machine.clock.hear(date, 0.0)
    assert machine.clock.now() == START
