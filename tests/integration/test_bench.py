"""Every benchmark that needs no nodes, at its small size: so that it works when it is wanted.

Run as a person runs it. What is asserted holds at any size; how long things take depends on what else the machine does.
"""

import pytest

from tests.run_bench import bench, small

_SCALE = ("rss_mib", "cpu_percent", "api_requests_per_s", "start_s")
FIGURES = {
    "storm": [
        f"{name}_10_1" for name in ("seconds", "requests_per_release", "cpu_s_per_release", "slowest_over_median")
    ],
    "scale": [f"{name}_{size}" for name in _SCALE for size in (0, 20)],
    "hang": ["abort_p99_s", "no_endpoints_p99_s", "other_source_ratio", "no_metrics_ratio"],
    "looks": ["releases", "lag_p99_s"],
    "share": [
        *(f"share_percent_{one}_{other}" for one in ("light", "saturated") for other in ("healthy", "failing")),
        "dead_lettered_good",
        "last_claim_after_rollback_s",
        "without_ledger_saturated_failing_percent",
    ],
    "worker": [
        *("jobs", "deaths", "completed", "objects", "uploaded_twice", "stuck", "lost"),
        *("requests_per_job", "jobs_per_s"),
    ],
    "api": ["per_s", "p99_ms_half_load", "quota_exact", "phone_exact"],
    "sync": ["commit_to_applied_s", "writes_unchanged_1000", "writes_after_restart"],
    "switches": ["switches", "returns", "left_over", "rss_mib_last"],
    "baseline": ["false_with_percent", "false_without_percent", "slower_found_percent", "releases"],
    "decision": ["false_percent_pooled", "us_per_metric_look", "replayed_otherwise"],
}
"""The names that people and scripts look for."""
HOLDS = {
    "storm": lambda found: found["requests_per_release_10_1"] > 0,
    "scale": lambda found: found["rss_mib_20"] > 0,
    # a source that hangs for a minute may delay nothing by as much as half of one
    "hang": lambda found: (
        found["queries_that_hung"] > 0 and max(found["abort_p99_s"], found["no_endpoints_p99_s"]) < 30
    ),
    "looks": lambda found: found["looks_5"] > 0,
    "share": lambda found: found["claims_too_many"] <= 0 and found["dead_lettered_good"] == 0,
    "worker": lambda found: found["completed"] == found["objects"] == found["jobs"],
    "api": lambda found: found["quota_exact"] == found["phone_exact"] == 1,
    "sync": lambda found: found["writes_unchanged_1000"] == found["writes_after_restart"] == 0,
    "switches": lambda found: (
        (found["switches"], found["returns"]) == (6, 2) and found["left_over"] == 0 < found["most_controllerrevisions"]
    ),
    "baseline": lambda found: found["releases"] > 0 and found["false_with_percent"] <= found["false_without_percent"],
    "decision": lambda found: found["replayed_otherwise"] == 0,
}


@pytest.mark.parametrize("name", FIGURES)
async def test_a_benchmark_works_at_its_small_size(name):
    figures = await small(name)
    assert set(FIGURES[name]) <= figures.keys()
    assert HOLDS[name](figures), figures


async def test_every_benchmark_is_named_here_or_needs_pods():
    code, said, _ = await bench()
    assert code == 0
    assert {line.split()[0] for line in said.splitlines()} == {*FIGURES, "adopt", "rollback", "blind", "switch"}
