"""`pointsman validate` for machines: forms of its output, and what a stranger could write into them."""

import json
import stat

import pytest
import yaml

from controller.cli import _kustomize
from tests import golden
from tests.unit.cli.test_validate import lines, run, written

__all__ = ["run", "written"]  # fixtures

WRONG = golden.release(replicas=-1)


def test_github_gets_an_annotation_for_each_line(run, written):
    written("deploy/a,b.yaml", WRONG)
    result = run("validate", "--output", "github", "deploy")
    assert result.exit_code == 1
    assert lines(result) == [
        "::error file=deploy/a%2Cb.yaml,line=16,title=Release shop::spec.replicas: -1 is not between 0 and 10000"
    ]


def test_gitlab_gets_a_code_quality_report(run, written):
    written("deploy/a.yaml", WRONG, golden.release("Other", replicas=-1))
    issues = json.loads(run("validate", "--output", "gitlab", "deploy").stdout)
    assert issues[0]["location"] == {"path": "deploy/a.yaml", "lines": {"begin": 16}}
    assert issues[0]["severity"] == "major"
    assert issues[0]["description"].startswith("Release shop: spec.replicas: ")
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 3


def test_without_problems_gitlab_gets_an_empty_report(run, written):
    written("a.yaml", golden.release())
    assert json.loads(run("validate", "-o", "gitlab", "a.yaml").stdout) == []


def test_code_scanning_gets_sarif(run, written):
    written("deploy/a b.yaml", WRONG)
    said = json.loads(run("validate", "--output", "sarif", "deploy").stdout)
    assert said["version"] == "2.1.0"
    (scan,) = said["runs"]
    (result,) = scan["results"]
    assert result["ruleId"] == scan["tool"]["driver"]["rules"][0]["id"]
    assert result["level"] == "error"
    assert result["message"]["text"] == "Release shop: spec.replicas: -1 is not between 0 and 10000"
    where = result["locations"][0]["physicalLocation"]
    assert where["artifactLocation"] == {"uri": "deploy/a%20b.yaml", "uriBaseId": "%SRCROOT%"}
    assert where["region"] == {"startLine": 16}
    assert len(result["partialFingerprints"]["pointsman/v1"]) == 64


def test_without_problems_sarif_has_no_results(run, written):
    """Then code scanning closes the alerts of before."""
    written("a.yaml", golden.release())
    result = run("validate", "-o", "sarif", "a.yaml")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["runs"][0]["results"] == []


@pytest.mark.parametrize("form", ["text", "github"])
def test_a_key_with_a_line_end_starts_no_line_of_its_own(run, written, form):
    """A runner of GitHub Actions obeys lines that start with `::`."""
    written("a.yaml", {**WRONG, "spec": {**WRONG["spec"], "x\n::add-mask::y": 1}})
    said = lines(run("validate", "-o", form, "a.yaml"))
    assert not any(line.startswith("::add-mask") for line in said)
    assert any("x\\n::add-mask::y" in line for line in said)


def test_a_file_whose_name_is_a_command_is_not_one(run, written):
    written("::add-mask::a.yaml", WRONG)
    assert lines(run("validate", "::add-mask::a.yaml"))[0].startswith("./::add-mask::a.yaml:16: ")


def test_a_value_as_long_as_its_file_is_cut(run, written):
    written("a.yaml", golden.release(replicas="x" * 1_000_000))
    (line,) = lines(run("validate", "a.yaml"))
    assert len(line) < 700


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_lines_are_right_over_documents_line_ends_and_marks(run, tmp_path, mark, end):
    text = "# one\n---\n# two\n" + yaml.safe_dump(golden.release()) + "---\n" + yaml.safe_dump(WRONG, sort_keys=False)
    (tmp_path / "a.yaml").write_bytes((mark + text).replace("\n", end).encode())
    number = text.splitlines().index("  replicas: -1") + 1
    assert lines(run("validate", "a.yaml"))[-1].startswith(f"a.yaml:{number}: spec.replicas: ")


