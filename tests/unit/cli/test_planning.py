"""`pointsman plan`: what can be seen with so much traffic."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.cli._plan_rows import Row, shown
from controller.cli.main import app
from tests import golden


@pytest.fixture
def manifest(tmp_path):
    def write(*, steps=None, metrics=("errors",), **analysis) -> Path:
        spec: dict[str, Any] = {
            "strategy": {"canary": {"steps": steps or [{"weight": 5, "analyze": {"atMost": "10m"}}, {"weight": 50}]}},
            "analysis": {"metrics": [{"name": name, "template": "http"} for name in metrics], **analysis},
        }
        path: Path = tmp_path / "release.yaml"
        path.write_text(yaml.safe_dump(golden.release(**spec)))
        return path

    return write


def plan(*arguments: object):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def planned(*arguments: object) -> dict:
    result = plan(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict = json.loads(result.stdout)
    return found


def test_each_step_and_metric_has_its_row(manifest):
    found = planned(manifest(metrics=("errors", "slow")), "--rate", 500, "--base", "1%")
    assert [(row["step"], row["metric"], row["weight"]) for row in found["rows"]] == [(1, "errors", 5), (1, "slow", 5)]
    row = found["rows"][0]
    assert row["canary_units"] == 15_000
    assert row["minutes_to_detect"]["x1.5"] > row["minutes_to_detect"]["x2"] > row["minutes_to_detect"]["x5"]
    assert row["chance_to_detect"]["x5"] == pytest.approx(1, abs=0.01)
    assert row["provable"]
    assert found["advice"] == []


def test_a_plan_that_cannot_work_is_told_in_a_sentence(manifest):
    result = plan(manifest(), "--rate", 3, "--base", "0.1%")
    assert result.exit_code == 0
    assert "errors: at 3 requests/s and 5 % a doubled rate of 0.1 % would take " in result.stdout
    assert "step 1 ends after 10 min: raise the weight or atMost" in result.stdout
    assert "errors: no worse is not proven in time; onTimeout (proceed) decides" in result.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "--rate: is required with a file, and so is --base: no cluster can be queried"),
        (("--rate", 5), "--base: is needed with the other of the two"),
        (("--base", "1%"), "--rate: is needed with the other of the two"),
    ],
)
def test_a_file_needs_both_figures(manifest, options, sentence):
    result = plan(manifest(), *options)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_limit_is_foreseen_in_a_sentence(manifest):
    limited = [{"name": "floor", "template": "http", "limit": {"max": "2%"}}]
    path = manifest()
    raw = yaml.safe_load(path.read_text())
    raw["spec"]["analysis"]["metrics"] = limited
    path.write_text(yaml.safe_dump(raw))
    found = planned(path, "--rate", 500, "--base", "0.1%")
    assert found["rows"] == []
    # ln(100) nats at 0.02 · (2 ln 2 − 1) a unit, 125 units a look of 5 s
    assert found["advice"] == ["floor: a canary at twice its limit of 2.00% is found in 24 s at 5 % of the work"]


def test_a_slack_takes_away_what_is_within_it(manifest):
    path = manifest()
    raw = yaml.safe_load(path.read_text())
    raw["spec"]["analysis"]["metrics"][0]["margin"] = {"slack": "1%"}
    path.write_text(yaml.safe_dump(raw))
    (row,) = planned(path, "--rate", 500, "--base", "0.5%")["rows"]
    # 1.1 times 0.5 % and 1 % more are tolerated: twice as bad is no news, five times is
    assert row["minutes_to_detect"]["x2"] is None
    assert row["chance_to_detect"]["x2"] == 0
    assert 0 < row["minutes_to_detect"]["x5"] < 5
    assert row["provable"]


def test_what_the_margin_tolerates_is_never_detected(manifest):
    path = manifest()
    raw = yaml.safe_load(path.read_text())
    raw["spec"]["analysis"]["metrics"][0]["margin"] = {"rollbackAbove": 3}
    path.write_text(yaml.safe_dump(raw))
    row = planned(path, "--rate", 500, "--base", "1%")["rows"][0]
    assert (row["minutes_to_detect"]["x2"], row["chance_to_detect"]["x2"]) == (None, 0)
    assert row["minutes_to_detect"]["x5"] is not None


def test_nothing_to_judge_is_said(manifest):
    result = plan(manifest(steps=[{"weight": 5}]), "--rate", 50, "--base", "1%")
    assert (result.exit_code, result.stdout.startswith("nothing is judged")) == (0, True)


@pytest.mark.parametrize("options", [("0", "1%"), ("nan", "1%"), ("50", "0%"), ("50", "100%"), ("50", "much")])
def test_wrong_use_is_one_sentence(manifest, options):
    result = plan(manifest(), "--rate", options[0], "--base", options[1])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert plan("/nowhere.yaml", "--rate", 5, "--base", "1%").exit_code == 2


def test_where_the_table_does_not_fit_each_row_is_in_words():
    row = Row(
        step=2,
        weight=50.0,
        metric="errors",
        at_most_s=60.0,
        canary_units=300,
        minutes_to_detect={"x2": 29.0, "x5": None},
        chance_to_detect={"x2": 0.25, "x5": 0.0},
        minutes_to_prove=1.5,
        provable=False,
    )
    assert len(shown([row], 200)) == 2
    assert shown([row], 60) == [
        "step 2, 50%, errors: 300 units",
        "  found (chance): x2 29 min (25%), x5 never (0%)",
        "  proof: 90 s",
    ]
    assert shown([], 60) == []


def test_a_switch_is_planned_by_what_was_before_and_without_a_promise(tmp_path):
    metrics = [{"name": "errors", "template": "http"}, {"name": "floor", "template": "http", "limit": {"max": "2%"}}]
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(golden.release(strategy={"blueGreen": {}}, analysis={"metrics": metrics})))
    said = planned(path, "--rate", 50, "--base", "0.1%")["advice"]
    assert said[0].startswith("before the switch nothing is compared")
    assert said[1].startswith("errors: about 0.70% bad in two looks in a row switches back (stable has 0.10%)")
    assert said[2].startswith("floor: a new version at twice its limit")


def planned_of(tmp_path, strategy, *metrics):
    path = tmp_path / "release.yaml"
    traefik = {"traefik": {"parentRefs": [{"name": "public"}]}}
    path.write_text(yaml.safe_dump(golden.release(traffic=traefik, strategy=strategy, analysis={"metrics": metrics})))
    return planned(path, "--rate", 50, "--base", "1%")


ERRORS = {"name": "errors", "template": "http"}
FLOOR = {"name": "floor", "template": "http", "limit": {"max": "2%"}}
COPIES = {"mirror": "10%", "analyze": {"atMost": "10m"}}


def test_copies_are_planned_as_a_share_of_all_requests_and_what_is_beside_them(tmp_path):
    found = planned_of(tmp_path, {"canary": {"steps": [COPIES, {"weight": 5}]}}, ERRORS)
    (row,) = found["rows"]
    assert (row["step"], row["weight"], row["copies"], row["canary_units"]) == (1, 10, True, 3000)
    result = plan(tmp_path / "release.yaml", "--rate", 50, "--base", "1%")
    assert "10% of copies" in result.stdout


def test_a_preview_that_is_judged_has_half_of_the_budget_and_says_so(tmp_path):
    half = planned_of(tmp_path, {"blueGreen": {"steps": [COPIES]}}, ERRORS)
    assert half["advice"][0].startswith("before the switch copies are compared, with half of maxFalseRollback")
    whole = planned_of(tmp_path, {"canary": {"steps": [COPIES, {"weight": 5}]}}, ERRORS)
    later, sooner = (found["rows"][0]["minutes_to_detect"]["x2"] for found in (half, whole))
    assert later > sooner


def test_requests_with_a_header_are_planned_by_limits(tmp_path):
    steps = [{"header": {"name": "x-canary", "value": "1"}, "analyze": {"atMost": "10m"}}]
    found = planned_of(tmp_path, {"blueGreen": {"steps": steps}}, FLOOR)
    assert found["rows"] == []
    assert "requests with the header are held to limits" in found["advice"][0]


def test_the_price_of_a_fresh_baseline_is_told_in_time_both_ways(manifest):
    steps = [{"weight": 5, "analyze": {"atMost": "10m"}}]
    path = manifest(steps=steps)
    before = planned(path, "--rate", 100, "--base", "1%")
    raw = yaml.safe_load(path.read_text())
    raw["spec"]["strategy"]["canary"]["baseline"] = "fresh"
    raw["spec"]["traffic"] = {"gatewayAPI": {"parentRefs": [{"name": "public"}]}}
    path.write_text(yaml.safe_dump(raw))
    found = planned(path, "--rate", 100, "--base", "1%")
    (old,), (new,) = before["rows"], found["rows"]
    assert new["canary_units"] == old["canary_units"]
    assert new["minutes_to_detect"]["x2"] > 1.4 * old["minutes_to_detect"]["x2"]
    assert new["minutes_to_prove"] > 1.4 * old["minutes_to_prove"]
    (said,) = [one for one in found["advice"] if "baseline: fresh" in one]
    assert said.startswith("errors: baseline: fresh compares with as much new work as the canary has")
    assert " instead of " in said
    assert not [one for one in before["advice"] if "baseline" in one]
