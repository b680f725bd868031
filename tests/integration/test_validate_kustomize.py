"""`pointsman validate -k`, with the kustomize that is in kubectl."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli.main import application
from hack.node import build

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def validate(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(build.program("kubectl"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    return lambda *arguments: CliRunner().invoke(application("offline"), ["validate", *map(str, arguments)])


@pytest.mark.parametrize("folder", ["gitops/library", "gitops/demo/invitations", "gitops/demo/worker"])
def test_what_is_shipped_is_right_as_kustomize_makes_it(validate, folder):
    result = validate("-k", CHECKOUT / folder)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert not result.stderr.startswith("0 checked")


@pytest.mark.parametrize(
    ("kustomization", "sentence"),
    [
        ("resources: ['https://example.com/release.yaml']", "is refused: "),
        ("resources: ['SSH://git@example.com/team/base?ref=v1']", "nothing is fetched from elsewhere"),
        ("resources: [../base]", "base/kustomization.yaml names https://example.com/x"),
        ("Components: [https://example.com/x]", "has Components; write components"),
        ("transformers: [a.yaml]", "uses transformers, which Pointsman does not run"),
        ("resources: [example.com/team/base]", "kustomize refuses it (remote resources are not fetched): "),
        ("resources: [../outside.yaml]", "is not in or below"),
        ("resources: [.]", "cycle detected"),
    ],
)
def test_nothing_is_fetched_and_nothing_is_read_from_outside(validate, tmp_path, kustomization, sentence):
    (tmp_path / "outside.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "kustomization.yaml").write_text("crds: [https://example.com/x]\n")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(f"{kustomization}\n")
    result = validate("-k", tmp_path / "overlay")
    assert result.exit_code == 2
    assert sentence in result.stderr
