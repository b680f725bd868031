"""`mirror` by an HTTPRoute on a real API server. The tests write the status of its GatewayClass."""

import pytest

from controller.api.resources import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES
from tests.e2e.patience import until
from tests.integration.operator_fixture import APPROVE, release, weight

MIRROR, PERCENTAGE = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"
STEPS = {"canary": {"steps": [{"mirror": "10%"}, APPROVE, weight(5), APPROVE]}}


class Gateway:
    """Named like the namespace, for GatewayClasses are everybody's."""

    def __init__(self, kube, namespace):
        self._kube = kube
        self._namespace = namespace

    async def make(self):
        meta = {"apiVersion": GATEWAYS.api_version, "kind": GATEWAYS.kind, "metadata": {"name": "public"}}
        listeners = [{"name": "web", "protocol": "HTTP", "port": 80}]
        spec = {"gatewayClassName": self._namespace, "listeners": listeners}
        await self._kube.create(GATEWAYS, self._namespace, {**meta, "spec": spec})

    async def make_class(self):
        meta = {"apiVersion": GATEWAYS.api_version, "kind": GATEWAY_CLASSES.kind, "metadata": {"name": self._namespace}}
        await self._kube.create(GATEWAY_CLASSES, None, {**meta, "spec": {"controllerName": "example.com/gateway"}})

    async def supports(self, *features):
        condition = {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        status = {"conditions": [condition], "supportedFeatures": [{"name": one} for one in sorted(features)]}
        await self._kube.patch(GATEWAY_CLASSES, None, self._namespace, {"status": status}, "status")

    async def remove_class(self):
        if await self._kube.find(GATEWAY_CLASSES, None, self._namespace) is not None:
            await self._kube.request("DELETE", GATEWAY_CLASSES.path(None, self._namespace))


@pytest.fixture
async def gateway(kube, namespace):
    one = Gateway(kube, namespace)
    await one.make()
    yield one
    await one.remove_class()


async def rule(stall):
    return (await stall.kube.get(HTTP_ROUTES, stall.namespace, "web"))["spec"]["rules"][0]


async def has_filters(stall, *wanted):
    """Soon: the status says what is decided before the route is written."""

    async def has():
        return (await rule(stall)).get("filters", []) == list(wanted)

    await until(has, f"the route has the filters {wanted}", seconds=10)


def copies_to(revision):
    backend = {"group": "", "kind": "Service", "name": f"web-{revision}", "port": 80}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": 10}}


async def test_copies_follow_what_the_class_supports_and_end_before_there_is_work(stall, gateway):
    await gateway.make_class()
    await gateway.supports(MIRROR, PERCENTAGE)
    await stall.given(release())
    await stall.commit("2", strategy=STEPS)
    canary = (await stall.until_phase("Paused"))["canaryRevision"]
    await has_filters(stall, copies_to(canary))
    await gateway.supports(MIRROR)
    status = await stall.until_phase("Invalid")
    lacks = f"GatewayClass {stall.namespace} does not support {PERCENTAGE}. Use a GatewayClass that does"
    assert status["message"].startswith(f"spec.strategy.canary.steps[0]: {lacks}")
    await has_filters(stall)
    assert f"web-{canary}" in (await stall.objects())["Deployment"]
    await gateway.supports(MIRROR, PERCENTAGE)
    await stall.until_phase("Paused")
    await has_filters(stall, copies_to(canary))
    await stall.ask("approve", canary)
    await stall.until(lambda status: status.get("weight") == 5)

    async def works():
        found = await rule(stall)
        given = {backend["name"]: backend["weight"] for backend in found["backendRefs"]}
        return found if given.get(f"web-{canary}") else None

    assert "filters" not in await until(works, "the canary has work", seconds=10)


async def test_a_class_that_is_missing_or_says_nothing_holds_the_step(stall, gateway):
    await stall.given(release())
    await stall.commit("2", strategy=STEPS)
    status = await stall.until(lambda status: status.get("reason") == "RouteNotAccepted")
    assert f"GatewayClass {stall.namespace} of Gateway {stall.namespace}/public does not exist" in status["message"]
    await gateway.make_class()
    await stall.until(lambda status: "no controller has accepted" in status.get("message", ""))
    await has_filters(stall)
    await gateway.supports()
    status = await stall.until_phase("Invalid")
    assert "does not list what it supports (status.supportedFeatures)" in status["message"]
    await gateway.supports(MIRROR, PERCENTAGE)
    canary = (await stall.until_phase("Paused"))["canaryRevision"]
    await has_filters(stall, copies_to(canary))
