"""`gatewayAPI.route`: somebody else's HTTPRoute is split during a rollout, and is as it was at rest and afterwards."""

from __future__ import annotations

import copy
from asyncio import sleep
from collections.abc import Callable
from typing import Any

import pytest

from controller.api.names import BEFORE, RELEASE_LABEL
from controller.api.resources import HTTP_ROUTES, RELEASES, SERVICES
from controller.cli.ejecting import _eject_each
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run
from tests.unit.runtime.test_adopting import LIMITED, adopting, all_of_it, as_it_was, found, runs_already
from tests.unit.runtime.test_ejecting import marks, person

ROUTE: Object = {"gatewayAPI": {"route": {"name": "public"}}}
OTHER: Object = {"backendRefs": [{"name": "search", "port": 80}], "matches": [{"path": {"value": "/search"}}]}
STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})


def leads(path: str = "/", *references: Object, **rule: Any) -> Object:
    backends = list(references) or [{"name": "web", "port": 80}]
    return {"matches": [{"path": {"value": path}}], "backendRefs": backends, **rule}


def there_is_a_route(world: World, *rules: Object) -> Object:
    """Named `public`, with two rules that lead to Service web, and one that does not."""
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}]
    given = list(rules) or [leads("/a", filters=filters), OTHER, leads("/b", {"name": "web", "port": 80, "weight": 7})]
    spec = {"parentRefs": [{"name": "gate"}], "hostnames": ["shop.example.com"], "rules": given}
    metadata = {"name": "public", "annotations": {"team": "a"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    world.create(HTTP_ROUTES, {"metadata": metadata, "spec": spec})
    return route(world)


def route(world: World) -> Object:
    item = as_it_was(found(world, HTTP_ROUTES, "public"))
    return {key: value for key, value in item.items() if key != "status"}


def backends(world: World) -> list[list[tuple[str, int]]]:
    """Of each rule."""
    return [
        [(one["name"], one.get("weight", 1)) for one in rule["backendRefs"]] for rule in route(world)["spec"]["rules"]
    ]


def edit(world: World, change: Callable[[Object], None]) -> None:
    """As whoever keeps the route."""
    item = found(world, HTTP_ROUTES, "public")
    change(item)
    assert world.api.handle("PUT", HTTP_ROUTES.path(SHOP, "public"), {}, item).status == 200


def version(world: World, which: str) -> str:
    return f"web-{world.status('web')[f'{which}Revision']}"


async def in_mid_release(world: World, traffic: Object = ROUTE) -> None:
    """20 % are at version 2."""
    world.create(RELEASES, release("web", *STEPS, traffic=traffic))
    world.start()
    await world.until_phase("web", "Healthy")
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")


def parts(world: World) -> list[tuple[str, int]]:
    stable, canary = version(world, "stable"), version(world, "canary")
    return sorted([(stable, 8000), (canary, 2000)])


def test_only_backends_of_the_service_are_split_and_at_rest_all_is_as_it_was():
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world)
        split = route(world)
        assert backends(world) == [parts(world), [("search", 1)], parts(world)]
        assert {one["port"] for one in split["spec"]["rules"][0]["backendRefs"]} == {80}
        without = {key: value for key, value in before["spec"].items() if key != "rules"}
        assert {key: split["spec"][key] for key in without} == without
        assert split["spec"]["rules"][0]["filters"] == before["spec"]["rules"][0]["filters"]
        assert split["metadata"]["annotations"].keys() == {"team", BEFORE}
        assert [one["metadata"]["name"] for one in world.api.objects(HTTP_ROUTES.path())] == ["public"]
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        await world.until(lambda: route(world) == before, 60)
        await world.until(lambda: not world.release("web")["metadata"].get("finalizers"), 60)

    run(story)


def test_the_first_version_takes_the_route_with_the_service():
    async def story(world: World) -> None:
        runs_already(world)
        before = there_is_a_route(world)
        world.create(RELEASES, adopting(traffic=ROUTE))
        world.start()
        await world.until(lambda: backends(world)[1] != backends(world)[0])
        assert found(world, SERVICES, "web")["spec"]["clusterIP"] == "10.96.7.7"
        await world.until_phase("web", "Healthy")
        await world.until(lambda: route(world) == before, 60)

    run(story)


@pytest.mark.parametrize("end", ["abort", "delete", "orphan"])
def test_an_adoption_that_ends_early_gives_the_route_back(end):
    async def story(world: World) -> None:
        runs_already(world, autoscaled=True)
        before = [there_is_a_route(world), *all_of_it(world)]
        policy = {"deletionPolicy": "Orphan"} if end == "orphan" else {}
        world.create(RELEASES, adopting(**LIMITED, **policy, traffic=ROUTE))
        world.start()
        await world.until_reason("web", "Baking")
        assert BEFORE in route(world)["metadata"]["annotations"]
        if end == "abort":
            world.ask("web", "abort")
            await world.until_phase("web", "RolledBack")
            await world.until_answered()
        else:
            world.delete("web")
            await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert [route(world), *all_of_it(world)] == before

    run(story)


@pytest.mark.parametrize("end", ["abort", "delete", "orphan"])
def test_a_rollout_that_ends_gives_the_route_back(end):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world)
        if end == "orphan":
            world.patch("web", {"spec": {"deletionPolicy": "Orphan"}})
            await world.until(lambda: world.status("web").get("deletionPolicy") == "Orphan")
        if end == "abort":
            world.ask("web", "abort")
            await world.until_phase("web", "RolledBack")
            await world.until(lambda: route(world) == before, 60)
        else:
            world.delete("web")
            await world.until(lambda: not world.api.objects(RELEASES.path()))
        version = found(world, HTTP_ROUTES, "public")["metadata"]["resourceVersion"]
        await sleep(30)  # a pass may follow that still has the Release in its cache
        assert found(world, HTTP_ROUTES, "public")["metadata"]["resourceVersion"] == version
        assert route(world) == before

    run(story)


