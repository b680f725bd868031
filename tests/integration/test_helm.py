"""The chart by a real Helm: the same objects as gitops/install, installed, upgraded and uninstalled, and the rights of
an installation for one namespace.
"""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.resources import CRDS, DEPLOYMENTS, NAMESPACES, PODS, RELEASES, Resource
from hack.node import build
from hack.node.controlplane import ControlPlane
from tests.e2e.patience import until
from tests.integration.cluster_fixture import define, gateway_api
from tests.integration.metric_source import ERRORS, offer_source
from tests.integration.node import Node
from tests.integration.operator_fixture import OperatorProcess, Shop, release, weight
from tests.integration.rights_fixture import RBAC, connected

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "gitops" / "helm" / "pointsman"
OWN = "pointsman-system"
ALL_OPTIONS = (
    "policies.author=true", "policies.approvals=true", "policies.routes=true", "gitSources=true", "sync.enabled=true",
)  # fmt: skip
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
BINDINGS = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding")


def helm(*arguments: str | Path, kubeconfig: Path | None = None, ok: bool = True) -> str:
    cluster = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    command = [str(build.program("helm")), *map(str, arguments), *cluster]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


def kustomized(folder: str) -> list[dict[str, Any]]:
    command = [str(build.program("kubectl")), "kustomize", str(CHECKOUT / "gitops" / folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def templated(*settings: str, namespace: str = OWN) -> list[dict[str, Any]]:
    chosen = [part for setting in settings for part in ("--set", setting)]
    text = helm("template", "pointsman", CHART, "--namespace", namespace, *chosen)
    return [document for document in yaml.safe_load_all(text) if document]


def by_name(documents: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): without_helm(one)
        for one in documents
    }


def without_helm(document: dict[str, Any]) -> dict[str, Any]:
    """What the chart adds to each object, and the image, which is its user's."""
    metadata = document["metadata"]
    labels = {key: value for key, value in metadata.pop("labels", {}).items() if "helm.sh" not in key}
    for key in ("instance", "managed-by", "version"):
        labels.pop(f"app.kubernetes.io/{key}", None)
    metadata |= {"labels": labels} if labels else {}
    annotations = metadata.pop("annotations", {})
    annotations.pop("helm.sh/resource-policy", None)
    metadata |= {"annotations": annotations} if annotations else {}
    if document["kind"] == "Deployment":
        for container in document["spec"]["template"]["spec"]["containers"]:
            container.pop("image")
    return document


def test_the_chart_makes_what_the_kustomizations_make():
    folders = ("install", "install/author", "install/approvals", "install/routes", "install/sources", "sync")
    crds = [yaml.safe_load(file.read_text()) for file in sorted((CHECKOUT / "crds").glob("*.yaml"))]
    expected = by_name([*crds, *(one for folder in folders for one in kustomized(folder))])
    expected.pop(("Namespace", "", OWN))  # Helm's own option
    made = by_name(templated(*ALL_OPTIONS))
    assert sorted(made) == sorted(expected)
    for name, document in expected.items():
        assert made[name] == document, name


def test_every_crd_is_kept_when_the_chart_goes():
    kept = [one for one in templated() if one["kind"] == "CustomResourceDefinition"]
    assert len(kept) == len(list((CHECKOUT / "crds").glob("*.yaml")))
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in kept} == {"keep"}


