"""A copy of an AnalysisRun that somebody made is not ours: it is not deleted, and nothing is learnt from it."""

import time
from typing import Any

from controller.analysis.runs import KEPT_RUNS, RunStore
from controller.api.names import RELEASE_LABEL
from controller.api.resources import ANALYSIS_RUNS
from controller.kube.objects import Key
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

KEY = Key("shop", "web")
CANARY = "b" * 10


def page(name: str, attempt: int, control: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {RELEASE_LABEL: "web"}},
        "spec": {"canaryRevision": CANARY, "attempt": attempt, "page": 0},
        "status": {"controls": {"errors": control}},
    }


async def test_a_copied_run_is_left_alone_and_not_learnt_from():
    api = FakeApi(time.time)
    store = RunStore(FakeClient(api, Weather, "a"))
    attempts = range(1, KEPT_RUNS + 3)
    for attempt in attempts:
        api.handle("POST", ANALYSIS_RUNS.path("shop"), {}, page(f"web-{CANARY}-{attempt}", attempt, f"{attempt}"))
    for attempt in (1, 99):
        api.handle("POST", ANALYSIS_RUNS.path("shop"), {}, page(f"web-copy-{attempt}", attempt, "a copy's"))
    assert await store.controls(KEY) == {"errors": f"{attempts[-1]}"}
    await store.close(KEY, f"web-{CANARY}-{attempts[-1]}", "promoted", "")
    names = {item["metadata"]["name"] for item in api.objects(ANALYSIS_RUNS.path())}
    assert names == {"web-copy-1", "web-copy-99", *(f"web-{CANARY}-{attempt}" for attempt in attempts[-KEPT_RUNS:])}
