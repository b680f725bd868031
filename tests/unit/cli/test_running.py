"""What `pointsman run` says when it ends by itself."""

import pytest
from typer.testing import CliRunner

from controller.cli.main import app
from controller.kube.client import KindsGoneError, UnavailableError
from controller.kube.lease import LeaseLostError
from controller.runtime import operator

LOST = LeaseLostError("the Lease was not renewed")
GONE = KindsGoneError("the CRDs of releases were deleted")
AGAIN = "stopping, to wait for them at the next start"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (LOST, "pointsman: the Lease was not renewed; stopping, so that two never lead"),
        (UnavailableError(503, "Unavailable", "no answer"), "pointsman: the API server refused: no answer"),
        (
            BaseExceptionGroup("", [ExceptionGroup("", [GONE])]),
            f"pointsman: the CRDs of releases were deleted; {AGAIN}",
        ),
        (
            ExceptionGroup("", [GONE, GONE, LOST]),
            f"pointsman: {GONE}; {AGAIN}; {LOST}; stopping, so that two never lead",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(monkeypatch, problem, said):
    ended = run_that_ends_with(monkeypatch, problem)
    assert ended.exit_code == 1
    assert (ended.output.strip() or str(ended.exception)) == said


def test_a_defect_keeps_its_trace(monkeypatch):
    group = ExceptionGroup("", [LOST, KeyError("web")])
    assert run_that_ends_with(monkeypatch, group).exception is group


def run_that_ends_with(monkeypatch, problem):
    async def run(*_):
        raise problem

    monkeypatch.setattr(operator, "run", run)
    return CliRunner().invoke(app, ["run", "--namespace", "default"])
