"""With `baseline: fresh`: what new pods of stable cost beside those that run is said, and judges nobody."""

from typing import cast

import numpy as np
import pytest

from controller.analysis.cold_starts import MOST_STRETCHES, STRETCH, ColdStarts, _plan_of
from controller.analysis.record import Run
from controller.analysis.sources import MetricTroubleError, Question, Sources
from controller.analysis.subject import Subject
from controller.api.analysis import Analysis, Metric
from controller.api.reasons import Reason
from controller.api.revision import baseline_name
from controller.api.status import Attempt, Clock, Status
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.ports import BrokenMetricError, Query, Row, Samples, SourceOutageError
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

NOBODY = cast("KubeClient", None)
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
BASELINE = baseline_name(STABLE, CANARY, 1)
KEY = Key("shop", "web")
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("slow", 1.25, 1.5, control="0" * 20), MetricPlan("floor", None, limit=0.1)))
METRICS = tuple(Metric(name, "any", {}, None, name) for name in ("slow", "floor"))
STATUS = Status(stable=STABLE, attempt=Attempt(CANARY, Clock(0.0), baseline=BASELINE), attempts=1, weight=10.0)
SUBJECT = Subject(KEY, Analysis(interval=5.0, metrics=METRICS), STATUS, None, CANARY)


class Source(Sources):
    """Ten units a second of new pods, a hundred of those that run, and so many bad of a thousand."""

    def __init__(self, new, old=10):
        super().__init__(NOBODY, cluster="", own_namespace="")
        self.new, self.old = new, old
        self.windows = []
        self.problem: Exception | None = None

    async def questions(self, key, metrics, *, stable, canary):
        assert (stable, canary) == (STABLE, BASELINE)
        if isinstance(self.problem, MetricTroubleError):
            raise self.problem
        return tuple(Question(metric.name, Query("flux", ""), self, warm_up=False) for metric in metrics)

    async def query(self, query, window):
        if self.problem is not None:
            raise self.problem
        seconds = (window.end - window.start).total_seconds()
        self.windows.append((window.start.timestamp(), window.end.timestamp()))
        units = ((BASELINE, 10 * seconds, self.new), (STABLE, 100 * seconds, self.old))
        return Samples(tuple(Row(name, round(total * bad / 1000), round(total)) for name, total, bad in units))

    async def has_rows(self, query, window):
        return True


def run_with(looks):
    return Run(KEY, "web-1", PLAN, 0.0, {}, Judge(PLAN), list(looks), [], 0)


def look(number, *, baseline=10.0, weight=10.0, rows=("slow", "floor")):
    counts = dict.fromkeys(rows, Counts(0, 50, 0, 50))
    return Look(number, number * 5.0, number * 5.0 + 5, weight, counts, baseline=baseline)


def looks(many, **more):
    return [look(number, **more) for number in range(1, many + 1)]


async def learnt(source, run, times=1, subject=SUBJECT):
    cold = ColdStarts(source)
    for _ in range(times):
        await cold.learn(run, subject)
    return cold


async def test_new_pods_that_are_worse_are_said_with_the_numbers():
    run = run_with(looks(12))
    cold = await learnt(Source(new=150), run)
    said = cold.sentence(run)
    assert said.startswith("new pods of stable are worse than those that run: slow ")
    assert "vs 30/3000 (p " in said
    assert said.endswith("That is what a cold start costs; the canary is compared with the new ones")
    assert run.judge.evidence().regression is None, "no version is judged by it"


async def test_new_pods_within_the_margin_are_not_said():
    run = run_with(looks(STRETCH * MOST_STRETCHES))
    assert (await learnt(Source(new=10), run, 10)).sentence(run) == ""


async def test_few_bad_units_say_nothing():
    run = run_with(looks(STRETCH))
    assert (await learnt(Source(new=13, old=0), run)).sentence(run) == "", "4 of 300, where 5 are needed"


async def test_a_restart_comes_to_the_same_whenever_it_is():
    """What a stretch is depends on the looks alone."""
    changed = [look(n, weight=10.0 if n < 9 else 25.0, baseline=10.0 if n < 9 else 25.0) for n in range(1, 40)]
    first, second = Source(new=12), Source(new=12)
    run, grown = run_with(changed), run_with([])
    cold = ColdStarts(first)
    for one in changed:
        grown.looks.append(one)
        await cold.learn(grown, SUBJECT)
    await learnt(second, run, 10)
    assert first.windows == second.windows
    assert first.windows[:3] == [(5.0, 35.0), (35.0, 45.0), (45.0, 75.0)]


async def test_looks_without_a_baseline_or_of_other_rows_are_in_no_stretch():
    some = [look(1, baseline=None), look(2, baseline=0.0), look(3, rows=()), *(look(n) for n in range(4, 10))]
    source = Source(new=10)
    await learnt(source, run_with([*some, *(look(n, rows=("floor",)) for n in range(10, 20))]))
    assert source.windows == [(20.0, 50.0)], "limits need no comparison"


async def test_so_many_stretches_are_asked_about_and_no_more():
    source, run = Source(new=10), run_with(looks(STRETCH * (MOST_STRETCHES + 10)))
    await learnt(source, run, 40)
    assert len(source.windows) == MOST_STRETCHES
    worse = Source(new=500)
    await learnt(worse, run, 40)
    assert len(worse.windows) < MOST_STRETCHES, "what is known needs no more"


async def test_an_outage_is_asked_again_and_a_broken_metric_is_passed_by():
    source, run = Source(new=10), run_with(looks(STRETCH * 3))
    source.problem = SourceOutageError("away")
    cold = await learnt(source, run)
    source.problem = None
    await cold.learn(run, SUBJECT)
    assert len(source.windows) == 3
    broken = Source(new=10)
    broken.problem = BrokenMetricError("NaN")
    cold = await learnt(broken, run)
    broken.problem = MetricTroubleError(Reason.METRIC_INVALID, "no template")
    await cold.learn(run, SUBJECT)
    broken.problem = None
    await cold.learn(run, SUBJECT)
    assert broken.windows == []


async def test_a_metric_that_only_advises_says_nothing_of_new_pods():
    plan = AnalysisPlan(0.01, 5, (MetricPlan("slow", 1.25, control="1" * 200),))
    run = Run(KEY, "web-1", plan, 0.0, {}, Judge(plan), looks(12), [], 0)
    assert run.judge.evidence().advice
    assert (await learnt(Source(new=300), run)).sentence(run) == ""


async def test_another_attempt_begins_anew():
    run = run_with(looks(12))
    cold = await learnt(Source(new=300), run)
    other = Run(KEY, "web-2", PLAN, 0.0, {}, Judge(PLAN), [], [], 0)
    assert (cold.sentence(run) != "", cold.sentence(other)) == (True, "")
    cold.forget(KEY)
    assert cold.sentence(run) == ""


@pytest.mark.parametrize("bad", [8, 10, 12])
async def test_the_chance_of_saying_it_wrongly_is_that_of_the_promise(bad):
    """Binomial counts at the margin's edge and below it: 20 stretches, so often that a bound of 3 % is seen to hold."""
    rng = np.random.default_rng(bad)
    said = 0
    for _ in range(300):
        judge = Judge(_plan_of(PLAN))
        for number in range(1, MOST_STRETCHES + 1):
            counts = Counts(int(rng.binomial(300, bad / 1000)), 300, int(rng.binomial(3000, 0.010)), 3000)
            judge.add(Look(number, number * 30.0, number * 30.0 + 30, 10.0, {"slow": counts}))
        said += judge.evidence().regression is not None
    assert said <= 9