def test_ejecting_leaves_the_route_as_it_was():
    async def story(world: World) -> None:
        runs_already(world)
        before = there_is_a_route(world)
        world.create(RELEASES, adopting(traffic=ROUTE))
        world.start()
        await world.until_phase("web", "Healthy")
        stable = world.status("web")["stableRevision"]
        await _eject_each(SHOP, [], person(world))
        assert route(world) == before
        service = found(world, SERVICES, "web")
        assert service["spec"]["selector"]["pointsman.dev/revision"] == stable
        assert not marks(service)

    run(story)


def test_what_others_change_in_mid_release_stays_and_weights_are_put_back():
    async def story(world: World) -> None:
        there_is_a_route(world)
        await in_mid_release(world)
        wanted = parts(world)

        def change(item: Object) -> None:
            spec = item["spec"]
            spec["hostnames"] = ["shop.example.com", "www.example.com"]
            # moved, and one more that leads to the Service; and somebody has a share of it for himself
            spec["rules"] = [leads("/c"), *reversed(spec["rules"])]
            spec["rules"][1]["backendRefs"][0]["weight"] = 1

        edit(world, change)
        split = [wanted, wanted, [("search", 1)], wanted]
        await world.until(lambda: backends(world) == split, 60)
        assert route(world)["spec"]["hostnames"] == ["shop.example.com", "www.example.com"]
        world.ask("web", "abort")
        await world.until(lambda: backends(world) == [[("web", 1)], [("web", 7)], [("search", 1)], [("web", 1)]], 60)
        assert not marks(found(world, HTTP_ROUTES, "public"))

    run(story)


def test_a_route_that_is_applied_again_from_git_is_split_again():
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world)
        wanted = backends(world)
        edit(world, lambda item: item["spec"].update(copy.deepcopy(before["spec"])))
        await world.until(lambda: backends(world) == wanted, 60)
        world.ask("web", "abort")
        await world.until(lambda: route(world) == before, 60)

    run(story)


def test_a_route_that_lost_its_marks_in_mid_release_is_given_back_all_the_same():
    async def story(world: World) -> None:
        there_is_a_route(world)
        await in_mid_release(world)
        edit(world, lambda item: item["metadata"].update(labels={}, annotations={}))
        world.ask("web", "approve")
        await world.until(lambda: backends(world) == [[("web", 1)], [("search", 1)], [("web", 1)]], 120)
        await world.until_phase("web", "Healthy", version=2)

    run(story)


def test_a_route_that_lost_its_marks_is_given_back_before_the_release_is_gone():
    async def story(world: World) -> None:
        there_is_a_route(world)
        await in_mid_release(world)
        edit(world, lambda item: item["metadata"].update(labels={}, annotations={}))
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert backends(world) == [[("web", 1)], [("search", 1)], [("web", 1)]]

    run(story)


def test_a_route_that_is_deleted_in_mid_release_is_said_and_split_again_once_it_is_there():
    async def story(world: World) -> None:
        there_is_a_route(world)
        await in_mid_release(world)
        wanted = backends(world)
        world.api.handle("DELETE", HTTP_ROUTES.path(SHOP, "public"), {}, None)
        await world.until_reason("web", "RouterRefused")
        assert world.status("web")["message"] == (
            "HTTPRoute shop/public does not exist. Create it, or correct spec.traffic.gatewayAPI.route.name."
        )
        before = there_is_a_route(world)
        await world.until(lambda: backends(world) == wanted, 120)
        world.ask("web", "abort")
        await world.until(lambda: route(world) == before, 60)

    run(story)


