"""A stranger's pull request: nothing in it makes `validate` hang, fill the memory or read what is not its own."""

import os
import time

import pytest

from controller.cli import _documents, _files, _together
from tests import golden
from tests.unit.cli.test_bad_input import HEAD, bomb, cost
from tests.unit.cli.test_validate import SOURCE, lines, measured, run, template, written

__all__ = ["run", "written"]  # fixtures


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """CPU seconds and MiB of a command that finds nothing."""
    empty = tmp_path_factory.mktemp("usual") / "empty.yaml"
    empty.touch()
    return cost("validate", str(empty))


def assert_bounded(usual, folder, *, seconds, mib=350):
    used = cost("validate", str(folder))
    assert used[0] - usual[0] <= 2 * seconds, "twice what is promised, on a machine that is busy with other tests"
    assert used[1] <= mib


def test_a_hundred_thousand_files_take_seconds(usual, tmp_path):
    for number in range(100):
        source = tmp_path / f"source{number // 50}"  # a file has 65,000 names at the most
        source.write_text("a: 1\n")
        folder = tmp_path / "deploy" / str(number)
        folder.mkdir(parents=True)
        for name in range(1_000):
            os.link(source, folder / f"{name}.yaml")
    assert_bounded(usual, tmp_path / "deploy", seconds=15)


def test_more_files_than_that_are_refused(run, written, monkeypatch):
    monkeypatch.setattr(_files, "MOST_FILES", 3)
    for number in range(4):
        written(f"deploy/{number}.yaml", "a: 1\n")
    result = run("validate", "deploy")
    assert result.exit_code == 2
    assert "deploy: holds more than 3 manifests: name the folders in it" in result.stderr


def test_more_entries_than_that_are_refused(run, written, monkeypatch):
    monkeypatch.setattr(_files, "_MOST_ENTRIES", 3)
    for number in range(4):
        written(f"deploy/{number}.txt", "a: 1\n")
    assert run("validate", "deploy").exit_code == 2


@pytest.mark.parametrize(("bound", "least"), [("read", 500), ("made", 60), ("kept", 60)])
def test_all_files_together_are_bounded(run, written, monkeypatch, bound, least):
    fresh = _documents.Allowance.__init__

    def small(self):
        fresh(self, **{bound: least})

    monkeypatch.setattr(_documents.Allowance, "__init__", small)
    written("one/a.yaml", golden.release())
    assert run("validate", "one").exit_code == 0
    for name in "bcd":
        written(f"one/{name}.yaml", golden.release(name))
    result = run("validate", "one")
    assert result.exit_code == 2
    assert "name fewer of them at a time" in result.stderr


def test_what_refused_files_stand_for_counts_too(run, written, monkeypatch):
    monkeypatch.setattr(_documents, "_MOST_VALUES", 1_000)
    monkeypatch.setattr(_documents.Allowance.__init__, "__defaults__", (10**6, 2_500, 10**6))
    for name in "abc":
        written(f"bombs/{name}.yaml", f"apiVersion: v1\n{bomb('[{}]')}")
    assert run("validate", "bombs").exit_code == 2
    written("bombs/a.yaml", "a: 1\n")
    assert run("validate", "bombs").exit_code == 0


def test_a_template_with_all_that_a_file_can_hold_takes_seconds(usual, tmp_path):
    fields = "".join(f"      k{number}: [1, 2]\n" for number in range(30_000))
    text = HEAD + "  traffic: {replicas: {}}\n  service: {ports: [{port: 80}]}\n  template:\n    spec:\n" + fields
    (tmp_path / "a.yaml").write_text(text)
    assert_bounded(usual, tmp_path, seconds=5)


