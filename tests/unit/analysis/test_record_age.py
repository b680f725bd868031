"""Which record is the youngest: attempts are counted from one again where a status was lost."""

import time
from typing import Any

from controller.analysis.record import youngest
from controller.analysis.runs import KEPT_RUNS, RunStore
from controller.api.names import RELEASE_LABEL
from controller.api.resources import ANALYSIS_RUNS
from controller.kube.objects import Key
from tests.unit.runtime.fake_api import FakeApi
from tests.unit.runtime.fake_client import FakeClient, Weather

KEY = Key("shop", "web")
CANARY = "b" * 10


def page(attempt: int, day: int, *, ends: str = "", number: int = 0) -> dict[str, Any]:
    name = f"web-{CANARY}-{attempt}{ends}" + (f"-p{number}" if number else "")
    spec = {"canaryRevision": CANARY, "attempt": attempt, "page": number, "startedAt": f"2026-01-{day:02}T00:00:00Z"}
    status = {"controls": {"errors": f"day {day}"}}
    return {"metadata": {"name": name, "labels": {RELEASE_LABEL: "web"}}, "spec": spec, "status": status}


def name_of(*pages: dict[str, Any]) -> str | None:
    found = youngest(KEY, pages)
    return None if found is None else found["metadata"]["name"]


def test_the_record_that_began_last_is_the_youngest_whatever_its_attempt_is():
    assert name_of(page(7, 1), page(8, 2), page(1, 3)) == f"web-{CANARY}-1"
    assert name_of(page(1, 3, number=2), page(1, 3)) == f"web-{CANARY}-1"
    assert name_of(page(2, 3, ends="-preview"), page(2, 4)) == f"web-{CANARY}-2"


def test_what_is_no_record_of_ours_is_passed_over():
    odd = {"metadata": {"name": f"web-{CANARY}-9"}, "spec": "?"}
    undated = page(9, 1)
    del undated["spec"]["startedAt"]
    assert name_of(odd, undated, page(2, 1)) == f"web-{CANARY}-2"
    assert name_of(odd, {"metadata": {"name": "copy"}, "spec": page(9, 9)["spec"]}) is None


async def test_the_records_of_before_a_lost_status_go_first_and_say_less():
    api = FakeApi(time.time)
    store = RunStore(FakeClient(api, Weather, "a"))
    before = [page(attempt, attempt) for attempt in range(10, 10 + KEPT_RUNS)]
    for one in (*before, page(1, 28, ends="-preview"), page(1, 29)):
        api.handle("POST", ANALYSIS_RUNS.path("shop"), {}, one)
    assert await store.controls(KEY) == {"errors": "day 29"}
    await store.close(KEY, f"web-{CANARY}-1", "promoted", "")
    names = {item["metadata"]["name"] for item in api.objects(ANALYSIS_RUNS.path())}
    kept = {one["metadata"]["name"] for one in before[1:]}
    assert names == {f"web-{CANARY}-1", f"web-{CANARY}-1-preview", *kept}
