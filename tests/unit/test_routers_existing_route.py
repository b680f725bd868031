"""The router `gatewayAPI` with `route`: ports, previews and copies, and what it does where it cannot do them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.api.names import BEFORE, RELEASE_LABEL
from controller.api.resources import HTTP_ROUTES, SERVICES, Resource
from controller.kube.client import ConflictError, InvalidError, NotFoundError
from controller.kube.host_names import HostNames
from controller.kube.objects import selector
from controller.ports import RoutedService, RouterContext, RouterError, TakenError, Weights
from controller.rollout.preview import Preview, Reach
from controller.routers import gateway_api
from tests.unit.contract.fakes import FakeKube

STABLE, CANARY = "a" * 10, "b" * 10
SPLIT = Weights({STABLE: 90.0, CANARY: 10.0})
BACKEND = {"name": "web", "port": 80, "weight": 1}
HEADER = Reach(header=("x-preview", "1"))


class PolicyKube(FakeKube):
    """With a policy that lets nobody change a route, for as long as it `refuses`; `most` writes are not in vain."""

    refuses = False
    most = 1000
    has_kind = True
    """Whether the API server knows HTTPRoutes."""

    async def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[dict[str, Any]]:
        if not self.has_kind:
            raise NotFoundError(404, "NotFound", "the server could not find the requested resource")
        return await super().list(resource, namespace, labels=labels)

    async def replace(self, resource: Resource, body: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        if self.refuses:
            raise InvalidError(403, "Forbidden", "denied by a policy")
        if not self.most:
            raise ConflictError(409, "Conflict", "somebody was faster")
        self.most -= 1
        return await super().replace(resource, body, strict=strict)


class World:
    def __init__(self) -> None:
        self.kube = PolicyKube()
        self.ports: dict[str, tuple[dict[str, Any], ...]] = {one: ({"port": 80},) for one in (STABLE, CANARY)}
        rules = [{"name": "all", "backendRefs": [BACKEND]}, {"backendRefs": [{"name": "other", "port": 80}]}]
        spec = {"parentRefs": [{"name": "gate"}], "hostnames": ["shop.example.com"], "rules": rules}
        self.put(HTTP_ROUTES, "public", spec)
        self.put(SERVICES, "web", {"selector": selector("web", STABLE)})

    def put(self, resource, name, spec, **metadata):
        self.kube.put(resource, {"metadata": {"name": name, "namespace": "shop", **metadata}, "spec": spec})

    async def router(self, name: str = "public", *, at_rest: bool = False, deleting: bool = False) -> Any:
        """`name`: of the route in the spec; empty: the spec has another router. "web" is the Release's own."""
        config = gateway_api.Config(route=gateway_api.NamedRoute(name)) if name else None
        if name == "web":
            config = gateway_api.Config(parent_refs=({"name": "gate"},))
        target = RoutedService("shop", "web", None, ({"port": 80},), self.ports)
        target = replace(target, at_rest=at_rest, deleting=deleting)
        router = gateway_api.create(config, target, RouterContext(self.kube, (HostNames(),)))
        self.weights = await router.observe()
        return router

    @property
    def route(self):
        found = self.kube.raw(HTTP_ROUTES, "public")
        assert found is not None
        return found


@pytest.fixture
def world():
    return World()


async def test_at_rest_it_leads_where_the_service_does(world):
    router = await world.router()
    assert world.weights == Weights({STABLE: 100.0})
    assert not router.holds
    assert not router.refused


async def test_a_service_that_selects_no_version_leads_to_none(world):
    world.put(SERVICES, "web", {"selector": {"app": "web"}})
    await world.router()
    assert world.weights == Weights({})


async def test_a_service_that_is_not_there_is_no_route(world):
    await world.kube.delete(SERVICES, "shop", "web")
    router = await world.router()
    assert world.weights is None
    assert await router.ensure(SPLIT)
    await world.router()
    assert world.weights == SPLIT


async def test_it_is_written_once_and_read_as_it_was_written(world):
    assert await (await world.router()).ensure(SPLIT)
    router = await world.router()
    assert world.weights == SPLIT
    assert router.holds
    writes = world.kube.writes
    assert not await router.ensure(SPLIT)
    assert world.kube.writes == writes


