"""`pointsman replay`: what was recorded, judged again, gives the same look and the same verdict."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from controller.cli.main import app
from controller.stats.counts import Counts, Look
from controller.stats.evidence import Verdict
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan, plan_to_raw
from tests.golden import valid as golden

HEADER = "look,metric,threshold,canary_bad,canary_total,stable_bad,stable_total"
TEXTBOOK = ("--max-false-rollback", "1%", "--ratio", "1", "--looks", "60", "--no-guards", "--no-promotion")


def valid(name: str) -> str:
    return next(file for file in golden() if file.stem == name).read_text()


def replay(*arguments: object):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def objects(*arguments: object) -> tuple[list[dict], dict]:
    """The lines of the looks, and the file's."""
    result = replay(*arguments, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return lines[:-1], lines[-1]


@pytest.fixture
def csv(tmp_path):
    def write(*rows: str, header: str = HEADER, name: str = "looks.csv") -> Path:
        path: Path = tmp_path / name
        path.write_text("\n".join((header, *rows)) + "\n")
        return path

    return write


def run_of(plan: AnalysisPlan, looks: list[Look]) -> dict:
    document: dict = yaml.safe_load(valid("analysisrun"))
    document["spec"]["method"] = plan_to_raw(plan)
    document["status"]["looks"] = [
        {
            "n": look.number,
            "from": "2030-01-31T12:00:00.000000Z",
            "to": "2030-01-31T12:00:05.000000Z",
            "weight": look.weight,
            "rows": {
                name: [c.canary_bad, c.canary_total, c.stable_bad, c.stable_total] for name, c in look.rows.items()
            },
        }
        for look in looks
    ]
    return document


def test_each_look_has_its_line_and_the_file_has_one(csv):
    path = csv("1,errors,,0,50,1,950", "2,errors,,9,50,1,950", "3,errors,,1,50,1,950")
    looks, release = objects(path, *TEXTBOOK)
    assert [one["verdict"] for one in looks] == ["undecided", "regression", "regression"]
    assert list(looks[0]) == ["file", "look", "metric", "threshold", "s", "boundary", "spent", "verdict"]
    assert (looks[1]["s"], looks[1]["boundary"], looks[1]["threshold"]) == (9, 5, None)
    assert release == {"file": str(path), "release": "regression", "look": 2}


def test_the_text_has_the_same_numbers(csv):
    result = replay(csv("1,errors,,0,50,1,950", "2,errors,,9,50,1,950"), *TEXTBOOK)
    assert result.exit_code == 0
    assert "release: regression at look 2" in result.stdout
    assert "at most 1.00% false rollbacks, 60 looks" in result.stdout


@pytest.mark.parametrize("form", ["yaml", "json", "list", "pages"])
def test_an_analysisrun_gives_the_look_and_the_verdict_of_the_live_run(tmp_path, form):
    rng = np.random.default_rng(5)
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1, 1.5), MetricPlan("slow/0.3", 1.25, 1.5)))
    judge, looks, convicted = Judge(plan), [], None
    for number in range(1, 40):
        bad = [int(rng.binomial(*pair)) for pair in ((250, 0.03), (4750, 0.01), (250, 0.02), (4750, 0.02))]
        rows = {"errors": Counts(bad[0], 250, bad[1], 4750), "slow/0.3": Counts(bad[2], 250, bad[3], 4750)}
        looks.append(Look(number, number, number + 1, 5.0, rows))
        judge.add(looks[-1])
        if convicted is None and judge.evidence().regression is not None:
            convicted = number
    assert convicted is not None
    document = run_of(plan, looks)
    path = tmp_path / f"run.{'json' if form == 'json' else 'yaml'}"
    if form == "pages":
        first, second = run_of(plan, looks[:20]), run_of(plan, looks[20:])
        second["spec"]["page"] = 1
        path.write_text(yaml.safe_dump_all([second, first]))
    elif form == "list":
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [document]}))
    else:
        path.write_text(json.dumps(document) if form == "json" else yaml.safe_dump(document))
    lines, release = objects(path)
    assert release == {"file": str(path), "release": "regression", "look": convicted}
    assert lines[-1]["threshold"] == 0.3
    ours = {metric.name: metric.standing for metric in judge.evidence().metrics}
    assert [line["s"] for line in lines[-2:]] == [ours["errors"].bad, ours["slow/0.3"].bad]
    assert [line["spent"] for line in lines[-2:]] == [ours["errors"].spent, ours["slow/0.3"].spent]


