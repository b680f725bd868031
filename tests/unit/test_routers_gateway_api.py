"""The router `gatewayAPI`: copies of requests, where the GatewayClass says that its Gateways can make them."""

import pytest

from controller.api.resources import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES
from controller.kube.client import InvalidError
from controller.kube.host_names import HostNames
from controller.ports import DependsOnCluster, RoutedService, RouterContext, RouterError, Weights
from controller.rollout.preview import Preview, Reach
from controller.routers import gateway_api
from tests.unit.contract.fakes import FakeKube

STABLE, CANARY = "a" * 10, "b" * 10
WHOLE, SPLIT = Weights({STABLE: 100.0}), Weights({STABLE: 90.0, CANARY: 10.0})
TENTH, EVERY = Reach(mirror=10.0), Reach(mirror=100.0)
MIRROR, PERCENTAGE, MULTIPLE = (f"HTTPRouteRequest{one}" for one in ("Mirror", "PercentageMirror", "MultipleMirrors"))
AUDIT = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web-audit", "port": 80}}}
HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}
ACCEPTED = [{"type": "Accepted", "status": "True"}]


class Kube(FakeKube):
    def __init__(self):
        super().__init__()
        self.refuses_changes = False
        self.forbidden = ()

    async def find(self, resource, namespace, name):
        if resource in self.forbidden:
            raise InvalidError(403, "Forbidden", f"{resource.plural} is forbidden:\nno right")
        return await super().find(resource, namespace, name)

    async def replace(self, resource, body, *, strict=False):
        if self.refuses_changes and strict:
            raise InvalidError(422, "Invalid", 'unknown field "percent"')
        return await super().replace(resource, body, strict=strict)


class World:
    def __init__(self, features=(MIRROR, PERCENTAGE)):
        self.kube = Kube()
        self.kube.put(GATEWAYS, {"metadata": {"name": "public"}, "spec": {"gatewayClassName": "able"}})
        self.supports([{"name": one} for one in features])

    def supports(self, features, conditions=ACCEPTED):
        status = {"conditions": conditions, "supportedFeatures": features}
        self.kube.put(GATEWAY_CLASSES, {"metadata": {"name": "able"}, "status": status})

    async def router(self, *, left=False, **fields):
        config = None if left else gateway_api.Config(parent_refs=({"name": "public"},), **fields)
        ports = ({"port": 80},)
        target = RoutedService("shop", "web", None, ports, {STABLE: ports, CANARY: ports})
        router = gateway_api.create(config, target, RouterContext(self.kube, (HostNames(),)))
        await router.observe()
        return router

    async def ensure(self, weights, **more):
        return await (await self.router(**more)).ensure(weights)

    async def show(self, reach, **more):
        await (await self.router(**more)).show(None if reach is None else Preview(CANARY, reach))

    async def shares(self, **more):
        return (await (await self.router(**more)).observe()).shares

    async def preview(self, **more):
        return (await (await self.router(**more)).observe_preview()).preview

    async def lack(self, reach, **more):
        return await (await self.router(**more)).lacks(reach)

    def rules(self):
        return (self.kube.raw(HTTP_ROUTES, "web") or {})["spec"]["rules"]

    def filters(self):
        return [rule.get("filters", []) for rule in self.rules()]


@pytest.fixture
def world():
    return World()


def copies(percent=None):
    mirror = {"backendRef": {"name": f"web-{CANARY}", "port": 80}}
    return {"type": "RequestMirror", "requestMirror": mirror | ({} if percent is None else {"percent": percent})}


async def test_all_rules_copy_and_keep_their_own_filters(world):
    rules: tuple[dict, ...] = ({"filters": [HEADER]}, {})
    await world.ensure(WHOLE, rules=rules)
    await world.show(TENTH, rules=rules)
    assert world.filters() == [[HEADER, copies(10)], [copies(10)]]
    assert await world.shares(rules=rules) == WHOLE.shares
    assert await world.preview(rules=rules) == Preview(CANARY, TENTH)
    await world.show(None, rules=rules)
    assert world.filters() == [[HEADER], []]


async def test_all_requests_are_copied_without_a_percentage():
    world = World((MIRROR,))
    await world.ensure(WHOLE)
    await world.show(EVERY)
    assert world.filters() == [[copies()]]
    assert await world.preview() == Preview(CANARY, EVERY)
    with pytest.raises(RouterError, match="GatewayClass able does not support HTTPRouteRequestPercentageMirror"):
        await world.show(TENTH)


async def test_a_mirror_of_the_users_is_not_ours(world):
    rules = ({"filters": [AUDIT]},)
    await world.ensure(WHOLE, rules=rules)
    lack = await world.lack(EVERY, rules=rules)
    assert lack.message.startswith(f"GatewayClass able does not support {MULTIPLE}")
    world.supports([MIRROR, PERCENTAGE, MULTIPLE])
    await world.show(TENTH, rules=rules)
    assert world.filters() == [[AUDIT, copies(10)]]
    await world.show(None, rules=rules)
    assert world.filters() == [[AUDIT]]


@pytest.mark.parametrize("features", [[{"name": MIRROR}, {"name": PERCENTAGE}], [MIRROR, PERCENTAGE]])
async def test_both_shapes_of_the_list_are_read(world, features):
    world.supports(features)
    assert await world.lack(TENTH) is None


def no_class(world):
    del world.kube.objects[(GATEWAY_CLASSES.path(), "able")]


def no_gateway(world):
    del world.kube.objects[(GATEWAYS.path(), "public")]


