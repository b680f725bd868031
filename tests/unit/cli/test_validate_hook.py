"""The hook for pre-commit, and that the page about `validate` says what is so."""

import re
import shlex
from pathlib import Path

import yaml

from controller.cli import _documents, _files, _kustomize, _together
from tests import golden
from tests.unit.cli.test_validate import lines, run, written

__all__ = ["run", "written"]  # fixtures

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "controller/docs/validate.md").read_text()
(HOOK,) = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())


def test_the_hook_checks_the_repository_it_runs_in(run, written):
    program, *words = shlex.split(HOOK["entry"])
    assert (program, HOOK["pass_filenames"]) == ("pointsman", False)
    written("deploy/a.yaml", golden.release())
    assert run(*words, *HOOK["args"]).exit_code == 0
    written("deploy/a.yaml", golden.release(replicas=-1))
    result = run(*words, *HOOK["args"])
    assert result.exit_code == 1
    assert lines(result)[0].startswith("deploy/a.yaml:16: ")


def test_the_hook_runs_for_what_is_searched():
    assert all(re.search(HOOK["files"], f"deploy/a{suffix}") for suffix in _documents.SUFFIXES)
    assert not re.search(HOOK["files"], "deploy/a.yaml.orig")


def test_the_page_names_the_hook_and_the_bounds():
    assert f"id: {HOOK['id']}" in PAGE
    for number, unit in (
        (_files.MOST_BYTES >> 20, " MiB, 100,000 values"),
        (_files.MOST_FILES, " files"),
        (_documents.MOST_READ >> 20, " MiB of manifests"),
        (_documents._MOST_MADE, " values"),
        (_documents._MOST_KEPT, " stay in memory"),
        (_kustomize._LONGEST_S, " s, 4 GiB"),
        (int(_together._MOST_RENDERING_S), " s |"),
    ):
        assert f"{number:,}{unit}" in PAGE


def test_this_repositorys_own_manifests_have_no_problems(run):
    """As a stranger's CI would run it on a clone."""
    gitops = CHECKOUT / "gitops"
    files = set((gitops / "workloads").rglob("*.yaml"))
    plain = {file for file in files if "plain" in file.parts}  # the workloads once more, without a Release
    others = [gitops / "library", gitops / "demo" / "metricsource.yaml", *(gitops / "demo").glob("*/release.yaml")]
    for some in (plain, {*files - plain, *others}):
        result = run("validate", "--strict", *map(str, sorted(some)))
        assert (result.exit_code, result.stdout) == (0, "")
