"""The benchmarks that need pods, at their small size: so that they work when they are wanted."""

import pytest

from tests.run_bench import small

pytestmark = pytest.mark.alone
FIGURES = {
    "rollback": ["all_bad_median_s", "all_bad_worst_s", "fifth_bad_median_s", "failed_requests_median"],
    "blind": ["raised", "promoted", "promoted_after_outage", "cases", "waiting_s_worst"],
    "switch": ["requests", "failed", "requests_during_edits", "failed_by_edits", "failed_by_kill"],
}
"""The names that people and scripts look for."""
HOLDS = {
    "rollback": lambda found: 0 < found["all_bad_median_s"] < 60,
    "blind": lambda found: found["raised"] == found["promoted"] == found["promoted_after_outage"] == 0 < found["cases"],
    "switch": lambda found: found["requests"] > 0 and found["edits"] > 0 and found["requests_at_service"] > 0,
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.usefixtures("cluster")
async def test_a_benchmark_works_at_its_small_size(name, measured):
    figures = await small(name)
    assert set(FIGURES[name]) <= figures.keys()
    assert HOLDS[name](figures), figures
    for figure in FIGURES[name]:
        measured(figure, figures[figure])