def test_looks_at_copies_are_judged_again_and_a_release_that_is_previewed_has_half_of_the_budget(tmp_path):
    plan = AnalysisPlan(0.005, 5, (MetricPlan("errors", 1.1),))
    rows = [{"errors": Counts(bad, 100, 2, 1000)} for bad in (0, 20)]
    looks = [Look(number, number, number + 1, 0.0, row, copied=10.0) for number, row in enumerate(rows, start=1)]
    document = run_of(plan, looks)
    for raw in document["status"]["looks"]:
        raw["copies"] = 10
    path, release = tmp_path / "run.yaml", tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(document))
    release.write_text(valid("release-judged-without-work"))
    for arguments in ((), ("--release", release)):
        assert objects(path, *arguments)[1]["look"] == 2
        assert "at most 0.50% false rollbacks" in replay(path, *arguments).stdout


def test_proof_of_no_worse_is_told_unless_it_is_not_wanted(csv):
    path = csv(*(f"{look},errors,,10,1000,100,10000" for look in range(1, 61)))
    looks, release = objects(path)
    assert release["release"] == "no-worse"
    assert looks[release["look"] - 1]["verdict"] == "no-worse"
    assert looks[release["look"] - 2]["verdict"] == "undecided"
    assert objects(path, "--no-promotion")[1] == {"file": str(path), "release": "undecided", "look": None}


def test_the_settings_of_a_release_are_used_and_thresholds_share_their_metrics_part(csv, tmp_path):
    release = tmp_path / "release.yaml"
    release.write_text(valid("release-full"))
    rows = [f"1,{name},{threshold},9,10,1,10" for name, threshold in (("errors", ""), ("slow", 0.1), ("slow", 1))]
    looks, _ = objects(csv(*rows), "--release", release)
    assert [(one["metric"], one["threshold"]) for one in looks] == [("errors", None), ("slow", 0.1), ("slow", 1)]
    result = replay(csv("1,other,,0,1,0,1"), "--release", release)
    assert result.exit_code == 2
    assert "'other' is not in the Release (there are: errors, slow, floor)" in result.stderr


def test_guards_hold_back_and_can_be_left_out(csv):
    path = csv("1,errors,,4,4,0,996")
    assert objects(path)[1]["release"] == "undecided"
    assert "held back" in replay(path).stdout
    assert objects(path, "--no-guards")[1]["release"] == "regression"


def test_looks_without_units_are_no_data(csv):
    assert objects(csv("1,errors,,0,0,0,0"))[1]["release"] == "no-data"


