"""`settle: auto` learns how late counts are; what came later still is told."""

import asyncio

import pytest

from controller.analysis import late_points
from controller.analysis.ingestion_delay import MOST_S, IngestionDelay, learn
from controller.analysis.record import Run
from controller.kube.objects import Key
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import SETTLE_S, AnalysisPlan, MetricPlan


class Source:
    """Units come `every` so many seconds, `delay` after the moment they are counted at. Time passes by sleeping."""

    def __init__(self, *, every=0.1, delay=0.0, batch=0.0, units=5):
        self.now = 1_000.0
        self.every, self.delay, self.batch, self.units = every, delay, batch, units

    async def sleep(self, seconds):
        self.now += seconds

    async def ask(self, start, end):
        moments = (number * self.every for number in range(int(start / self.every), int(end / self.every) + 2))
        seen = [moment for moment in moments if start <= moment < end and self._comes(moment) <= self.now]
        units = self.units * len(seen)
        return {"errors": Counts(0, 0, 0, units)} if units else {}

    def _comes(self, moment):
        if self.batch:
            moment = (moment // self.batch + 1) * self.batch
        return moment + self.delay

    async def measurement(self):
        return [learnt async for learnt in learn(self.ask, lambda: self.now, self.sleep)][-1]


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.9, 1.8, 4.0, 9.0])
async def test_what_is_learnt_covers_the_delay_and_is_no_more_than_thrice_it(delay):
    learnt = await Source(delay=delay).measurement()
    assert delay <= learnt <= max(0.75, min(MOST_S, 3.1 * delay))


async def test_a_router_that_writes_each_second_needs_well_under_a_second_more():
    assert await Source(every=1.0, delay=0.05, units=50).measurement() <= 0.75


@pytest.mark.parametrize("batch", [2.0, 5.0, 10.0])
async def test_a_source_that_hands_over_in_batches_is_given_the_time_of_one(batch):
    assert await Source(batch=batch).measurement() >= batch


async def test_a_delay_beyond_all_bounds_ends_at_the_bound():
    assert await Source(delay=14.0).measurement() == MOST_S


@pytest.mark.parametrize("source", [Source(units=0), Source(every=2.0, units=1), Source(delay=1000.0)])
async def test_with_too_little_work_to_tell_a_safe_value_is_taken(source):
    assert await source.measurement() == SETTLE_S


def run_of(*units):
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),), settle=2.0)
    looks = [Look(n, n * 5.0, n * 5.0 + 5, 10.0, {"errors": Counts(0, 10, 0, u)}) for n, u in enumerate(units, start=1)]
    return Run(Key("shop", "web"), "web-1", plan, 5.0, {}, Judge.over(plan, looks), looks, [], 0)


def test_looks_are_asked_for_once_more_when_the_youngest_has_settled_too():
    assert late_points.stretch(run_of(*[90] * 5)) == ()
    run = run_of(*[90] * 11)
    first = late_points.stretch(run)
    assert [look.number for look in first] == [1, 2, 3, 4, 5]
    late_points.note(run, first, {"errors": Counts(0, 50, 0, 450)})
    assert [look.number for look in late_points.stretch(run)] == [6, 7, 8, 9, 10]
    assert (run.late, late_points.sentence(run)) == ({}, "")


def test_what_came_late_is_told_and_never_judged():
    run = run_of(*[90] * 6)
    before = run.judge.evidence()
    late_points.note(run, late_points.stretch(run), {"errors": Counts(20, 70, 0, 455)})
    assert run.late == {"errors": 25}
    assert late_points.sentence(run).startswith("4% of the units of errors arrived later than 2 s")
    assert run.judge.evidence() == before


def test_a_metric_that_was_not_asked_in_every_look_is_left_out():
    run = run_of(*[90] * 6)
    run.looks[2] = Look(3, 15.0, 20.0, 10.0, {})
    late_points.note(run, late_points.stretch(run), {"errors": Counts(0, 50, 0, 450)})
    assert (run.late, run.audited) == ({}, 5)


def test_counts_that_have_gone_are_not_late():
    run = run_of(*[90] * 6)
    late_points.note(run, late_points.stretch(run), {"errors": Counts(0, 1, 0, 4)})
    assert run.late == {}


async def test_what_there_usually_is_is_known_before_the_first_look_even_where_settle_is_given():
    asked = []

    async def ask(start, end):
        asked.append(end - start)
        return {"errors": Counts(0, 0, 1, 600)}

    settling, key = IngestionDelay(lambda: 1000.0), Key("shop", "web")
    settling.begin(key, "attempt", ask, settle=False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert settling.baseline_rates(key, "attempt") == {"errors": 20.0}
    assert settling.baseline_rates(key, "another") == {}
    assert asked == [30.0]


async def test_of_many_measurements_only_a_few_ask_at_once_and_who_is_forgotten_asks_no_more():
    settling, asking, most, asked = IngestionDelay(lambda: 0.0), 0, 0, 0
    answers = asyncio.Event()

    async def ask(start, end):
        nonlocal asking, most, asked
        asking, asked = asking + 1, asked + 1
        most = max(most, asking)
        await answers.wait()
        asking -= 1
        return {}

    for number in range(50):
        settling.begin(Key("shop", f"web-{number}"), "attempt", ask, settle=False)
    await asyncio.sleep(0)
    for number in range(10):
        settling.forget(Key("shop", f"web-{49 - number}"))
    answers.set()
    async with asyncio.timeout(10):
        while asked < 40:  # noqa: ASYNC110 - tasks that nobody waits for
            await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert (most, asked, settling.learnt(Key("shop", "web-49"), "attempt")) == (4, 40, SETTLE_S)


async def test_a_defect_that_ends_a_lesson_is_said(caplog):
    async def ask(*_):
        raise KeyError("units")

    settling = IngestionDelay(lambda: 0.0)
    key = Key("shop", "web")
    settling.begin(key, "attempt", ask, settle=True)
    task = settling._measurements[key].task
    assert task is not None
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert [record.message for record in caplog.records] == [
        "the ingestion delay of shop/web is unknown; the default is used"
    ]
    assert settling.learnt(key, "attempt") == SETTLE_S
