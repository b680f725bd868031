"""The workloads without Pointsman: what is in the Releases' place has the Releases' pods."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.names import RELEASE_LABEL, REVISION_LABEL

FOLDER = Path(__file__).resolve().parents[2] / "gitops/workloads"
POINTSMANS = {"NAMESPACE", "SERVICE_ID", "SHARE_LEDGER"}
PAIRS = [
    ("image-worker/release.yaml", "image-worker/plain/deployment.yaml"),
    ("invitations/release.yaml", "invitations/plain/deployment.yaml"),
    ("invitations/release-sender.yaml", "invitations/plain/deployment-sender.yaml"),
]


def the_one(path: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((FOLDER / path).read_text(), Loader=yaml.CSafeLoader)
    return document


def without_identity(template: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The template without what says who its pods are, and that."""
    shared = deepcopy(template)
    (container,) = shared["spec"]["containers"]
    who = {entry["name"]: entry for entry in container["env"] if entry["name"] in {"SERVICE", "REVISION", *POINTSMANS}}
    container["env"] = [entry for entry in container["env"] if entry["name"] not in who]
    return shared, who


@pytest.mark.parametrize(("release", "deployment"), PAIRS)
def test_a_deployments_pods_are_the_releases(release: str, deployment: str) -> None:
    theirs, ours = the_one(release), the_one(deployment)
    name = ours["metadata"]["name"]
    assert name == theirs["metadata"]["name"]
    assert ours["spec"].get("replicas") == (theirs["spec"].get("replicas") if name.endswith("sender") else None)
    released, _ = without_identity(theirs["spec"]["template"])
    plain, who = without_identity(ours["spec"]["template"])
    assert plain == released
    assert who["SERVICE"]["value"] == name
    assert who["REVISION"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['pod-template-hash']"
    assert who.get("SHARE_LEDGER", {"value": ""})["value"] == "", "nobody shares the queue"
    assert ours["spec"]["selector"]["matchLabels"].items() <= plain["metadata"]["labels"].items()


@pytest.mark.parametrize("folder", ["image-worker", "invitations"])
def test_nothing_of_pointsmans_is_needed(folder: str) -> None:
    read = [*(FOLDER / folder / "plain").glob("*.yaml"), *(FOLDER / folder / "beside").glob("*.yaml")]
    documents = [each for path in read for each in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)]
    text = yaml.safe_dump_all(documents)
    assert not [word for word in (RELEASE_LABEL, REVISION_LABEL, "pointsman.dev/v1alpha1") if word in text]
    for scaler in (each for each in documents if each["kind"] == "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": folder}


def test_the_route_is_the_releases() -> None:
    release = the_one("invitations/release.yaml")["spec"]
    service, route = yaml.load_all((FOLDER / "invitations/plain/service.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert service["spec"]["ports"] == release["service"]["ports"]
    assert {key: route["spec"][key] for key in ("parentRefs", "hostnames")} == release["traffic"]["gatewayAPI"]
    assert route["spec"]["rules"] == [{"backendRefs": [{"name": "invitations", "port": 80}]}]