def test_hundreds_of_files_are_one_call_and_a_bad_one_does_not_hide_the_others(csv, tmp_path):
    for number in range(150):
        csv("1,errors,,0,50,1,950", "2,errors,,9,50,1,950", name=f"{number:03}.csv")
    csv("1,errors,,-1,50,1,950", name="zzz.csv")
    result = replay(tmp_path, "--json", *TEXTBOOK)
    assert result.exit_code == 2
    assert result.stdout.count('"release": "regression", "look": 2') == 150
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2,errors,,-1,50,1,950", "3: canary_bad: '-1' is not a whole number"),
        ("2,errors,,1.5,50,1,950", "3: canary_bad: '1.5' is not a whole number"),
        ("2,errors,,1,NaN,1,950", "3: canary_total: 'NaN' is not a whole number"),
        ("2,errors,,1,,1,950", "3: canary_total: '' is not a whole number"),
        ("2,errors,,51,50,1,950", "3: canary_bad: 51 bad of 50 units is impossible"),
        ("2,errors,,1,50,951,950", "3: stable_bad: 951 bad of 950 units is impossible"),
        ("0,errors,,1,50,1,950", "3: look: 0 comes after 1"),
        ("1,errors,,1,50,1,950", "3: metric: 'errors' is given twice in look 1"),
        ("2,,,1,50,1,950", "3: metric: '' is not the name of a metric"),
        ("2,errors,,1,50,1", "3: has not the 7 values that the first line names"),
        ("2,errors,,1,50,1,950,8", "3: has not the 7 values that the first line names"),
    ],
)
def test_a_row_that_cannot_be_meant_is_told_with_line_and_field(csv, row, said):
    path = csv("1,errors,,0,50,1,950", row)
    result = replay(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"pointsman replay: {path}:{said}\n" or result.stderr.startswith(
        f"pointsman replay: {path}:{said}"
    )


@pytest.mark.parametrize("weight", ["140", "-1", "nan", "much"])
def test_a_weight_out_of_range_is_an_error(csv, weight):
    result = replay(csv(f"1,errors,,0,50,1,950,{weight}", header=f"{HEADER},weight"))
    assert result.exit_code == 2
    assert f":2: weight: '{weight}' is not a percentage between 0 and 100" in result.stderr
    assert objects(csv("1,errors,,0,50,1,950,5%", header=f"{HEADER},weight"))[1]["release"] == "undecided"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: is empty"),
        (HEADER, ":1: is empty"),
        ("look,metric\n1,errors\n", ":1: canary_bad: this column is missing"),
        ("apiVersion: v1\nkind: Pod\n", ":1: kind: there is no AnalysisRun in it"),
        ("{", ":1: is not valid JSON"),
    ],
)
def test_a_file_without_looks_is_an_error(tmp_path, text, said):
    path = tmp_path / "looks.csv"
    path.write_text(text)
    result = replay(path)
    assert result.exit_code == 2
    assert f"{path}{said}" in result.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 0}, "status.looks[0].n: 0 comes after 0"),
        ({"weight": 140}, "status.looks[0]: is not a look: weight: 140"),
        ({"rows": {"errors": [6, 5, 0, 5]}}, "6 bad of 5 units is impossible"),
        ({"rows": {"errors": [0.5, 5, 0, 5]}}, "rows.errors: [0.5, 5, 0, 5] are not four whole numbers"),
        ({"n": "one"}, "n: 'one' is not a whole number"),
    ],
)
def test_an_analysisrun_that_cannot_be_meant_is_told_with_its_line(tmp_path, change, said):
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),))
    document = run_of(plan, [Look(1, 0, 5, 5, {"errors": Counts(0, 5, 0, 5)})])
    document["status"]["looks"][0] |= change
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    result = replay(path)
    assert result.exit_code == 2
    assert said in result.stderr
    line = int(result.stderr.removeprefix(f"pointsman replay: {path}:").partition(":")[0])
    assert line > 20


def test_an_error_rate_of_more_than_one_half_is_no_promise(tmp_path):
    document = run_of(AnalysisPlan(0.7, 5, (MetricPlan("errors", 1.1),)), [])
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    assert "spec.method.alpha: 0.7 is not above 0 and at most 0.5" in replay(path).stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--max-false-rollback", "0%"),
        ("--max-false-rollback", "51%"),
        ("--max-false-rollback", "nan"),
        ("--ratio", "nan"),
        ("--ratio", "0"),
        ("--looks", "0"),
        ("--release", "/nowhere.yaml"),
    ],
)
def test_wrong_use_is_one_sentence(csv, options):
    result = replay(csv("1,errors,,0,50,1,950"), *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


def test_a_file_that_is_not_there_is_wrong_use():
    result = replay("/nowhere.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_regression_after_a_proof_ends_the_release(csv):
    good = [f"{look},errors,,10,1000,100,10000" for look in range(1, 61)]
    lines, release = objects(csv(*good, "61,errors,,900,1000,100,10000"))
    assert lines[59]["verdict"] == Verdict.NO_WORSE.value
    assert release["look"] == 61
