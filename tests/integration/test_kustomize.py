"""kustomize patches a Release as it patches a Deployment, with the component that is shipped for it."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.crd import kustomize
from hack.node import build

CHECKOUT = Path(__file__).parents[2]
COMPONENT = CHECKOUT / "gitops" / "kustomize"
POD = {
    "serviceAccountName": "web",
    "containers": [
        {
            "name": "web",
            "image": "example.com/web:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}],
        },
        {"name": "sidecar", "image": "example.com/sidecar:1"},
    ],
    "volumes": [
        {"name": "config", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys"}},
    ],
}
PATCHED = {"containers": [{"name": "web", "image": "example.com/web:2", "env": [{"name": "B", "value": "3"}]}]}


def release(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "pointsman.dev/v1alpha1", "kind": "Release", "metadata": {"name": "web"}, "spec": spec}


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


class Repository:
    """A base with a Release and a Deployment of the same pods, and one overlay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        metric = {"name": "errors", "template": "http-errors", "margin": {"rollbackAbove": 1.1}}
        self.write(
            "base",
            release(
                template={"spec": POD},
                service={"ports": [{"port": 80}]},
                traffic={"replicas": {}},
                analysis={"metrics": [metric]},
            ),
            deployment(selector={"matchLabels": {"app": "web"}}, template={"spec": POD}),
            configMapGenerator=[{"name": "settings", "literals": ["A=1"]}],
            secretGenerator=[{"name": "keys", "literals": ["a=b"]}],
        )

    def write(self, name: str, *objects: dict[str, Any], **kustomization: Any) -> None:
        folder = self._folder / name
        folder.mkdir()
        for number, item in enumerate(objects):
            (folder / f"{number}.yaml").write_text(yaml.safe_dump(item))
        resources = [f"{number}.yaml" for number in range(len(objects))]
        body = {"resources": resources, "components": [str(self._component())], **kustomization}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(body))

    def _component(self) -> Path:
        """Within the repository: kustomize follows no absolute path."""
        here = self._folder / "pointsman"
        if not here.exists():
            here.mkdir()
            for file in COMPONENT.iterdir():
                (here / file.name).write_text(file.read_text())
        return Path("../pointsman")

    def built(self, **overlay: Any) -> dict[str, dict[str, Any]]:
        """By kind."""
        self.write("overlay", **{"resources": ["../base"], **overlay})
        kubectl = build.program("kubectl")
        done = subprocess.run(
            [kubectl, "kustomize", self._folder / "overlay"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def pods(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["spec"]["template"]["spec"]
    return found


def test_a_patch_of_one_image_leaves_sidecar_and_environment(repository):
    """Containers were replaced, so the sidecar, env and envFrom were gone."""
    patches = [
        {"patch": yaml.safe_dump(release(template={"spec": PATCHED}))},
        {"patch": yaml.safe_dump(deployment(template={"spec": PATCHED}))},
    ]
    found = repository.built(patches=patches)
    web, sidecar = pods(found["Release"])["containers"]
    assert (web["image"], sidecar["image"]) == ("example.com/web:2", "example.com/sidecar:1")
    assert {one["name"]: one["value"] for one in web["env"]} == {"A": "1", "B": "3"}
    assert pods(found["Release"]) == pods(found["Deployment"]), "and a Deployment beside it is patched as ever"


def test_generated_names_are_followed(repository):
    found = repository.built(namePrefix="eu-")
    settings, keys = found["ConfigMap"]["metadata"]["name"], found["Secret"]["metadata"]["name"]
    web, _ = pods(found["Release"])["containers"]
    assert web["envFrom"] == [{"configMapRef": {"name": settings}}]
    config, secret = pods(found["Release"])["volumes"]
    assert (config["configMap"]["name"], secret["secret"]["secretName"]) == (settings, keys)
    assert settings.startswith("eu-settings-")


def test_images_replicas_and_labels_are_set(repository):
    found = repository.built(
        images=[{"name": "example.com/web", "newTag": "7"}],
        replicas=[{"name": "web", "count": 5}],
        labels=[{"pairs": {"team": "shop"}, "includeTemplates": True}],
    )
    assert pods(found["Release"])["containers"][0]["image"] == "example.com/web:7"
    assert found["Release"]["spec"]["replicas"] == 5
    assert found["Release"]["spec"]["template"]["metadata"]["labels"] == {"team": "shop"}


def test_metrics_are_merged_by_name(repository):
    metrics = [
        {"name": "errors", "margin": {"rollbackAbove": 1.5}},
        {"name": "latency", "template": "http-latency"},
    ]
    found = repository.built(patches=[{"patch": yaml.safe_dump(release(analysis={"metrics": metrics}))}])
    by_name = {one["name"]: one for one in found["Release"]["spec"]["analysis"]["metrics"]}
    assert by_name["errors"] == {"name": "errors", "template": "http-errors", "margin": {"rollbackAbove": 1.5}}
    assert set(by_name) == {"errors", "latency"}


async def test_kubernetes_part_of_the_schema_is_that_of_the_server(kube):
    document = await asyncio.wait_for(kube.request("GET", "/openapi/v2", timeout_s=60), 90)
    definitions = {name: one for name, one in document["definitions"].items() if name.startswith("io.k8s.")}
    expected = kustomize.reduced({"definitions": definitions})
    assert json.loads(kustomize.BUILTIN.read_text())["definitions"] == expected, "see hack/crd/kustomize.py"
