"""Arriving and leaving, on a real API server: the Service keeps its address, and everything can be given back."""

import copy
import json

import pytest

from controller.api.names import BEFORE
from controller.api.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    RELEASES,
    SERVICES,
)
from tests.e2e.patience import until
from tests.integration.operator_fixture import pause, set_version, weight

LABELS = {"app": "web"}
CONTAINER = {"name": "web", "image": "web:1", "env": [{"name": "VERSION", "value": "1"}]}


@pytest.fixture
async def running(stall):
    """A Deployment with two pods that serve, a Service with a node port in front, and an autoscaler."""
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
    spec = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-before"}
    for resource, name, body in (
        (DEPLOYMENTS, "web-before", spec),
        (SERVICES, "web", {"selector": LABELS, "ports": ports, "type": "NodePort"}),
        (HORIZONTAL_POD_AUTOSCALERS, "web", {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4}),
    ):
        made = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": body}
        await stall.kube.create(resource, stall.namespace, made)

    async def serves():
        found = await stall.kube.get(DEPLOYMENTS, stall.namespace, "web-before")
        return found.get("status", {}).get("readyReplicas") == 2

    await until(serves, "the Deployment serves")
    return stall


async def as_they_are(shop):
    """What an adoption touches, without what each write changes."""
    found = []
    for resource, name in ((DEPLOYMENTS, "web-before"), (SERVICES, "web"), (HORIZONTAL_POD_AUTOSCALERS, "web")):
        item = copy.deepcopy(await shop.kube.get(resource, shop.namespace, name))
        metadata = item["metadata"]
        kept = {key: metadata.get(key) or {} for key in ("uid", "labels", "annotations", "ownerReferences")}
        # the controller manager counts roll-outs there
        kept["annotations"].pop("deployment.kubernetes.io/revision", None)
        found.append((kept, item["spec"]))
    return found


async def planned(shop, **spec):
    code, text = await shop.command("adopt", "deployment/web-before", "--json")
    assert code == 0, text
    release = json.loads(text)["release"]
    release["spec"] |= {"drain": {"quiet": "1s", "max": "5s"}, **spec}
    release["spec"]["strategy"] = {"canary": {"steps": [weight(50), pause(0.5)]}}
    return release


async def test_what_runs_is_adopted_released_and_ejected_with_its_address(running):
    shop, before = running, await as_they_are(running)
    await shop.kube.create(RELEASES, shop.namespace, await planned(shop))
    status = await shop.until_phase("Healthy")
    (deployment, (labels, service), (_, autoscaler)) = await as_they_are(shop)
    assert deployment[1]["replicas"] == 0
    assert labels["ownerReferences"] == {}
    assert service["clusterIP"] == before[1][1]["clusterIP"]
    assert service["ports"] == before[1][1]["ports"], "node ports stay"
    assert autoscaler["scaleTargetRef"]["kind"] == "Release"
    release = await shop.release()
    assert release["spec"]["replicas"] == 2, "the size that the Deployment had"

    set_version(release, "2")
    await shop.commit("2")
    status = await shop.until(
        lambda now: now.get("phase") == "Healthy" and now["stableRevision"] != status["stableRevision"]
    )
    stable = f"web-{status['stableRevision']}"
    selector = await shop.selected()

    code, text = await shop.command("eject", "web")
    assert code == 0, text
    assert await shop.kube.find(RELEASES, shop.namespace, "web") is None
    assert await shop.selected() == selector
    kept = await shop.kube.get(DEPLOYMENTS, shop.namespace, stable)
    assert kept["status"]["readyReplicas"] == 2
    assert "ownerReferences" not in kept["metadata"]
    (_, (metadata, service), (_, autoscaler)) = await as_they_are(shop)
    assert not [key for key in (*metadata["labels"], *metadata["annotations"]) if key.startswith("pointsman.dev/")]
    assert service["clusterIP"] == before[1][1]["clusterIP"]
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": stable}


@pytest.mark.parametrize("end", ["abort", "delete"])
async def test_an_adoption_that_ends_early_leaves_all_as_it_was(running, end):
    shop, before = running, await as_they_are(running)
    # nothing can judge it, so it waits with all of the work
    limit = {"name": "errors", "template": "none-such", "limit": {"max": "5%"}}
    judged = {"bake": {"for": "10m", "holdback": "5%"}, "analysis": {"metrics": [limit]}}
    await shop.kube.create(RELEASES, shop.namespace, await planned(shop, **judged))

    async def moved():
        service = await shop.kube.get(SERVICES, shop.namespace, "web")
        return BEFORE in service["metadata"].get("annotations", {})

    await until(moved, "the Service has moved", 120)
    await shop.until(lambda status: status.get("weight") == 100)
    if end == "abort":
        code, text = await shop.command("abort", "web", "--reason", "not today")
        assert code == 0, text
        await shop.until_phase("RolledBack")
    else:
        await shop.kube.delete(RELEASES, shop.namespace, "web")

    async def gone():
        return await shop.kube.find(RELEASES, shop.namespace, "web") is None

    if end == "delete":
        await until(gone, "the Release is gone", 120)
    assert await as_they_are(shop) == before
    assert (await shop.objects())["Deployment"] == []
