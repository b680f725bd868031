"""The old version's looks before a switch: asked for beforehand, once each, and again after a restart."""

from dataclasses import replace

import pytest

from controller.analysis.before import BeforeSwitch
from controller.analysis.method import compared_with_before, method_of
from controller.analysis.sources import MetricTroubleError, Question
from controller.api.analysis import AfterSwitch, Analysis, Margin, Metric
from controller.api.status import Status
from controller.kube.objects import Key
from controller.ports import Query, Row, Samples, SourceOutageError
from controller.stats.before import LOOKS

STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
KEY = Key("shop", "web")


class Source:
    """Stable has 100 units in each window, and one bad one in the first half of each minute."""

    def __init__(self):
        self.windows, self.out = [], False

    async def query(self, query, window):
        if self.out:
            raise SourceOutageError("refused")
        start, end = window.start.timestamp(), window.end.timestamp()
        self.windows.append((start, end))
        return Samples((Row(STABLE, int(start % 60 < 30), 100), Row(CANARY, 0, 3)))

    async def has_rows(self, query, window):
        return True

    async def close(self):
        pass


def questions(source, maturity=0.0):
    return (Question("errors", Query("flux", ""), source, warm_up=False, maturity=maturity),)


async def learn(before, source, until, *, attempt="1", maturity=0.0):
    await before.learn(
        KEY, attempt, questions(source, maturity), Status(stable=STABLE), canary=CANARY, interval=5.0, until=until
    )


async def test_twenty_closed_windows_that_touch_are_asked_for_and_each_of_them_once():
    before, source = BeforeSwitch(), Source()
    for until in range(1002, 1062):
        await learn(before, source, float(until))
    looks = before.looks(KEY, "1")["errors"]
    assert looks == [(int((960 + number * 5) % 60 < 30), 100) for number in range(LOOKS)]
    assert len(source.windows) == len(set(source.windows)) == LOOKS + 12
    assert all(end <= 1061 and end - start == 5 for start, end in source.windows)


async def test_another_attempt_and_a_restart_begin_anew():
    before, source = BeforeSwitch(), Source()
    await learn(before, source, 1000.0)
    await learn(before, source, 1000.0, attempt="2")
    assert len(source.windows) == 2 * LOOKS
    assert before.looks(KEY, "1") == {}
    before.forget(KEY)
    assert before.looks(KEY, "2") == {}


async def test_an_outage_is_said_and_what_was_asked_before_it_stays():
    before, source = BeforeSwitch(), Source()
    await learn(before, source, 1000.0)
    source.out = True
    with pytest.raises(MetricTroubleError, match="refused"):
        await learn(before, source, 1005.0)
    source.out = False
    await learn(before, source, 1005.0)
    assert len(source.windows) == LOOKS + 1


async def test_what_ripens_is_asked_for_in_windows_that_are_so_much_older():
    before, source = BeforeSwitch(), Source()
    await learn(before, source, 1000.0, maturity=30.0)
    assert max(end for _, end in source.windows) == 970.0


async def test_the_method_of_a_switch_holds_rates_against_what_was_before_and_limits_as_ever():
    before, source = BeforeSwitch(), Source()
    await learn(before, source, 1000.0)
    analysis = Analysis(
        metrics=(
            Metric("errors", "t", {}, Margin(1.1, 1.5), "spec"),
            Metric("wide", "t", {}, Margin(1.1, 1.5, 0.0, AfterSwitch(5.0, 0.02)), "spec"),
            Metric("floor", "t", {}, None, "spec", 0.02),
        ),
        alpha=0.01,
    )
    plan = compared_with_before(method_of(analysis, 3.0), analysis, before.looks(KEY, "1"))
    errors, wide, floor = plan.metrics
    assert (errors.odds, errors.slack, errors.promote) == (2.0, 0.005, None)
    assert errors.before is not None
    assert errors.before.total == LOOKS * 100
    assert (wide.odds, wide.slack) == (5.0, 0.02)
    assert wide.before is not None
    assert wide.before.total == 0, "nothing was seen of it"
    assert (floor.limit, floor.before) == (0.02, None)


async def test_a_metric_that_only_advises_and_fails_is_asked_in_the_first_windows_alone():
    class Refusing(Source):
        async def query(self, query, window):
            self.windows.append(window)
            raise SourceOutageError("refused")

    before, source, advising = BeforeSwitch(), Source(), Refusing()
    both = (*questions(source), replace(questions(advising)[0], name="sign-ups", advises=True))
    await before.learn(KEY, "1", both, Status(stable=STABLE), canary=CANARY, interval=5.0, until=1000.0)
    assert len(advising.windows) < LOOKS / 2
    assert set(before.looks(KEY, "1")) == {"errors"}
    assert len(before.looks(KEY, "1")["errors"]) == LOOKS
