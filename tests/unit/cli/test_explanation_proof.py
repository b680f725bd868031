"""`explain` says what is proven, and what is not excluded."""

from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.views.explanation import Explanation

RELEASE = {
    "metadata": {"name": "shop", "namespace": "web", "generation": 1},
    "status": {"phase": "Progressing", "reason": "Analyzing", "stableRevision": "a", "canaryRevision": "b"},
}


def explained(counts: Counts, promote: float | None = 1.5) -> str:
    judge = Judge(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, promote),)))
    judge.add(Look(1, 0, 5, 5, {"errors": counts}))
    return "\n".join(Explanation(RELEASE, "shop-b-1", 0.01, judge.evidence()).lines(10))


def test_a_proof_is_told():
    said = explained(Counts(10, 5000, 80, 5000))
    assert "proven no worse" in said
    assert "not excluded" not in said


def test_without_proof_the_bound_is_told():
    assert "not excluded: errors at most 1.6 times stable's, 95 %" in explained(Counts(80, 5000, 80, 5000))
    assert "not excluded: errors: 95 % upper bound on the ratio to stable's: none yet" in explained(
        Counts(1, 50, 1, 5000)
    )


def test_a_run_recorded_without_proof_has_no_bound():
    assert "not excluded" not in explained(Counts(10, 5000, 12, 5000), promote=None)


def test_before_the_first_look_is_over_nothing_is_said_of_evidence():
    judge = Judge(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5),)))
    said = "\n".join(Explanation(RELEASE, "shop-b-1", 0.01, judge.evidence()).lines(10))
    assert "AnalysisRun shop-b-1 has no look yet" in said
    assert "undecided" not in said