def test_thousands_of_objects_that_name_each_other_take_seconds(usual, tmp_path):
    each = "apiVersion: {}\nkind: {}\nmetadata: {{name: {}, namespace: {}}}\nspec: {}\n---\n"
    pods = "{template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: 'a:1'}]}}, "
    release = pods + "service: {ports: [{port: 80}]}, traffic: {replicas: {}}}"
    service = "{selector: {app: a}}"
    own, count = "pointsman.dev/v1alpha1", 500
    (tmp_path / "a.yaml").write_text("".join(each.format(own, "Release", "a", f"n{n}", release) for n in range(count)))
    (tmp_path / "b.yaml").write_text("".join(each.format("v1", "Service", "b", f"m{n}", service) for n in range(3_000)))
    assert_bounded(usual, tmp_path, seconds=20)


def test_templates_that_loop_share_a_time(run, written, monkeypatch):
    monkeypatch.setattr(_together, "_MOST_RENDERING_S", 0.5)
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    named = [{**template(f"{loops}{n}"), "metadata": {"name": f"t{n}"}} for n in range(30)]
    written("a.yaml", *named, SOURCE)
    began = time.monotonic()
    result = run("validate", "a.yaml")
    assert time.monotonic() - began < 20
    assert result.exit_code == 1
    assert "spec.query: not tried: the templates before it took 0.5 s" in result.stdout


def test_links_pipes_and_devices_of_a_folder_are_not_opened(run, written, tmp_path):
    written("deploy/release.yaml", golden.release())
    (tmp_path / "secret.yaml").write_text("apiVersion: v1\nkind: secret\n")
    (tmp_path / "outside").mkdir()
    deploy = tmp_path / "deploy"
    (deploy / "loop").symlink_to(deploy)
    (deploy / "self.yaml").symlink_to(deploy / "self.yaml")
    (deploy / "again.yaml").symlink_to(deploy / "release.yaml")
    (deploy / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (deploy / "away").symlink_to(tmp_path / "outside")
    (deploy / "zero.yaml").symlink_to("/dev/zero")
    os.mkfifo(deploy / "pipe.yaml")
    result = run("validate", "deploy")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("1 checked, 0 problems, 0 of other kinds skipped.")
    assert "Not checked: deploy/out.yaml is a link that leads out of the folder." in result.stderr
    assert "deploy/away is a link" in result.stderr
    assert "deploy/zero.yaml is a link" in result.stderr


def test_a_link_that_leads_out_is_refused_where_it_is_named(run, written, tmp_path, monkeypatch):
    written("deploy/release.yaml", golden.release())
    (tmp_path / "secret.yaml").write_text("a: secret\n")
    (tmp_path / "deploy" / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (tmp_path / "deploy" / "in.yaml").symlink_to(tmp_path / "deploy" / "release.yaml")
    monkeypatch.chdir(tmp_path / "deploy")
    result = run("validate", "out.yaml")
    assert result.exit_code == 2
    assert f"out.yaml: is a link that leads out of this folder: name {tmp_path / 'secret.yaml'} itself" in result.stderr
    assert run("validate", "in.yaml").exit_code == 0
    assert run("validate", str(tmp_path / "deploy" / "release.yaml"), "../deploy/release.yaml").exit_code == 0


def test_what_git_keeps_for_itself_is_not_searched(run, written):
    written("deploy/.git/refs/heads/a.yaml", "apiVersion: pointsman.dev/v1alpha1\n")
    written("deploy/a.yaml", golden.release())
    assert run("validate", "deploy").exit_code == 0


def test_a_large_lock_file_of_a_folder_is_left_out(run, written, tmp_path):
    written("deploy/a.yaml", golden.release())
    (tmp_path / "deploy" / "package-lock.json").touch()
    os.truncate(tmp_path / "deploy" / "package-lock.json", 3 * 2**20)
    result = run("validate", "deploy")
    assert result.exit_code == 0
    assert "Not checked: deploy/package-lock.json is 3.0 MiB, maximum is 2 MiB: split it." in result.stderr


def test_a_release_with_very_many_metrics_and_problems_is_bounded(run, written):
    metrics = [{"name": f"m{n}", "template": "http-errors", "parameters": {"x": "y" * 100}} for n in range(500)]
    written("a.yaml", measured() | {"spec": {**golden.release()["spec"], "analysis": {"metrics": metrics}}})
    assert len(lines(run("validate", "a.yaml"))) <= 25