def test_a_release_whose_route_is_gone_can_be_deleted():
    async def story(world: World) -> None:
        there_is_a_route(world)
        await in_mid_release(world)
        world.api.handle("DELETE", HTTP_ROUTES.path(SHOP, "public"), {}, None)
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()), 60)

    run(story)


REFUSED: dict[str, tuple[tuple[Object, ...], str]] = {
    "no rule": ((OTHER,), "No rule of HTTPRoute shop/public leads to Service web."),
    "no weight": ((leads("/", {"name": "web", "port": 80, "weight": 0}),), "No rule of HTTPRoute shop/public leads to"),
    "beside others": (
        (leads("/a"), leads("/b", {"name": "web", "port": 80}, {"name": "old", "port": 80})),
        "Rule 2 of HTTPRoute shop/public has other backends beside Service web",
    ),
}


@pytest.mark.parametrize(("rules", "said"), REFUSED.values(), ids=REFUSED)
def test_a_route_that_cannot_be_split_is_said_before_anything_is_made_of_an_adoption(rules, said):
    async def story(world: World) -> None:
        runs_already(world)
        before = [there_is_a_route(world, *rules), *all_of_it(world)]
        world.create(RELEASES, adopting(traffic=ROUTE))
        world.start()
        await world.until_reason("web", "AdoptionRefused")
        assert said in world.status("web")["message"]
        assert [route(world), *all_of_it(world)] == before
        edit(world, lambda item: item["spec"].update(rules=[leads()]))
        await world.until_phase("web", "Healthy")

    run(story)


@pytest.mark.parametrize(("rules", "said"), REFUSED.values(), ids=REFUSED)
def test_a_route_that_cannot_be_split_is_said_without_an_adoption(rules, said):
    async def story(world: World) -> None:
        before = there_is_a_route(world, *rules)
        world.create(RELEASES, release("web", traffic=ROUTE))
        world.start()
        await world.until_reason("web", "RouterRefused")
        assert said in world.status("web")["message"]
        assert route(world) == before

    run(story)


def test_a_route_that_is_made_for_another_release_is_refused():
    async def story(world: World) -> None:
        world.create(RELEASES, release("public"))
        world.start()
        await world.until_phase("public", "Healthy")
        before = route(world)
        world.create(RELEASES, release("web", traffic=ROUTE))
        await world.until_reason("web", "RouteTaken")
        assert "HTTPRoute shop/public is made by Pointsman for Release public" in world.status("web")["message"]
        assert route(world) == before

    run(story)


def test_two_releases_of_one_route_take_turns():
    async def story(world: World) -> None:
        before = there_is_a_route(world, leads("/"), leads("/search", {"name": "search", "port": 80}))
        await in_mid_release(world)
        world.create(RELEASES, release("search", *STEPS, traffic=ROUTE))
        await world.until_reason("search", "RouteTaken")
        assert "HTTPRoute shop/public is split for Release web now" in world.status("search")["message"]
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        await world.until_phase("search", "Healthy")
        await world.until(lambda: route(world) == before, 60)

    run(story)


TRAFFIC: dict[str, Object] = {
    "a route of its own": {"gatewayAPI": {"route": None, "parentRefs": [{"name": "gate"}]}},
    "replicas": {"gatewayAPI": None, "replicas": {}},
    "another route": {"gatewayAPI": {"route": {"name": "second"}}},
}


@pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
def test_a_route_that_is_not_named_any_longer_is_given_back(traffic):
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        second = {"parentRefs": [{"name": "gate"}], "rules": [leads()]}
        world.create(HTTP_ROUTES, {"metadata": {"name": "second"}, "spec": second})
        await in_mid_release(world)
        world.patch("web", {"spec": {"traffic": traffic}})
        await world.until(lambda: route(world) == before, 120)
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", version=2)
        assert route(world) == before

    run(story)


def test_a_release_that_goes_while_its_router_is_left_gives_the_route_back():
    async def story(world: World) -> None:
        before = there_is_a_route(world)
        await in_mid_release(world)
        world.patch("web", {"spec": {"traffic": TRAFFIC["replicas"]}})
        await world.until(lambda: world.status("web").get("router") == "replicas")
        assert route(world) != before
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert route(world) == before

    run(story)


def test_a_route_of_its_own_goes_once_another_one_is_named():
    async def story(world: World) -> None:
        there_is_a_route(world)
        world.create(RELEASES, release("web", *STEPS))
        world.start()
        await world.until_phase("web", "Healthy")
        assert len(world.api.objects(HTTP_ROUTES.path())) == 2
        none = {"parentRefs": None, "hostnames": None, "rules": None}
        world.patch("web", {"spec": {"traffic": {"gatewayAPI": {**none, "route": {"name": "public"}}}}})
        await world.until(lambda: len(world.api.objects(HTTP_ROUTES.path())) == 1, 120)
        assert not [one for one in route(world)["metadata"].get("labels", {}) if one == RELEASE_LABEL]

    run(story)
