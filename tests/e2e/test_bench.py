"""The benchmarks that need pods, at their small size: so that they work when they are wanted."""

import pytest

from tests.run_bench import small

pytestmark = pytest.mark.alone
_PATIENCE_S = 720.0
"""`switch` has the most to tell."""
FIGURES = {
    "rollback": ["all_bad_median_s", "all_bad_worst_s", "fifth_bad_median_s", "failed_requests_median"],
    "blind": ["raised", "promoted", "promoted_after_outage", "cases", "waiting_s_worst"],
    "adopt": [
        *("requests", "failed", "requests_route", "requests_replicas", "splits", "reapplied"),
        *("split_percent_least", "split_percent_most", "inside_by_canary"),
    ],
    "switch": [
        *("requests", "failed", "switch_s", "return_s", "service_switch_s", "service_return_s"),
        *("service_failed_by_switch", "requests_during_edits", "failed_by_edits", "failed_by_kill"),
    ],
}
"""The names that people and scripts look for."""
_SOON_S = 10.0
"""A switch or its return; at the full size, on a machine of its own, 2."""
HOLDS = {
    "rollback": lambda found: 0 < found["all_bad_median_s"] < 60,
    "blind": lambda found: found["raised"] == found["promoted"] == found["promoted_after_outage"] == 0 < found["cases"],
    "adopt": lambda found: (
        found["failed"] == found["inside_by_canary"] == 0 < min(found["requests_route"], found["requests_replicas"])
        and min(found["splits"], found["reapplied"]) >= 2
    ),
    "switch": lambda found: (
        min(found["requests"], found["edits"], found["requests_at_service"], found["requests_at_service_by_switch"]) > 0
        and found["switches"] == 2
        and max(found["switch_s"], found["return_s"]) < _SOON_S
    ),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.usefixtures("cluster")
@pytest.mark.timeout(_PATIENCE_S + 20)
async def test_a_benchmark_works_at_its_small_size(name, measured):
    figures = await small(name, seconds=_PATIENCE_S)
    assert set(FIGURES[name]) <= figures.keys()
    assert HOLDS[name](figures), figures
    for figure in FIGURES[name]:
        measured(figure, figures[figure])
