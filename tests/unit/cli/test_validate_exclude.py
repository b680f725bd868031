"""What `pointsman validate --exclude` leaves out of the folders that it searches."""

import pytest

from tests import golden
from tests.unit.cli.test_validate import run, written

__all__ = ["run", "written"]


@pytest.mark.parametrize(
    "exclude",
    [
        ["deploy/bad"],
        ["./deploy/bad/"],
        ["bad"],
        ["b?d"],
        ["deploy/*/release.yaml"],
        ["nothing-of-this-name", "release.yaml"],
    ],
)
def test_what_is_excluded_is_not_looked_for(run, written, exclude):
    written("deploy/web.yaml", golden.release())
    written("deploy/bad/release.yaml", golden.release("Shop"))
    assert run("validate", ".").exit_code == 1
    result = run("validate", ".", *(f"--exclude={pattern}" for pattern in exclude))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("1 checked, 0 problems")


@pytest.mark.parametrize("exclude", ["deploy/release.yaml", "release.yaml"])
def test_a_file_that_is_named_is_checked_whatever_is_excluded(run, written, exclude):
    name = written("deploy/release.yaml", golden.release("Shop"))
    assert run("validate", name, f"--exclude={exclude}").exit_code == 1


@pytest.mark.parametrize("exclude", ["release.yam", "eploy", "deploy/bad/release"])
def test_a_pattern_is_about_whole_names(run, written, exclude):
    written("deploy/bad/release.yaml", golden.release("Shop"))
    assert run("validate", "deploy", f"--exclude={exclude}").exit_code == 1