def test_the_chart_is_linted_and_packed(tmp_path):
    helm("lint", "--strict", CHART)
    helm("package", CHART, "--destination", tmp_path)
    (packed,) = tmp_path.iterdir()
    chart, project = yaml.safe_load((CHART / "Chart.yaml").read_text()), (CHECKOUT / "pyproject.toml").read_text()
    assert packed.name == f"pointsman-{chart['version']}.tgz"
    assert f'\nversion = "{chart["appVersion"]}"\n' in project
    assert helm("show", "crds", packed) == ""  # Helm would never upgrade what lies there


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("replica=3", "replica"),
        ("replicas=0", "replicas"),
        ("image.tag=latest", "image"),
        ("image.digest=sha256:12", "image"),
        ("onlyNamespace=Shop", "onlyNamespace"),
        ("sourceNetworks={10.0.0.1}", "sourceNetworks"),
        ("decisions.url=influxdb:8086", "decisions"),
        ("sync.enabled=yes", "sync"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(setting, named):
    said = helm("template", CHART, "--set", setting, ok=False)
    assert "values don't meet the specifications of the schema" in said
    assert named in said


def test_every_value_reaches_the_pods():
    (operator,) = [
        one
        for one in templated(
            "image.repository=registry.example.com/p", f"image.digest=sha256:{'0' * 64}", "workers=3", "verbose=true",
            "networkSeconds=5",
            "sourceNetworks={10.20.0.0/16,10.30.0.0/16}", "decisions.url=http://influxdb:8086", "decisions.org=example",
            "decisions.bucket=metrics", "decisions.secret=tokens", "env[0].name=AWS_REGION", "env[0].value=eu-west-1",
            "nodeSelector.pool=platform", "tolerations[0].key=platform", "priorityClassName=system-cluster-critical",
            "imagePullSecrets[0].name=registry", "podLabels.team=platform", "podAnnotations.note=hello", "replicas=1",
            "onlyNamespace=shop",
        )
        if one["kind"] == "Deployment"
    ]  # fmt: skip
    template = operator["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"registry.example.com/p@sha256:{'0' * 64}"
    assert container["args"] == [
        "run", "--only-namespace=shop", "--workers=3", "--network-seconds=5", "--verbose",
        "--source-network=10.20.0.0/16", "--source-network=10.30.0.0/16",
    ]  # fmt: skip
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["POINTSMAN_DECISIONS_URL"] == "http://influxdb:8086"
    assert (environment["POINTSMAN_DECISIONS_ORG"], environment["AWS_REGION"]) == ("example", "eu-west-1")
    assert container["envFrom"][-1] == {"secretRef": {"name": "tokens"}}
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"pool": "platform"}, [{"name": "registry"}])
    assert (pod["tolerations"], pod["priorityClassName"]) == ([{"key": "platform"}], "system-cluster-critical")
    assert template["metadata"]["labels"]["team"] == "platform"
    assert template["metadata"]["annotations"] == {"note": "hello"}
    assert operator["spec"]["replicas"] == 1


@pytest.fixture
def plane(tmp_path):
    with ControlPlane(tmp_path / "helm") as running:
        yield running


