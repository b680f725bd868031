"""Arriving and leaving, on a real API server: the Service keeps its address, and everything can be given back."""

import copy
import json

import pytest

from controller.api.names import BEFORE
from controller.api.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    RELEASES,
    SERVICES,
)
from controller.kube.applying import apply
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


async def test_what_was_given_back_can_be_changed_by_a_server_side_apply(running):
    """Without a conflict: no field of it is Pointsman's."""
    shop = running

    async def applied(resource, *, force=False, **spec):
        found = await shop.kube.get(resource, shop.namespace, "web")
        made = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": {**found["spec"], **spec}}
        made["metadata"] = {"name": "web", "namespace": shop.namespace}
        await apply(shop.kube, resource, made, manager="ana", force=force)

    await applied(SERVICES, force=True)
    await applied(HORIZONTAL_POD_AUTOSCALERS, force=True)
    limit = {"name": "errors", "template": "none-such", "limit": {"max": "5%"}}
    judged = {"bake": {"for": "10m", "holdback": "5%"}, "analysis": {"metrics": [limit]}}
    await shop.kube.create(RELEASES, shop.namespace, await planned(shop, **judged))
    await shop.until(lambda status: status.get("weight") == 100)
    code, text = await shop.command("abort", "web", "--reason", "not today")
    assert code == 0, text
    await shop.until_phase("RolledBack")
    await applied(SERVICES, selector={**LABELS, "tier": "front"})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-after"}
    await applied(HORIZONTAL_POD_AUTOSCALERS, scaleTargetRef=target)


FILTERS = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}]


@pytest.fixture
async def routed(running):
    """As `running`, with an HTTPRoute that leads to the Service by two of its three rules."""
    backend = {"name": "web", "port": 80}
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}],
            "backendRefs": [{**backend, "filters": FILTERS}],
        },
        {"matches": [{"path": {"type": "Exact", "value": "/x"}}], "backendRefs": [{"name": "other", "port": 80}]},
        {"backendRefs": [{**backend, "weight": 7}], "filters": FILTERS},
    ]
    spec = {"parentRefs": [{"name": "gate"}], "hostnames": ["shop.example.com"], "rules": rules}
    metadata = {"name": "public", "annotations": {"team": "a"}}
    made = {"apiVersion": HTTP_ROUTES.api_version, "kind": HTTP_ROUTES.kind, "metadata": metadata, "spec": spec}
    await running.kube.create(HTTP_ROUTES, running.namespace, made)
    return running


async def route_of(shop):
    item = await shop.kube.get(HTTP_ROUTES, shop.namespace, "public")
    metadata = {key: item["metadata"].get(key) or {} for key in ("uid", "labels", "annotations", "ownerReferences")}
    return metadata, item["spec"]


async def parts_of(shop):
    """Names of backends, with their weights, of each rule."""
    _, spec = await route_of(shop)
    return [[(one["name"], one["weight"]) for one in rule["backendRefs"]] for rule in spec["rules"]]


async def until_route_is(shop, wanted):
    async def is_so():
        return await route_of(shop) == wanted

    await until(is_so, "the route is as it was", 60)


async def in_mid_release(shop):
    """Adopted, with half of the work at version 2, which waits for a person."""
    release = await planned(shop)
    assert release["spec"]["traffic"] == {"gatewayAPI": {"route": {"name": "public"}}}
    release["spec"]["strategy"] = {"canary": {"steps": [weight(50), {"approve": {}}]}}
    await shop.kube.create(RELEASES, shop.namespace, release)
    await shop.until_phase("Healthy")
    set_version(release, "2")
    await shop.commit("2")
    status = await shop.until(lambda now: now.get("weight") == 50)
    halves = sorted((f"web-{status[one]}", 5000) for one in ("stableRevision", "canaryRevision"))

    async def is_split():
        found = await parts_of(shop)
        return found[0] == found[2] == halves and found[1] == [("other", 1)]

    await until(is_split, "the route is split", 60)


async def test_a_route_that_is_there_is_split_in_mid_release_and_as_it_was_at_rest_and_after_ejecting(routed):
    shop, before = routed, await route_of(routed)
    await in_mid_release(shop)
    split, _ = await route_of(shop)
    assert split["annotations"].keys() == {"team", BEFORE}
    code, text = await shop.command("approve", "web")
    assert code == 0, text
    await shop.until_phase("Healthy")
    await until_route_is(shop, before)
    code, text = await shop.command("eject", "web")
    assert code == 0, text
    assert await route_of(shop) == before


@pytest.mark.parametrize("end", ["abort", "delete"])
async def test_a_route_is_given_back_whatever_ends_the_rollout(routed, end):
    shop, before = routed, await route_of(routed)
    await in_mid_release(shop)
    if end == "abort":
        code, text = await shop.command("abort", "web", "--reason", "not today")
        assert code == 0, text
        await until_route_is(shop, before)
        return
    await shop.kube.delete(RELEASES, shop.namespace, "web")

    async def gone():
        return await shop.kube.find(RELEASES, shop.namespace, "web") is None

    await until(gone, "the Release is gone", 120)
    assert await route_of(shop) == before


async def test_what_somebody_changes_of_a_route_in_mid_release_stays(routed):
    shop = routed
    await in_mid_release(shop)
    wanted = await parts_of(shop)
    item = await shop.kube.get(HTTP_ROUTES, shop.namespace, "public")
    item["spec"]["hostnames"] = ["shop.example.com", "www.example.com"]
    item["spec"]["rules"][0]["backendRefs"] = [{"name": "web", "port": 80}]
    await shop.kube.replace(HTTP_ROUTES, item)

    async def is_split_again():
        return await parts_of(shop) == wanted

    await until(is_split_again, "the route is split again", 60)
    _, spec = await route_of(shop)
    assert spec["hostnames"] == ["shop.example.com", "www.example.com"]
