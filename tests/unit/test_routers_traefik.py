"""The router `traefik`: how a route that serves is led to a TraefikService."""

import pytest

from controller.api.resources import HTTP_ROUTES, TRAEFIK_SERVICES
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.clock import SteadyClock
from controller.kube.host_names import HostNames
from controller.ports import RoutedService, RouterContext, RouterError, TakenError, Weights
from controller.routers import gateway_api, traefik
from tests.unit.contract.fakes import FakeKube

STABLE, CANARY = "a" * 10, "b" * 10
WHOLE, SPLIT = Weights({STABLE: 100.0}), Weights({STABLE: 90.0, CANARY: 10.0})
PARENTS = ({"name": "public"},)
REFERENCE = {"group": "traefik.io", "kind": "TraefikService", "name": "web"}
START = 1_800_000_000.0


class Kube(FakeKube):
    """It dates what it keeps."""

    def __init__(self):
        super().__init__()
        self.now = START
        self.refused = None
        """A resource whose changes are refused, except for where a route leads."""

    async def create(self, resource, namespace, body, *, strict=False):
        assert strict, "a field that is misspelt is refused"
        if resource == self.refused:
            raise NotFoundError(404, "NotFound", "the server could not find the requested resource")
        return await super().create(resource, namespace, body, strict=strict)

    async def replace(self, resource, body, *, strict=False):
        if resource == self.refused and strict:
            raise InvalidError(422, "Invalid", "no such field")
        return await super().replace(resource, body, strict=strict)

    def _keep(self, resource, body):
        written = [
            {
                "manager": "pointsman",
                "time": f"2027-01-15T08:{int(self.now - START) // 60:02}:{int(self.now - START) % 60:02}Z",
            }
        ]
        kept = {**body, "metadata": {**body["metadata"], "managedFields": written, "namespace": "shop"}}
        return super()._keep(resource, kept)


class World:
    def __init__(self):
        self.kube = Kube()

    def router(self, module=traefik, *, left=False, cookie="", **fields):
        config = None if left else module.Config(parent_refs=PARENTS, **fields)
        ports = ({"port": 80},)
        target = RoutedService("shop", "web", None, ports, {STABLE: ports, CANARY: ports}, cookie)
        clock = SteadyClock(lambda: self.kube.now, lambda: self.kube.now)
        return module.create(config, target, RouterContext(self.kube, (HostNames(), clock)))

    async def ensure(self, weights, module=traefik, **more):
        router = self.router(module, **more)
        await router.observe()
        return await router.ensure(weights)

    async def shares(self, **more):
        seen = await self.router(**more).observe()
        return None if seen is None else dict(seen.shares)

    def leads_to(self):
        return (self.kube.raw(HTTP_ROUTES, "web") or {})["spec"]["rules"][0]["backendRefs"]

    def services(self):
        found = (self.kube.raw(TRAEFIK_SERVICES, "web") or {})["spec"]["weighted"]["services"]
        return {one["name"].removeprefix("web-"): one["weight"] for one in found}


@pytest.fixture
def world():
    return World()


async def test_a_new_route_leads_to_its_traefik_service_at_once(world):
    await world.ensure(SPLIT)
    assert world.leads_to() == [REFERENCE]
    assert world.services() == {STABLE: 9_000, CANARY: 1_000}


async def test_a_route_that_serves_is_led_there_in_three_writes_with_time_between_them(world):
    await world.ensure(WHOLE, gateway_api)
    before = world.leads_to()
    for expected in ([*before], [*before, {**REFERENCE, "weight": 0}], [REFERENCE]):
        await world.ensure(WHOLE)
        assert world.leads_to() == expected
        assert (await world.shares() == {STABLE: 100.0}) == (expected == [REFERENCE])
        for _ in range(3):  # nothing more before Traefik has had its time
            assert not await world.ensure(WHOLE)
        assert world.leads_to() == expected
        world.kube.now += 6


async def test_a_gateway_that_cannot_lead_there_keeps_the_route_as_it_serves(world):
    await world.ensure(WHOLE, gateway_api)
    for _ in range(2):
        await world.ensure(WHOLE)
        world.kube.now += 6
    route = world.kube.raw(HTTP_ROUTES, "web")
    unknown = {"type": "ResolvedRefs", "status": "False", "message": "unsupported HTTPBackendRef"}
    accepted = {"type": "Accepted", "status": "True"}
    route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": [accepted, unknown]}]}
    world.kube.put(HTTP_ROUTES, route)
    world.kube.now += 60
    assert not await world.ensure(WHOLE)
    seen = await world.router().observe()
    assert "Gateway shop/public cannot send where the route leads (unsupported HTTPBackendRef)" in seen.signs.refused
    assert world.leads_to()[0]["name"] == f"web-{STABLE}"


async def test_the_router_that_is_left_keeps_its_hands_off_a_route_that_was_taken_over(world):
    await world.ensure(SPLIT)
    left = world.router(gateway_api, left=True)
    assert await left.observe() is None
    assert not await left.ensure(WHOLE)
    await left.reset(STABLE)
    assert world.leads_to() == [REFERENCE]