async def in_namespace(kube, name: str, **labels: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    await kube.create(NAMESPACES, None, body)


async def test_it_is_installed_upgraded_with_its_crds_and_uninstalled_without_losing_a_release(plane, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    crds = older / "templates" / "crds.yaml"
    crds.write_text(crds.read_text().replace("    shortNames:\n    - mt\n", "    shortNames:\n    - metrict\n"))
    async with connected(plane, "admin", group="system:masters") as admin:
        await in_namespace(admin, OWN, **RESTRICTED)
        where = ("--namespace", OWN)
        await asyncio.to_thread(helm, "install", "pointsman", older, *where, kubeconfig=plane.kubeconfig)
        before = await admin.get(CRDS, None, "metrictemplates.pointsman.dev")
        await until(lambda: two_pods(admin), "the restricted level lets both replicas in", seconds=60)
        await admin.create(RELEASES, "default", release(weight(10)))

        upgrade = ("upgrade", "pointsman", CHART, *where, "--set", "replicas=1", "--set", "policies.approvals=true")
        await asyncio.to_thread(helm, *upgrade, kubeconfig=plane.kubeconfig)
        after = await admin.get(CRDS, None, "metrictemplates.pointsman.dev")
        assert [one["spec"]["names"]["shortNames"] for one in (before, after)] == [["metrict"], ["mt"]]
        assert (await admin.get(DEPLOYMENTS, OWN, "pointsman"))["spec"]["replicas"] == 1
        found = json.loads(await asyncio.to_thread(helm, "list", *where, "-o", "json", kubeconfig=plane.kubeconfig))
        assert [(one["revision"], one["status"]) for one in found] == [("2", "deployed")]

        await asyncio.to_thread(helm, "uninstall", "pointsman", *where, kubeconfig=plane.kubeconfig)
        assert await admin.find(DEPLOYMENTS, OWN, "pointsman") is None
        assert (await admin.get(RELEASES, "default", "web"))["spec"]["replicas"] == 2
        await asyncio.to_thread(helm, "install", "pointsman", CHART, *where, kubeconfig=plane.kubeconfig)


async def two_pods(kube) -> bool:
    return len(await kube.list(PODS, OWN, labels="app.kubernetes.io/name=pointsman")) == 2


async def test_an_installation_for_one_namespace_needs_no_more_than_it_is_given(plane, tmp_path):
    """It runs as its service account and rolls a version out there; other namespaces are closed to it."""
    settings = ("--set", "onlyNamespace=shop", "--set", "replicas=1", "--namespace", OWN)
    async with connected(plane, "admin", group="system:masters") as admin:
        for name in (OWN, "shop", "other"):
            await in_namespace(admin, name)
        await asyncio.to_thread(helm, "install", "pointsman", CHART, *settings, kubeconfig=plane.kubeconfig)
        bound = await admin.list(BINDINGS, None)
        assert [one["metadata"]["name"] for one in bound if "pointsman" in one["metadata"]["name"]] == [
            f"pointsman-operator-{OWN}"
        ]
        nowhere = {"influxdb": {"url": "http://127.0.0.1:9", "org": "none", "bucket": "none", "timeout": "1s"}}
        await offer_source(admin, OWN, nowhere, token="none", templates=["http-errors"])  # noqa: S106
        await share_default(admin)
        account = f"system:serviceaccount:{OWN}:pointsman"
        kubeconfig = plane.client_kubeconfig("operator", user=account)
        with OperatorProcess(kubeconfig, "shop", tmp_path / "operator.log", own=OWN).running() as operator:
            async with Node(admin, "shop").running() as node:
                shop = Shop(admin, "shop", node, operator, plane.kubeconfig)
                judged = weight(10, atLeast="1s", atMost="10m")
                await admin.create(RELEASES, "shop", release(judged, analysis={"interval": "1s", "metrics": [ERRORS]}))
                status = await shop.until(lambda status: status.get("readyReplicas") and status.get("blocked"))
                assert status["blocked"]["message"] == (
                    "the cluster has no httproutes.gateway.networking.k8s.io (v1): "
                    "install the CRDs of gateway.networking.k8s.io"
                )
                with plane.http() as http:
                    await asyncio.to_thread(define, http, gateway_api())
                await shop.until_phase("Healthy")
                await shop.commit("2")
                status = await shop.until(lambda status: "cannot be reached" in str(status.get("conditions")))
                assert status["canaryRevision"] != status["stableRevision"]
                await shop.edit(unjudged)
                await shop.until_phase("Healthy")
                await admin.create(RELEASES, "other", release(weight(10)))
                await shop.commit("3")
                await shop.until_phase("Healthy")
            assert "forbidden" not in operator.log.read_text().lower()
        untouched = await admin.get(RELEASES, "other", "web")
        assert untouched["status"]["observedGeneration"] == -1
        assert "finalizers" not in untouched["metadata"]


def unjudged(body: dict[str, Any]) -> None:
    del body["spec"]["analysis"]
    body["spec"]["strategy"] = {"canary": {"steps": [weight(10)]}}


async def share_default(kube) -> None:
    """With the namespace that is released in."""
    sources = Resource("pointsman.dev", "v1alpha1", "metricsources", "MetricSource")
    await kube.patch(sources, OWN, "default", {"spec": {"allowedNamespaces": ["shop"]}})