def test_a_tab_is_said_at_its_line(run, tmp_path):
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: x\nmetadata:\n\tname: a\n")
    (line,) = lines(run("validate", "a.yaml"))
    assert line.startswith("a.yaml:4: is not valid YAML: ")


# -- folders --------------------------------------------------------------------------------------------------------


def test_other_yaml_of_a_folder_is_left_alone(run, written):
    written("deploy/release.yaml", golden.release())
    written("deploy/chart/templates/web.yaml", "apiVersion: v1\n{{- if .Values.web }}\n")
    written("deploy/ci.yaml", "- !reference [a, b]\n")
    written("deploy/compose.yaml", "services: {a: &a [1}\n")
    result = run("validate", "deploy")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Not checked: deploy/chart/templates/web.yaml is not valid YAML: " in result.stderr


def test_broken_yaml_with_an_object_of_ours_is_a_problem_in_a_folder_too(run, written):
    written("deploy/release.yaml", "apiVersion: pointsman.dev/v1alpha1\nkind: {{ .Values.kind }}\n")
    assert run("validate", "deploy").exit_code == 1


def test_the_same_name_in_another_folder_is_another_overlay(run, written):
    written("staging/release.yaml", golden.release())
    written("production/release.yaml", golden.release())
    assert run("validate", ".").exit_code == 0


def test_a_patch_of_kustomize_is_a_part_and_left_out(run, written):
    written("base/release.yaml", golden.release())
    part = {"apiVersion": "pointsman.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}}
    written("overlay/strategy.yaml", {**part, "spec": {"replicas": 3}})
    written("overlay/old.yaml", {**part, "spec": {"suspend": True}})
    patches = {"patches": [{"path": "./strategy.yaml"}], "patchesStrategicMerge": ["../overlay/old.yaml"]}
    written("overlay/kustomization.yaml", {"resources": ["../base"], **patches})
    result = run("validate", ".")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Not checked: overlay/strategy.yaml is a patch of overlay/kustomization.yaml: -k overlay applies it." in (
        result.stderr
    )


# -- kustomize ------------------------------------------------------------------------------------------------------


@pytest.fixture
def kustomize(tmp_path, monkeypatch):
    """Puts a program in kustomize's place."""

    def put(script):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / "kustomize"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    return put


def test_what_kustomize_makes_is_checked(run, written, kustomize, tmp_path):
    written("made.yaml", golden.release(), WRONG)
    kustomize(f'[ "$*" = "build overlays/a" ] && cat {tmp_path}/made.yaml')
    result = run("validate", "-k", "overlays/a")
    assert lines(result)[-1].startswith("overlays/a (kustomize):32: spec.replicas: ")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "echo 'Error: no such base' >&2; exit 1",
            "kustomize refuses it (remote resources are not fetched): Error",
        ),
        ("head -c 3000000 /dev/zero | tr '\\0' a", "kustomize makes more than 2 MiB of it"),
        ("sleep 60", "kustomize took more than 1 s"),
        ("cat /dev/zero", "kustomize "),
    ],
)
def test_what_kustomize_cannot_make_is_said(run, kustomize, monkeypatch, script, sentence):
    monkeypatch.setattr(_kustomize, "_LONGEST_S", 1)
    kustomize(script)
    result = run("validate", "-k", "overlay")
    assert result.exit_code == 2
    assert f"pointsman validate: overlay: {sentence}" in result.stderr


def test_kustomize_gets_no_secret_and_no_network(run, kustomize, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2")
    kustomize('env | grep -q hunter2 && exit 1\n[ "$HTTPS_PROXY$GIT_ALLOW_PROTOCOL" = http://127.0.0.1:9none ]')
    assert run("validate", "-k", "overlay").exit_code == 0


def test_without_kustomize_that_is_said(run, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("validate", "-k", "overlay")
    assert result.exit_code == 2
    assert "-k needs `kustomize` or `kubectl`, and neither is there" in result.stderr
