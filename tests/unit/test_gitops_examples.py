"""What `gitops/example`, `gitops/flux` and `gitops/argocd` show holds together, and with the code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import registry
from controller.api.names import API_VERSION
from controller.api.release import parse_release
from controller.api.resources import RELEASES
from controller.git.manifests import Identity, find, revisions
from tests.git_server import Origin
from tests.unit.git.story import ORDER, carried_out

CHECKOUT = Path(__file__).resolve().parents[2]
GITOPS = CHECKOUT / "gitops"
EXAMPLE = GITOPS / "example"
ENVIRONMENTS = {"staging": "shop-staging", "production": "shop"}


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GITOPS / path).read_text())
    return found


def files() -> dict[str, str]:
    return {str(path.relative_to(EXAMPLE)): path.read_text() for path in EXAMPLE.rglob("*.yaml")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_example_is_a_release_that_the_operator_reads(environment):
    release = read(f"example/{environment}/release.yaml")
    parsed = parse_release(release["metadata"]["name"], release["spec"], registry.kinds())
    assert len(parsed.analysis.metrics) == 2
    templates = {item["metadata"]["name"] for file in (GITOPS / "library").glob("*.yaml") for item in _objects(file)}
    assert {metric["template"] for metric in release["spec"]["analysis"]["metrics"]} <= templates


def _objects(file: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(file.read_text()) if item["kind"] == "MetricTemplate"]


@pytest.mark.parametrize(("environment", "namespace"), ENVIRONMENTS.items())
def test_a_rollback_finds_the_example_and_what_sets_its_tag(environment, namespace):
    identity = Identity("", namespace, "web")
    found = find(files(), identity)
    assert found is not None
    assert (found.file, found.images_file) == (f"{environment}/release.yaml", f"{environment}/kustomization.yaml")
    assert revisions(found, identity)


async def test_a_rollback_sets_the_tag_of_its_environment_back_and_no_other(tmp_path):
    origin = Origin(tmp_path / "git")
    origin.commit("version 1.0.0", files())
    tag = "production/kustomization.yaml"
    good = files()[tag]
    both = {name: files()[name].replace("1.0.0", "1.1.0") for name in (tag, "staging/kustomization.yaml")}
    origin.commit("version 1.1.0", both)
    identity = Identity("cluster-1", "shop", "web")
    order = replace(
        ORDER, identity=identity, stable=_wanted(files(), identity), rejected=_wanted({**files(), **both}, identity)
    )
    written = await carried_out(origin.url, replace(order, path="production"))
    assert written.commit, written.note
    assert origin.read(tag) == good
    assert "1.1.0" in origin.read("staging/kustomization.yaml")


def _wanted(texts: dict[str, str], identity: Identity) -> str:
    found = find(texts, identity)
    assert found is not None
    return max(revisions(found, identity))


def test_every_file_of_the_example_is_applied():
    for folder in ("base", *ENVIRONMENTS):
        there = {file.name for file in (EXAMPLE / folder).iterdir()} - {"kustomization.yaml"}
        assert set(read(f"example/{folder}/kustomization.yaml")["resources"]) - {"../base"} == there


def test_flux_and_argo_cd_name_folders_and_repositories_that_are_there():
    origin = read("example/production/release.yaml")["spec"]["gitOrigin"]
    repository, application = read("flux/repository.yaml"), read("argocd/application.yaml")["spec"]
    assert repository["spec"]["url"] == application["source"]["repoURL"] == origin["url"]
    assert application["source"]["path"] == origin["path"] == "production"
    assert application["destination"]["namespace"] == ENVIRONMENTS["production"]
    for name, folder in (("serving", "production"), ("promoted", "staging")):
        kustomization = read(f"flux/{name}.yaml")["spec"]
        assert kustomization["path"] == f"./{folder}"
        assert kustomization["sourceRef"]["name"] == repository["metadata"]["name"]


def test_the_documents_show_the_expressions_that_are_shipped():
    (shipped,) = read("flux/serving.yaml")["spec"]["healthCheckExprs"]
    assert (shipped["apiVersion"], shipped["kind"]) == (API_VERSION, RELEASES.kind)
    page = (CHECKOUT / "controller/docs/flux.md").read_text()
    assert all(f"  {key}: {shipped[key]}\n" in page for key in ("failed", "current"))


def test_argo_cd_gets_the_script_under_the_key_that_it_looks_for():
    (generated,) = read("argocd/kustomization.yaml")["configMapGenerator"]
    key, _, file = generated["files"][0].partition("=")
    assert key == f"resource.customizations.health.{RELEASES.group}_{RELEASES.kind}"
    assert (GITOPS / "argocd" / file).exists()
    assert (generated["name"], generated["behavior"]) == ("argocd-cm", "merge")


@pytest.mark.parametrize("kind", registry.modules("steps"))
def test_each_step_type_has_an_example_that_an_end_to_end_test_runs(kind):
    release, *_ = yaml.safe_load_all((GITOPS / f"steps/{kind}.yaml").read_text())
    (strategy,) = release["spec"]["strategy"].values()
    assert any(kind in step for step in strategy["steps"])
    assert f"| [`{kind}`]({kind}.yaml) |" in (GITOPS / "steps/README.md").read_text()
    run = (CHECKOUT / "tests/e2e/test_steps.py").read_text()
    assert any(f'{word}("{kind}"' in run for word in ("example", "runnable"))