def forbidden(world):
    world.kube.forbidden = (GATEWAYS,)


UNKNOWN = {
    no_class: "GatewayClass able of Gateway shop/public does not exist",
    no_gateway: "Gateway shop/public does not exist",
    forbidden: "what Gateway shop/public can do cannot be read: gateways is forbidden: no right",
    lambda world: world.supports([], []): "no controller has accepted GatewayClass able yet",
    lambda world: world.supports([], [{"type": "Accepted", "status": "Unknown"}]): "no controller has accepted",
}
LACKING = {
    lambda world: world.supports([{"name": "HTTPRoute"}]): f"GatewayClass able does not support {MIRROR}. Use a ",
    lambda world: world.supports([]): "GatewayClass able does not list what it supports (status.supportedFeatures). ",
    lambda world: world.supports(None): "GatewayClass able does not list what it supports",
    lambda world: world.supports([None, 7, {}]): f"GatewayClass able does not support {MIRROR}",
}


@pytest.mark.parametrize(("break_it", "message"), [*UNKNOWN.items(), *LACKING.items()])
async def test_what_is_lacking_is_said_and_nothing_is_copied(world, break_it, message):
    await world.ensure(WHOLE)
    break_it(world)
    lack = await world.lack(TENTH)
    assert (message in lack.message, lack.is_certain) == (True, break_it in LACKING)
    with pytest.raises(RouterError):
        await world.show(TENTH)
    assert world.filters() == [[]]
    assert await world.lack(Reach(hostnames=("preview.example.com",))) is None


@pytest.mark.parametrize("break_it", [*UNKNOWN, *LACKING])
async def test_copies_end_whatever_the_class_says(world, break_it):
    await world.ensure(WHOLE)
    await world.show(TENTH)
    break_it(world)
    await world.show(None)
    assert world.filters() == [[]]


async def test_a_mesh_cannot_be_known_to_copy(world):
    parents = {"kind": "Service", "group": "", "name": "web"}
    config = gateway_api.Config(parent_refs=({"name": "public"}, parents))
    target = RoutedService("shop", "web", None, ({"port": 80},))
    router = gateway_api.create(config, target, RouterContext(world.kube, (HostNames(),)))
    assert isinstance(router, DependsOnCluster)
    lack = await router.lacks(TENTH)
    assert lack is not None
    assert lack.message.startswith("Service shop/web has no GatewayClass")


async def test_a_route_whose_spec_is_refused_stops_copying_and_leads_elsewhere(world):
    await world.ensure(WHOLE)
    await world.show(TENTH)
    world.kube.refuses_changes = True
    with pytest.raises(RouterError, match="refuses the route"):
        await world.ensure(SPLIT, hostnames=("Shop.example.com",))
    assert world.filters() == [[]]
    assert await world.shares() == SPLIT.shares


async def test_a_percentage_that_the_api_server_does_not_know_is_not_dropped(world):
    """Without it all requests would be copied."""
    await world.ensure(WHOLE)
    world.kube.refuses_changes = True
    with pytest.raises(RouterError, match='refuses to copy requests by the route: unknown field "percent"'):
        await world.show(TENTH)
    assert world.filters() == [[]]


async def test_copies_to_a_version_that_is_gone_from_the_status_can_be_ended(world):
    """The mirror was written, and the status lost the version before it was ended."""
    await world.ensure(WHOLE)
    await world.show(TENTH)
    route = world.kube.raw(HTTP_ROUTES, "web")
    route["spec"]["rules"][0]["filters"][0]["requestMirror"]["backendRef"]["name"] = f"web-{'c' * 10}"
    world.kube.put(HTTP_ROUTES, route)
    assert await world.preview() == Preview("c" * 10, TENTH)
    assert await world.shares() == WHOLE.shares, "the weights are nobody else's"
    await world.show(None)
    assert world.filters() == [[]]


@pytest.mark.parametrize("filters", [[HEADER], [AUDIT], [copies(10), copies(20)]])
async def test_filters_that_somebody_adds_are_put_back(world, filters):
    await world.ensure(WHOLE)
    route = world.kube.raw(HTTP_ROUTES, "web")
    route["spec"]["rules"][0]["filters"] = filters
    world.kube.put(HTTP_ROUTES, route)
    assert await world.shares() == {}
    assert await world.ensure(WHOLE)
    assert await world.shares() == WHOLE.shares
    assert HEADER not in world.filters()[0]
    assert AUDIT not in world.filters()[0]


@pytest.mark.parametrize(("key", "value"), [("percent", 50), ("backendRef", {"name": f"web-{CANARY}", "port": 81})])
async def test_copies_that_somebody_edits_are_seen_to_differ(world, key, value):
    await world.ensure(WHOLE)
    await world.show(TENTH)
    route = world.kube.raw(HTTP_ROUTES, "web")
    route["spec"]["rules"][0]["filters"][0]["requestMirror"][key] = value
    world.kube.put(HTTP_ROUTES, route)
    assert await world.preview() != Preview(CANARY, TENTH)
    await world.show(TENTH)
    assert world.filters() == [[copies(10)]]


async def test_a_router_that_is_left_keeps_its_copies_until_they_are_ended(world):
    await world.ensure(WHOLE)
    await world.show(TENTH)
    assert await world.preview(left=True) == Preview(CANARY, TENTH)
    assert not await world.ensure(WHOLE, left=True)
    await world.show(None, left=True)
    assert world.filters() == [[]]