async def test_a_route_that_is_taken_back_keeps_its_traefik_service_until_it_is_left(world):
    await world.ensure(WHOLE)
    await world.ensure(WHOLE, gateway_api)
    assert [one["name"] for one in world.leads_to()] == [f"web-{STABLE}"]
    assert world.kube.raw(TRAEFIK_SERVICES, "web") is not None
    left = world.router(left=True)
    assert await left.observe() is None
    await left.reset(STABLE)
    assert world.kube.raw(TRAEFIK_SERVICES, "web") is None
    assert [one["name"] for one in world.leads_to()] == [f"web-{STABLE}"]


async def test_a_test_reference_goes_before_its_traefik_service(world):
    await world.ensure(WHOLE, gateway_api)
    await world.ensure(WHOLE)
    world.kube.now += 6
    await world.ensure(WHOLE)
    assert len(world.leads_to()) == 2
    left = world.router(left=True)
    await left.observe()
    await left.reset(STABLE)
    assert [one["name"] for one in world.leads_to()] == [f"web-{STABLE}"]
    assert world.kube.raw(TRAEFIK_SERVICES, "web") is None


async def test_a_change_of_mind_before_the_last_write_is_nobodys_edit(world):
    """The reference without requests is ours: the route still leads where gatewayAPI has led it."""
    await world.ensure(WHOLE, gateway_api)
    await world.ensure(WHOLE)
    world.kube.now += 6
    await world.ensure(WHOLE)
    assert len(world.leads_to()) == 2
    router = world.router(gateway_api)
    assert (await router.observe()).shares == WHOLE.shares
    assert await world.ensure(SPLIT, gateway_api), "its weights can move"
    assert (await world.router(gateway_api).observe()).shares == SPLIT.shares
    left = world.router(left=True)
    await left.observe()
    await left.reset(STABLE)
    assert (await world.router(gateway_api).observe()).shares == SPLIT.shares
    assert {one["name"] for one in world.leads_to()} == {f"web-{STABLE}", f"web-{CANARY}"}


async def test_a_reference_that_somebody_else_adds_is_an_edit_also_without_requests(world):
    await world.ensure(WHOLE, gateway_api)
    route = world.kube.raw(HTTP_ROUTES, "web")
    route["spec"]["rules"][0]["backendRefs"].append({"kind": "Service", "name": "other", "port": 80, "weight": 0})
    world.kube.put(HTTP_ROUTES, route)
    assert (await world.router(gateway_api).observe()).shares == {}


async def test_weights_move_while_the_route_is_refused(world):
    await world.ensure(SPLIT)
    world.kube.refused = HTTP_ROUTES
    with pytest.raises(RouterError, match="the API server refuses the route"):
        await world.ensure(WHOLE, hostnames=("other.example.com",))
    assert world.services() == {STABLE: 10_000}


async def test_a_cluster_without_traefiks_crds_is_told_what_to_install(world):
    world.kube.refused = TRAEFIK_SERVICES
    with pytest.raises(RouterError, match="install Traefik's CRDs"):
        await world.ensure(WHOLE)
    assert world.kube.raw(HTTP_ROUTES, "web") is None, "no route leads to nothing"


async def test_a_foreign_traefik_service_keeps_its_weights_when_the_router_is_left(world):
    await world.ensure(SPLIT)
    found = world.kube.raw(TRAEFIK_SERVICES, "web")
    found["metadata"]["labels"] = {}
    world.kube.put(TRAEFIK_SERVICES, found)
    with pytest.raises(TakenError):
        await world.ensure(WHOLE, left=True)
    assert world.services() == {STABLE: 9_000, CANARY: 1_000}


@pytest.mark.parametrize(
    "edit", [{"sticky": {"cookie": {}}}, {"services": [{"name": f"web-{CANARY}", "port": 80, "weight": 1}]}]
)
async def test_what_somebody_edits_in_a_traefik_service_is_seen_and_put_back(world, edit):
    await world.ensure(WHOLE)
    found = world.kube.raw(TRAEFIK_SERVICES, "web")
    found["spec"]["weighted"] |= edit
    world.kube.put(TRAEFIK_SERVICES, found)
    assert await world.shares() != {STABLE: 100.0}
    assert await world.ensure(WHOLE)
    assert await world.shares() == {STABLE: 100.0}


async def test_a_cookie_keeps_each_client_with_one_version(world):
    await world.ensure(SPLIT, cookie="version")
    weighted = world.kube.raw(TRAEFIK_SERVICES, "web")["spec"]["weighted"]
    assert weighted["sticky"] == {"cookie": {"name": "version", "httpOnly": True, "sameSite": "lax"}}
    assert await world.shares(cookie="version") == SPLIT.shares
    assert await world.shares(cookie="other") == {}, "another cookie is written"
    assert await world.shares() == {}, "one that the spec does not ask for is taken away"
    await world.ensure(WHOLE)
    assert "sticky" not in world.kube.raw(TRAEFIK_SERVICES, "web")["spec"]["weighted"]


async def test_a_cookie_stays_where_the_weights_alone_are_written(world):
    await world.ensure(SPLIT, cookie="version")
    await world.ensure(WHOLE, left=True)
    weighted = world.kube.raw(TRAEFIK_SERVICES, "web")["spec"]["weighted"]
    assert [one["weight"] for one in weighted["services"]] == [10_000]
    assert weighted["sticky"]["cookie"]["name"] == "version"
