"""The CRDs' own CEL rules and patterns, evaluated without an API server."""

import copy
import time

import pytest

from controller.cli import _cel, _schema, _single
from controller.cli._single import schemas
from tests import golden
from tests.unit.cli.test_validate import lines, run, written

__all__ = ["run", "written"]  # fixtures


def rules(schema, path=""):
    """With the path of each, as far as a test has to know it."""
    if isinstance(schema, dict):
        for rule in schema.get("x-kubernetes-validations", ()):
            yield path, rule
        for key, below in schema.items():
            yield from rules(below, f"{path}/{key}")


RULES = [rule for schema in schemas().values() for _, rule in rules(schema)]


def broken(raw):
    schema = schemas()[raw["kind"]]
    return [(one.path, one.problem) for one in _cel.broken_rules(schema, raw, ())]


@pytest.mark.parametrize("rule", {rule["rule"]: rule for rule in RULES}.values(), ids=lambda rule: rule["message"][:40])
def test_every_rule_of_the_crds_can_be_evaluated(rule):
    """One with an addition of Kubernetes that is not declared does not compile, and Kubernetes escapes with `__`."""
    assert "__" not in rule["rule"]
    assert "oldSelf" in rule["rule"] or _cel._compiled(rule["rule"])
    assert "messageExpression" not in rule


@pytest.mark.parametrize("file", golden.valid(), ids=lambda file: file.stem)
def test_the_rules_hold_for_what_the_api_server_accepts(file):
    assert broken(golden.load(file)) == []


BY_RULES = [case for case in golden.invalid() if any(case.expect in rule["message"] for rule in RULES)]


@pytest.mark.parametrize("case", BY_RULES, ids=lambda case: case.file.stem)
def test_a_rule_that_the_api_server_finds_broken_is_found_broken_here(case):
    assert any(case.expect in message for _, message in broken(case.raw))


def test_every_rule_is_broken_by_a_golden_manifest():
    said = {message for case in golden.invalid() for _, message in broken_unless_wrong(case.raw)}
    kept = {rule["message"] for rule in RULES if "oldSelf" not in rule["rule"]}
    assert kept - said == set()


def broken_unless_wrong(raw):
    content = {key: value for key, value in raw.items() if key != "metadata"}
    found = list(_schema.problems(schemas()[raw["kind"]], content, ""))
    return [(one.path, one.problem) for one in _cel.broken_rules(schemas()[raw["kind"]], raw, found)]


def test_a_rule_that_no_parser_knows_is_said_with_its_field(run, written, monkeypatch):
    changed = copy.deepcopy(dict(schemas()))
    replicas = changed["Release"]["properties"]["spec"]["properties"]["replicas"]
    replicas["x-kubernetes-validations"] = [{"rule": "self % 2 == 0", "message": "is an odd number"}]
    monkeypatch.setattr(_single, "schemas", lambda: changed)
    written("a.yaml", golden.release(replicas=3))
    assert lines(run("validate", "a.yaml")) == ["a.yaml:16: spec.replicas: is an odd number"]


def test_what_a_rule_and_the_parser_find_is_said_once(run, written):
    written("a.yaml", golden.release(drain={"quiet": "10m", "max": "1m"}))
    assert len(lines(run("validate", "a.yaml"))) == 1


def test_several_broken_rules_are_all_said(run, written):
    steps = [{"mirror": "5%"}, {"header": {"name": "x", "value": "y"}}, {"weight": 5}]
    written("a.yaml", golden.release(strategy={"canary": {"steps": steps, "sticky": {"cookie": "a"}}}))
    said = "\n".join(lines(run("validate", "a.yaml")))
    for rule in ("cannot copy requests", "cannot tell requests apart", "cannot keep a client with one version"):
        assert f"spec: traffic.replicas {rule}" in said


def test_a_rule_that_iterates_without_end_is_stopped():
    schema = {"x-kubernetes-validations": [{"rule": f"self.{'all(x, self.' * 6}size() > 0{')' * 6}", "message": "m"}]}
    began = time.process_time()
    (problem,) = _cel._broken(schema, list(range(300)), "spec", ())
    assert problem.problem.startswith("cannot be checked: ")
    assert time.process_time() - began < 2


def test_a_pattern_that_python_would_search_for_ever_takes_linear_time():
    began = time.process_time()
    assert not _cel.matches("^(a+)+$", "a" * 100_000 + "b")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^[a-z]+$", "a\n", False),
        (r'^["\\\d]+$', '"\\5', True),
        (r"^\d$", "٣", False),
        (r"^[^\x00-\x1f]$", "\x01", False),
        ("^.$", "😀", True),
    ],
)
def test_patterns_mean_what_they_mean_to_the_api_server(pattern, text, fits):
    assert _cel.matches(pattern, text) is fits


def test_a_line_end_after_a_name_is_refused(run, written):
    metric = {"name": "errors", "template": "http-errors\n"}
    written("a.yaml", golden.release(analysis={"metrics": [metric]}))
    assert "spec.analysis.metrics[0].template" in run("validate", "a.yaml").stdout


def test_tens_of_thousands_of_entries_are_compared_in_linear_time():
    items = [{"name": f"c{number}"} for number in range(40_000)]
    schema = {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"properties": {"name": {"type": "string"}}},
    }
    began = time.process_time()
    assert list(_schema.problems({"type": "array", **schema}, [*items, items[7]], "a"))
    assert time.process_time() - began < 5
