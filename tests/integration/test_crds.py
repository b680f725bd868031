"""What a real API server accepts and refuses: golden files, each module's example, what is shipped."""

from pathlib import Path

import pytest
import yaml

from controller import registry
from controller.api.release import parse_release
from controller.kube.client import InvalidError
from controller.routers._written import contains
from hack.crd import pod_schema
from tests import golden
from tests.merge_patch import merged

_GITOPS = Path(__file__).resolve().parents[2] / "gitops"


def _shipped() -> list[tuple[str, dict]]:
    return [
        (f"{file.parent.name}/{file.name}", _whole(file, document))
        for file in sorted(_GITOPS.rglob("*.yaml"))
        if "helm" not in file.relative_to(_GITOPS).parts  # its templates are no YAML yet
        for document in yaml.safe_load_all(file.read_text())
        if document and document.get("kind") in golden.KINDS and document["apiVersion"].startswith("pointsman.dev/")
    ]


def _whole(file, document):
    """What a demo changes of its Release stands beside it, as a merge patch."""
    if file.name != "strategy.yaml":
        return document
    return merged(yaml.safe_load((file.parents[1] / "release.yaml").read_text()), document)


async def _try(kube, raw):
    """As `kubectl apply --dry-run=server`: strict about unknown fields. Returns what would be kept."""
    body = {**raw, "metadata": {**raw["metadata"], "namespace": "default"}}
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    return await kube.request("POST", golden.KINDS[raw["kind"]].path("default"), query=query, body=body)


@pytest.mark.parametrize("file", golden.valid(), ids=lambda file: file.stem)
async def test_the_api_server_accepts(kube, file):
    await _try(kube, golden.load(file))


@pytest.mark.parametrize("case", golden.invalid(), ids=lambda case: case.file.stem)
async def test_the_api_server_refuses(kube, case):
    with pytest.raises(InvalidError) as refused:
        await _try(kube, case.raw)
    assert case.expect in str(refused.value)


@pytest.mark.parametrize(("name", "raw"), _shipped())
async def test_what_is_shipped_is_accepted(kube, name, raw):
    await _try(kube, raw)


def _beside() -> list[tuple[str, dict]]:
    """Kubernetes' own kinds that are shipped for the workloads and the operator."""
    install = _GITOPS / "install"
    return [
        (f"{file.parent.name}/{file.name}/{document['metadata']['name']}", document)
        for file in (
            *sorted((_GITOPS / "workloads").rglob("*.yaml")),
            install / "operator.yaml",
            install / "network.yaml",
            _GITOPS / "sync" / "sync.yaml",
            _GITOPS / "sync" / "network.yaml",
        )
        for document in yaml.safe_load_all(file.read_text())
        if document["apiVersion"].partition("/")[0] not in {"pointsman.dev", "kustomize.config.k8s.io", "keda.sh"}
    ]


_PLURALS = {"NetworkPolicy": "networkpolicies"}


@pytest.mark.parametrize(("name", "raw"), _beside())
async def test_what_stands_beside_a_release_is_accepted(kube, name, raw):
    """I29."""
    group = raw["apiVersion"] if "/" in raw["apiVersion"] else ""
    plural = _PLURALS.get(raw["kind"], raw["kind"].lower() + "s")
    path = f"/{f'apis/{group}' if group else 'api/v1'}/namespaces/default/{plural}"
    body = {**raw, "metadata": {**raw["metadata"], "namespace": "default"}}
    await kube.request("POST", path, query={"dryRun": "All", "fieldValidation": "Strict"}, body=body)


@pytest.mark.parametrize("kind", registry.modules("routers"))
async def test_the_example_of_a_router_is_accepted(kube, kind):
    example = registry.modules("routers")[kind].EXAMPLE
    raw = golden.release(traffic={kind: example}, service={"ports": [{"port": 80}]})
    kept = await _try(kube, raw)
    assert kept["spec"]["traffic"][kind].items() >= example.items()


@pytest.mark.parametrize("kind", registry.modules("steps"))
async def test_the_example_of_a_step_is_accepted(kube, kind):
    example = registry.modules("steps")[kind].EXAMPLE
    floor = {"name": "floor", "template": "http-errors", "limit": {"max": "5%"}}  # by which header can be judged
    metrics = [{"name": "errors", "template": "http-errors"}, floor]
    traffic = {"traefik": registry.modules("routers")["traefik"].EXAMPLE}  # which can do what any step needs
    raw = golden.release(strategy={"canary": {"steps": [example]}}, analysis={"metrics": metrics}, traffic=traffic)
    kept = await _try(kube, raw)
    assert contains(kept["spec"]["strategy"]["canary"]["steps"][0], example), "and what is filled in by default"


@pytest.mark.parametrize("kind", registry.modules("providers"))
async def test_the_example_of_a_provider_is_accepted(kube, kind):
    example = registry.modules("providers")[kind].EXAMPLE
    kept = await _try(kube, golden.own("MetricSource", "default", {kind: example}))
    assert kept["spec"][kind].items() >= example.items()


@pytest.mark.parametrize(
    "file", [file for file in golden.valid() if golden.load(file)["kind"] == "Release"], ids=lambda file: file.stem
)
async def test_the_api_server_fills_in_what_the_parser_would(kube, file):
    raw = golden.load(file)
    kept = await _try(kube, raw)
    filled = parse_release(raw["metadata"]["name"], kept["spec"], registry.kinds())
    written = parse_release(raw["metadata"]["name"], raw["spec"], registry.kinds())
    template = filled.template  # only protocol: TCP is filled in there, which is a key of a list
    assert written == type(filled)(**{**vars(filled), "template": written.template, "ports": written.ports})
    assert template["spec"]["containers"][0]["image"] == written.template["spec"]["containers"][0]["image"]


async def test_validate_knows_pod_templates_as_this_api_server_does(kube):
    document = await kube.request("GET", "/openapi/v3/apis/apps/v1")
    assert pod_schema.PATH.read_text() == pod_schema.text(document), "see hack/crd/pod_schema.py"