async def test_giving_back_twice_writes_once(world):
    before = world.route["spec"]
    router = await world.router()
    await router.ensure(SPLIT)
    await router.give_back()
    writes = world.kube.writes
    await router.give_back()
    await (await world.router()).give_back()
    assert world.kube.writes == writes
    assert world.route["spec"] == before


async def test_marks_go_after_the_backends_so_that_what_was_cut_off_between_is_found_again(world):
    before = world.route["spec"]
    await (await world.router()).ensure(SPLIT)
    router = await world.router()
    world.kube.most = 1
    with pytest.raises(ConflictError):
        await router.give_back()
    assert world.route["spec"] == before
    assert BEFORE in world.route["metadata"]["annotations"]
    router, world.kube.most = await world.router(), 1
    assert world.weights == Weights({STABLE: 100.0})
    assert router.holds
    await router.give_back()
    assert not (await world.router()).holds
    assert world.route["spec"] == before
    assert "annotations" not in world.route["metadata"]


async def test_a_route_that_may_not_be_given_back_is_said_and_holds_no_deletion_for_ever(world):
    await (await world.router()).ensure(SPLIT)
    world.kube.refuses = True
    router = await world.router()
    with pytest.raises(RouterError, match=r"refuses to give HTTPRoute shop/public back: denied by a policy"):
        await router.give_back()
    assert router.holds
    world.kube.refuses = False
    await router.give_back()
    assert not router.holds


async def test_rules_that_differ_are_as_good_as_weights_that_were_changed(world):
    await (await world.router()).ensure(SPLIT)
    route = world.route
    route["spec"]["rules"].append({"backendRefs": [BACKEND]})
    world.put(HTTP_ROUTES, "public", route["spec"], labels=route["metadata"]["labels"])
    await world.router()
    assert world.weights == Weights({})


async def test_a_write_over_what_somebody_wrote_meanwhile_is_refused(world):
    router = await world.router()
    spec = world.route["spec"] | {"hostnames": ["www.example.com"]}
    world.put(HTTP_ROUTES, "public", spec)
    with pytest.raises(ConflictError):
        await router.ensure(SPLIT)
    assert world.route["spec"] == spec


async def test_a_version_without_the_port_of_the_route_gets_nothing(world):
    world.ports[CANARY] = ({"port": 8080},)
    router, before = await world.router(), world.route
    with pytest.raises(RouterError, match=r"leads to port 80 of Service web, which revision b{10} does not have"):
        await router.ensure(SPLIT)
    assert world.route == before
    assert await router.ensure(Weights({STABLE: 100.0}))


async def test_a_rule_for_a_port_that_no_version_has_keeps_no_work_at_the_canary(world):
    await (await world.router()).ensure(SPLIT)
    route = world.route
    route["spec"]["rules"].append({"backendRefs": [{**BACKEND, "port": 9}]})
    marks = {key: route["metadata"][key] for key in ("labels", "annotations")}
    world.put(HTTP_ROUTES, "public", route["spec"], **marks)
    router = await world.router()
    with pytest.raises(RouterError, match="leads to port 9 of Service web"):
        await router.ensure(SPLIT)
    assert await router.ensure(Weights({STABLE: 100.0}, stable=STABLE))
    await world.router()
    assert world.weights == Weights({STABLE: 100.0})
    await router.give_back()
    assert [rule["backendRefs"][0]["name"] for rule in world.route["spec"]["rules"]] == ["web", "other", "web"]


async def test_a_service_of_somebody_else_that_is_named_as_a_version_is_left_alone(world):
    stranger = {"name": "web-management", "port": 80, "weight": 1}
    spec = {**world.route["spec"]}
    spec["rules"] = [*spec["rules"], {"name": "admin", "backendRefs": [stranger]}]
    world.put(HTTP_ROUTES, "public", spec)
    world.put(SERVICES, "web-management", {"selector": {"app": "management"}})
    router, before = await world.router(), world.route["spec"]
    assert world.weights == Weights({STABLE: 100.0})
    assert not router.holds
    assert await router.ensure(SPLIT)
    assert world.route["spec"]["rules"][2]["backendRefs"] == [stranger]
    router = await world.router()
    assert world.weights == SPLIT
    await router.give_back()
    assert world.route["spec"] == before
    assert not (await world.router()).holds


