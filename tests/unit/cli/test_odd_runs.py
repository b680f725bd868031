"""`explain` on an AnalysisRun that is not as this version writes it: edited, or of an older or newer version."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.analysis.record import look_to_raw
from controller.api.resources import ANALYSIS_RUNS, RELEASES
from controller.cli.viewing import explanation_of
from controller.stats.counts import Counts, Look
from controller.stats.method import AnalysisPlan, MetricPlan, plan_to_raw
from controller.views.explanation import Explanation
from tests.unit.cli.test_explanation_picture import NOW, explanation, screen

NAME = "invitation-api-klmnopqrst-1"
ODD: tuple[Any, ...] = (
    None, "", "x", "guilty", -1, 0, 1.5, 2, 10**18, 1e300, True, [], [None], {}, {"a": 1}, "2026-01-01T00:00:00Z",
)  # fmt: skip
GONE = object()


def page(number: int = 0) -> dict[str, Any]:
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("floor", None, limit=0.02)))
    rows = {"errors": Counts(1, 60, 20, 1200), "floor": Counts(1, 60, 20, 1200)}
    looks = [Look(n, NOW + 5 * n, NOW + 5 * n + 5, 5.0, rows, {"errors": Counts(1, 30, 2, 30)}) for n in range(1, 4)]
    return {
        "metadata": {"name": NAME, "namespace": "shop", "resourceVersion": "1"},
        "spec": {
            "release": "invitation-api",
            "canaryRevision": "klmnopqrst",
            "attempt": 1,
            "page": number,
            "startedAt": "2026-01-01T00:00:00Z",
            "usual": {"errors": 12.0},
            "method": plan_to_raw(plan),
        },
        "status": {
            "verdict": "undecided",
            "message": "",
            "evidence": "errors 3/180",
            "looks": [look_to_raw(look) for look in looks],
            "total": 3,
            "late": {"errors": 1},
            "audited": 1,
            "controls": {"errors": "010"},
            "state": "bm90aGluZw==",
            "podEvidence": {
                "at": "2026-01-01T00:00:00Z",
                "pods": 2,
                "exits": [{"pod": "web-1", "container": "app", "restarts": 3, "reason": "Error", "exitCode": 1}],
                "events": [{"object": "Pod web-1", "reason": "BackOff", "message": "restarting", "count": 2}],
                "errors": [{"count": 2, "line": "ValueError: 7"}],
                "logs": [{"pod": "web-1", "container": "app", "lines": ["ValueError: 7"], "previous": True}],
                "notKept": ["events: no answer within 4 s"],
            },
        },
    }


class Cluster:
    """Holds one Release and what is left of its record."""

    def __init__(self, run: dict[str, Any], *, named: bool) -> None:
        release = dict(explanation().release)
        self.release = {**release, "status": {**release["status"], "analysisRun": NAME if named else ""}}
        self.run = run

    async def get(self, resource: object, namespace: str, name: str) -> Any:
        assert (resource, namespace, name) == (RELEASES, "shop", "invitation-api")
        return self.release

    async def find(self, resource: object, namespace: str, name: str) -> Any:
        assert (resource, namespace) == (ANALYSIS_RUNS, "shop")
        return self.run if name == NAME else None

    async def list(self, resource: object, namespace: str, *, labels: str) -> Any:
        assert (resource, namespace, labels) == (ANALYSIS_RUNS, "shop", "pointsman.dev/release=invitation-api")
        return [self.run]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, part in inside for found in ((*path, name), *places(part, (*path, name)))]


PLACES = [path for path in places(page()) if path[0] in ("spec", "status")]


def changed(run: dict[str, Any], path: tuple[Any, ...], to: object) -> None:
    """Nothing where an earlier change has taken the place away."""
    try:
        for part in path[:-1]:
            run = run[part]
        if to is GONE:
            del run[path[-1]]
        else:
            run[path[-1]] = copy.deepcopy(to)
    except (TypeError, LookupError, AttributeError):
        pass


async def explained(run: dict[str, Any], *, named: bool = True) -> Explanation:
    return await explanation_of(Cluster(run, named=named), "shop", "invitation-api")  # type: ignore[arg-type]


def text_of(found: Explanation) -> str:
    json.dumps(found.as_json(), allow_nan=False)
    screen(found, 80)
    return "\n".join(found.lines(NOW))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from((GONE, *ODD))), min_size=1, max_size=3), st.booleans()
)
async def test_whatever_stands_in_the_record_explain_says_what_can_be_said(changes, named):
    run = page()
    for path, to in changes:
        changed(run, path, to)
    text = text_of(await explained(run, named=named))
    assert text.startswith("invitation-api in shop: Progressing (Analyzing)")
    assert "stable  abcdefghij, 4 of 4 pods ready" in text
    assert "next: " in text


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (("spec", "method"), GONE, "has no field 'method'"),
        (("spec", "method", "metrics"), GONE, "not a method"),
        (("status", "looks", 0, "rows", "errors"), [5, 1, 0, 0], "5 bad of 1 units is impossible"),
        (("status", "looks", 0, "rows", "errors"), [0, 10**9 + 1, 0, 0], "are not four whole numbers of at most 10^9"),
    ],
)
async def test_what_is_wrong_is_said_beside_what_the_record_says_for_itself(path, to, said):
    run = page()
    changed(run, path, to)
    text = text_of(await explained(run))
    assert f"AnalysisRun {NAME} cannot be judged again: " in text
    assert said in text
    assert "it says: undecided, errors 3/180" in text


async def test_a_record_that_is_whole_is_judged_again_and_one_without_a_metric_as_far_as_it_goes():
    run = page()
    assert f"evidence after 3 looks (AnalysisRun {NAME})" in text_of(await explained(run))
    for path, to in ((("status", "verdict"), "guilty"), (("status", "looks", 0, "rows"), GONE)):
        changed(run, path, to)
        found = await explained(run)
        assert (found.problem, "  errors: canary " in text_of(found)) == ("", True)
