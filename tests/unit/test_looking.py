"""How often, and for what, a source is asked."""

from controller.api.status import Status
from controller.core.analysis import AnalysisPlan, Judge, MetricPlan
from controller.engine.looking import provisional
from controller.engine.objects import Key
from controller.engine.runs import Run
from controller.engine.sources import Question
from controller.ports import Query, Row, Samples

STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
PLAN = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),))


class Source:
    """Counts how often it is asked; everything the canary answers is bad."""

    asked = 0

    async def query(self, query, window):
        self.asked += 1
        return Samples((Row(CANARY, 10, 10), Row(STABLE, 0, 90)))

    async def close(self):
        pass


async def test_provisional_counts_are_asked_for_once_a_second_and_what_they_said_stays_true_meanwhile():
    source, run = Source(), Run(Key("shop", "web"), "web-1", PLAN, 100.0, {}, Judge(PLAN), [], [], 0)
    questions = (Question("errors", Query("flux", ""), source, warm_up=False),)
    status = Status(stable=STABLE, canary=CANARY, weight=10.0, weight_since=100.0)
    passes = [await provisional(run, questions, status, 101.0 + tenth / 10) for tenth in range(25)]
    assert source.asked == 3
    assert all(found is not None and found.metric == "errors" for found in passes)