async def test_a_lost_version_whose_service_is_gone_is_given_back(world):
    await (await world.router()).ensure(SPLIT)
    del world.ports[CANARY]
    router = await world.router()
    await router.give_back()
    assert [rule["backendRefs"][0]["name"] for rule in world.route["spec"]["rules"]] == ["web", "other"]


async def test_a_route_that_is_split_for_another_release_is_taken(world):
    labels, annotations = {RELEASE_LABEL: "other"}, {BEFORE: "{}"}
    world.put(HTTP_ROUTES, "public", world.route["spec"], labels=labels, annotations=annotations)
    router = await world.router()
    with pytest.raises(TakenError, match="split for Release other now"):
        await router.ensure(SPLIT)
    await router.give_back()
    assert world.route["metadata"]["labels"] == labels


async def test_a_preview_has_the_rules_that_lead_to_the_service(world):
    router = await world.router()
    await router.show(Preview(CANARY, HEADER))
    (rule,) = (world.kube.raw(HTTP_ROUTES, "web-preview") or {})["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": f"web-{CANARY}", "port": 80}]
    assert (await (await world.router()).observe_preview()).preview == Preview(CANARY, HEADER)
    await (await world.router()).ensure(SPLIT)
    router = await world.router()
    assert (await router.observe_preview()).preview == Preview(CANARY, HEADER)
    await router.reset("")
    assert world.kube.raw(HTTP_ROUTES, "web-preview") is None


async def test_a_preview_by_everybodys_host_name_is_refused(world):
    router = await world.router()
    with pytest.raises(RouterError, match=r"shop\.example\.com is everybody's host name, by HTTPRoute shop/public"):
        await router.show(Preview(CANARY, Reach(hostnames=("shop.example.com",))))


async def test_requests_are_not_copied(world):
    router = await world.router()
    lack = await router.lacks(Reach(mirror=10.0))
    assert lack is not None
    assert lack.is_certain
    assert await router.lacks(HEADER) is None
    with pytest.raises(RouterError, match="does not copy requests"):
        await router.show(Preview(CANARY, Reach(mirror=10.0)))


async def test_a_router_that_is_left_finds_what_it_has_split(world):
    before = world.route["spec"]
    await (await world.router()).ensure(SPLIT)
    left = await world.router("")
    assert world.weights == SPLIT
    assert await left.ensure(Weights({STABLE: 100.0}))
    await left.reset(STABLE)
    assert world.route["spec"] == before


async def test_a_route_of_the_releases_own_gives_back_what_was_split_before_it(world):
    before = world.route["spec"]
    await (await world.router()).ensure(SPLIT)
    own = await world.router("web")
    assert world.weights is None
    assert own.holds
    await own.ensure(SPLIT)
    assert world.route["spec"] == before
    assert (await world.router("web")).holds is None


async def test_of_two_routes_that_are_split_both_are_seen_once_the_release_goes(world):
    """As where the process ended between two writes of a change that was taken back."""
    before = world.route["spec"]
    await (await world.router("web")).ensure(SPLIT)
    split = {**before, "rules": [{"backendRefs": [{**BACKEND, "name": f"web-{CANARY}"}]}]}
    world.put(HTTP_ROUTES, "public", split, labels={RELEASE_LABEL: "web"}, annotations={BEFORE: "{}"})
    own = await world.router("web", deleting=True)
    assert own.holds
    assert world.weights == Weights({}), "it is written anew"
    await own.ensure(SPLIT)
    assert world.route["spec"]["rules"][0]["backendRefs"] == [BACKEND]


async def test_of_a_release_at_rest_nothing_that_is_split_is_looked_for(world):
    await (await world.router()).ensure(SPLIT)
    assert (await world.router("web", at_rest=True)).holds is None
    assert (await world.router("", at_rest=True)).holds


@pytest.mark.parametrize("name", ["public", "web", ""])
async def test_where_there_are_no_routes_any_longer_none_is_given_back_and_a_release_can_go(world, name):
    await world.kube.delete(HTTP_ROUTES, "shop", "public")
    world.kube.has_kind = False
    router = await world.router(name, deleting=True)
    assert world.weights is None
    await router.give_back()
    await router.reset(STABLE)
