"""Which thresholds of a latency are chosen from stable's past."""

import pytest

from controller.analysis.method import method_of
from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.thresholds import Thresholds, choose
from tests.unit.rollout.language import release

EDGES = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10")


def history(*slower: int, total: int = 10_000) -> dict[str, tuple[int, int]]:
    return {edge: (bad, total) for edge, bad in zip(EDGES, slower, strict=True)}


def test_an_edge_is_taken_for_each_quantile_and_for_the_promise():
    past = history(9_900, 5_000, 2_600, 1_100, 600, 110, 90, 11, 2, 0)
    found = choose(past, "0.5")
    assert found.edges == ("0.01", "0.05", "0.1", "0.25", "0.5", "2.5")
    assert found.always == "0.5"


def test_no_worse_is_proven_where_a_tenth_of_stables_units_are_slower():
    past = history(9_900, 5_000, 2_500, 1_000, 400, 90, 40, 9, 2, 0)
    assert choose(past, "0.5").proof == "0.05"


def test_quantiles_that_share_an_edge_are_one_test():
    assert choose(history(*[0] * 10), "0.25").edges == ("0.005", "0.25")


def test_edges_are_in_the_order_of_numbers():
    past = {"10": (0, 100), "2.5": (20, 100), "0.5": (60, 100)}
    assert choose(past, "2.5").edges == ("2.5", "10")


@pytest.mark.parametrize("past", [{}, history(*[0] * 10, total=0)])
def test_without_a_past_there_is_the_promise_alone(past):
    assert choose(past, "0.25") == Thresholds(("0.25",), "0.25", "0.25")


def test_what_no_edge_holds_is_not_watched():
    """A tail beyond the last edge."""
    assert choose({"1": (400, 1_000)}, "1").edges == ("1",)


def judged_by(*metrics):
    return method_of(release(metrics=metrics, promote_below=1.5).spec.analysis, thresholds={"latency": CHOSEN})


CHOSEN = Thresholds(("0.05", "0.25", "1"), always="0.25", proof="0.05")


def test_the_thresholds_share_their_metrics_part_of_the_budget():
    method = judged_by("errors", "latency")
    alphas = {metric.name: method.alpha_of(metric) for metric in method.metrics}
    assert list(alphas) == ["errors", "latency/0.05", "latency/0.25", "latency/1"]
    assert sum(alphas.values()) == pytest.approx(method.alpha)
    assert alphas["errors"] == pytest.approx(3 * alphas["latency/1"])


def test_a_metric_is_no_worse_when_it_is_proven_so_at_its_one_threshold():
    method = judged_by("latency")
    assert [metric.name for metric in method.metrics if metric.promote is not None] == ["latency/0.05"]
    judge = Judge(method)
    for number in range(1, 60):
        rows = {
            f"latency/{edge}": Counts(bad, 1_000, bad, 1_000) for edge, bad in (("0.05", 100), ("0.25", 0), ("1", 0))
        }
        judge.add(Look(number, number - 1.0, float(number), 50.0, rows))
    evidence = judge.evidence()
    assert evidence.verdict is Verdict.NO_WORSE
    assert [metric.proven for metric in evidence.metrics] == [True, False, False]


def test_a_canary_that_is_slow_in_the_tail_alone_is_convicted_by_the_tail():
    method = judged_by("latency")
    judge = Judge(method)
    for number in range(1, 20):
        rows = {
            "latency/0.05": Counts(10, 100, 100, 1_000),
            "latency/0.25": Counts(2, 100, 20, 1_000),
            "latency/1": Counts(2, 100, 1, 1_000),
        }
        judge.add(Look(number, number - 1.0, float(number), 10.0, rows))
    regression = judge.evidence().regression
    assert regression is not None
    assert regression.name == "latency/1"
