"""What a benchmark prints, and the exit code that scripts go by."""

import json
import sys
import types

import pytest

from tests.bench import __main__ as command
from tests.bench.report import Report


@pytest.fixture
def measured(monkeypatch, capsys):
    """`measured(run, *arguments)`: exit code and last line of a benchmark that is `run`."""

    def measured(run, *arguments):
        module = types.ModuleType("storm", "Many Releases change at once.\n\nAnd so on.")
        vars(module)["run"] = run
        monkeypatch.setitem(sys.modules, "tests.bench.storm", module)
        monkeypatch.setattr(sys, "argv", ["hack/bench", "storm", *arguments])
        code = command.main()
        return code, capsys.readouterr()

    return measured


def found(took_s, **targets):
    async def run(*, small):
        return Report("storm", {"seconds": took_s}, {} if small else targets)

    return run


def test_targets_that_are_met_are_exit_code_0(measured):
    code, said = measured(found(9, seconds=("<=", 10)), "--json")
    report = json.loads(said.out.splitlines()[-1])
    assert code == 0
    assert (report["name"], report["size"], report["met"]) == ("storm", "full", True)
    assert report["measures"] == "Many Releases change at once."
    assert report["targets"] == {"seconds": ["<=", 10]}


def test_a_target_that_is_missed_is_exit_code_1(measured):
    code, said = measured(found(11, seconds=("<=", 10)), "--json")
    assert code == 1
    assert "MISSED" in said.out
    assert json.loads(said.out.splitlines()[-1])["met"] is False


def test_a_small_size_claims_no_target(measured):
    code, said = measured(found(11, seconds=("<=", 10)), "--small", "--json")
    report = json.loads(said.out.splitlines()[-1])
    assert code == 0
    assert (report["size"], report["targets"], report["met"]) == ("small", {}, None)
    assert "no target is claimed at this size" in said.out


def test_a_benchmark_that_breaks_is_no_missed_target(measured):
    async def run(*, small):
        raise KeyError("labels")

    code, said = measured(run, "--json")
    assert code == 2
    assert "KeyError: 'labels'" in said.err
    assert said.out == ""


def test_a_rate_of_requests_can_be_chosen_where_a_benchmark_has_one(measured):
    async def run(*, small, rate=500.0):
        return Report("storm", {"rate": rate}, {})

    code, said = measured(run, "--json", "--rate", "250")
    assert code == 0
    assert json.loads(said.out.splitlines()[-1])["figures"]["rate"] == 250


@pytest.mark.parametrize(
    ("rate", "sentence"), [("250", "storm has no rate of requests"), ("0", "--rate must be more than 0")]
)
def test_a_rate_that_cannot_be_is_refused(measured, capsys, rate, sentence):
    async def with_a_rate(*, small, rate=500.0): ...

    with pytest.raises(SystemExit):
        measured(found(9) if rate == "250" else with_a_rate, "--rate", rate)
    assert sentence in capsys.readouterr().err
