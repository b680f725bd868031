"""The worked example of the page for SREs is what `pointsman replay` prints."""

import re
from pathlib import Path

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan

PAGE = Path(__file__).parents[2] / "controller" / "stats" / "METHOD.md"
ROW = re.compile(r"\| (\d+) \| (\d+), (\d+) \| (\d+) \| (\d+|–) \| ([\d.]+) % \| (.*)\|")


def test_the_worked_example_is_true():
    judge = Judge(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.0),), horizon=60))
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) == 7
    for look, canary, stable, s, boundary, spent, said in rows:
        judge.add(Look(int(look), 0, 0, 5, {"errors": Counts(int(canary), 50, int(stable), 950)}))
        metric = judge.evidence().metrics[0]
        assert metric.standing.bad == int(s)
        assert f"{metric.standing.spent:.3%}" == f"{spent}%"
        assert (judge.evidence().regression is not None) == said.startswith("regression")
        if boundary != "–":
            assert metric.standing.boundary == int(boundary)
