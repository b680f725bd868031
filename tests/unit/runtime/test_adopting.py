"""A Deployment with a Service in front becomes a Release: nothing is without pods, and until then all can be undone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller.api.names import BEFORE
from controller.api.resources import (
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    SERVICES,
    Resource,
)
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

LABELS = {"app": "web", "team": "a"}
SELECTOR = {"app": "web"}
ADOPT: Object = {"deployment": "old-web"}
TRAFFIC: dict[str, Object] = {
    "gatewayAPI": {"gatewayAPI": {"parentRefs": [{"name": "public"}], "hostnames": ["web.localhost"]}},
    "replicas": {"replicas": {}},
}


def runs_already_beside(world: World, *, replicas: int = 3) -> None:
    """Without the Service."""
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web:0"}]}}
    spec: Object = {"replicas": replicas, "selector": {"matchLabels": SELECTOR}, "template": template}
    world.create(DEPLOYMENTS, {"metadata": {"name": "old-web"}, "spec": spec})


def runs_already(world: World, *, replicas: int = 3, autoscaled: bool = False, **service: Any) -> None:
    runs_already_beside(world, replicas=replicas)
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}]
    front = {"selector": SELECTOR, "ports": ports, "clusterIP": "10.96.7.7", "type": "NodePort", **service}
    world.create(SERVICES, {"metadata": {"name": "web", "labels": labels}, "spec": front})
    if autoscaled:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "old-web"}
        scaling = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
        world.create(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "web"}, "spec": scaling})


def found(world: World, resource: Resource, name: str) -> Object:
    answer = world.api.handle("GET", resource.path(SHOP, name), {}, None)
    assert answer.status == 200, answer.body
    return copy.deepcopy(answer.body)


def as_it_was(item: Object) -> Object:
    """Without what each write changes."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in ("resourceVersion", "generation")}
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)
    return {**item, "metadata": metadata}


def all_of_it(world: World) -> list[Object]:
    scaled = world.api.objects(HORIZONTAL_POD_AUTOSCALERS.path())
    kept = [found(world, DEPLOYMENTS, "old-web"), found(world, SERVICES, "web"), *scaled]
    return [as_it_was(one) for one in kept]


def adopting(**spec: Any) -> Object:
    return release("web", adopt=ADOPT, **{"replicas": 2, **spec})


def ignored(world: World) -> list[str]:
    return [one["message"] for one in world.api.objects(EVENTS.path()) if one["reason"] == "AdoptionIgnored"]


def test_an_adoption_that_comes_too_late_is_said_once_and_touches_nothing():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 50}))
        world.start()
        await world.until_phase("web", "Healthy")
        runs_already_beside(world)
        before = as_it_was(found(world, DEPLOYMENTS, "old-web"))
        world.patch("web", {"spec": {"adopt": ADOPT}})
        await world.until(lambda: ignored(world))
        stable = world.status("web")["stableRevision"]
        world.commit("web", 2)
        await world.until(lambda: world.status("web")["stableRevision"] != stable)
        (said,) = ignored(world)
        assert said == (
            f"spec.adopt has no effect: {stable} is stable already, and Deployment old-web stays as it is. "
            "Leave spec.adopt out, or adopt it with a Release of its own."
        )
        assert as_it_was(found(world, DEPLOYMENTS, "old-web")) == before

    run(story)


@pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
def test_the_first_version_takes_the_service_and_the_deployment_rests_last(traffic):
    async def story(world: World) -> None:
        runs_already(world)
        world.create(RELEASES, adopting(traffic=traffic))
        world.start()

        def selected() -> Object:
            selector: Object = found(world, SERVICES, "web")["spec"]["selector"]
            return selector

        await world.until(lambda: selected() != SELECTOR)
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 3
        revision = selected()["pointsman.dev/revision"]
        version = found(world, DEPLOYMENTS, f"web-{revision}")
        assert version["status"]["readyReplicas"] == 3, "as many as there were, before any request comes"
        await world.until_phase("web", "Healthy")
        service = found(world, SERVICES, "web")
        assert service["spec"]["clusterIP"] == "10.96.7.7"
        assert service["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert "ownerReferences" not in service["metadata"]
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 0
        assert found(world, DEPLOYMENTS, f"web-{revision}")["spec"]["replicas"] == 2
        assert "adopts" not in world.status("web")
        assert world.status("web")["adopted"] == "old-web"
        assert not ignored(world)
        assert not world.release("web")["metadata"].get("finalizers")

    run(story)


def test_who_scales_the_deployment_up_afterwards_is_obeyed():
    async def story(world: World) -> None:
        runs_already(world)
        world.create(RELEASES, adopting())
        world.start()
        await world.until_phase("web", "Healthy")
        world.api.handle("PATCH", DEPLOYMENTS.path(SHOP, "old-web"), {}, {"spec": {"replicas": 1}})
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", version=2)
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 1

    run(story)


def test_an_autoscaler_goes_on_from_the_size_that_the_deployment_has_by_then():
    async def story(world: World) -> None:
        runs_already(world, autoscaled=True)
        world.create(RELEASES, adopting(replicas=1))
        # in the middle of scaling
        world.api.handle("PATCH", DEPLOYMENTS.path(SHOP, "old-web"), {}, {"spec": {"replicas": 5}})
        world.start()
        await world.until_phase("web", "Healthy")
        target = found(world, HORIZONTAL_POD_AUTOSCALERS, "web")["spec"]["scaleTargetRef"]
        assert target == {"apiVersion": "pointsman.dev/v1alpha1", "kind": "Release", "name": "web"}
        assert world.release("web")["spec"]["replicas"] == 5
        revision = world.status("web")["stableRevision"]
        assert found(world, DEPLOYMENTS, f"web-{revision}")["spec"]["replicas"] == 5
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 0

    run(story)


LIMITED: Object = {
    "bake": {"for": "1m", "holdback": "5%"},
    "analysis": {"metrics": [{"name": "floor", "template": "http-errors", "limit": {"max": "2%"}}]},
}


@pytest.mark.parametrize("traffic", TRAFFIC.values(), ids=TRAFFIC)
@pytest.mark.parametrize("end", ["abort", "delete", "orphan"])
def test_until_it_is_stable_everything_can_be_given_back(end, traffic):
    async def story(world: World) -> None:
        runs_already(world, autoscaled=True)
        before = all_of_it(world)
        policy = {"deletionPolicy": "Orphan"} if end == "orphan" else {}
        world.create(RELEASES, adopting(**LIMITED, **policy, traffic=traffic))
        world.start()
        await world.until_reason("web", "Baking")
        assert BEFORE in found(world, SERVICES, "web")["metadata"]["annotations"]
        assert BEFORE in found(world, HORIZONTAL_POD_AUTOSCALERS, "web")["metadata"]["annotations"]
        if end == "abort":
            world.ask("web", "abort")
            await world.until_phase("web", "RolledBack")
            await world.until_answered()
        else:
            world.delete("web")
            await world.until(lambda: not world.api.objects(RELEASES.path()))
        assert all_of_it(world) == before
        assert [one["metadata"]["name"] for one in world.api.objects(DEPLOYMENTS.path())] == ["old-web"]
        assert [one["metadata"]["name"] for one in world.api.objects(SERVICES.path())] == ["web"]
        assert not world.api.objects(HTTP_ROUTES.path())

    run(story)


def test_a_version_that_breaks_its_limit_gives_the_work_back_by_itself():
    async def story(world: World) -> None:
        runs_already(world)
        before = all_of_it(world)
        world.failing.add("web:1")
        world.create(RELEASES, adopting(**LIMITED))
        world.start()
        await world.until_phase("web", "RolledBack")
        assert all_of_it(world) == before
        assert "old-web has the work as before" in world.status("web")["message"]

    run(story)


def test_after_a_retry_it_is_taken_over_again():
    async def story(world: World) -> None:
        runs_already(world)
        world.create(RELEASES, adopting(**LIMITED))
        world.start()
        await world.until_reason("web", "Baking")
        revision = world.status("web")["canaryRevision"]
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        world.patch("web", {"metadata": {"annotations": {"pointsman.dev/retry": revision}}})
        await world.until_phase("web", "Healthy")
        assert found(world, DEPLOYMENTS, "old-web")["spec"]["replicas"] == 0

    run(story)


def pod(name: str, **labels: str) -> Object:
    owner = {"kind": "ReplicaSet", "name": "other-7c", "controller": True, "uid": "u-7"}
    return {"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "status": {"phase": "Running"}}


REFUSED: dict[str, tuple[Object, Object, str]] = {
    "no such Deployment": ({}, {"deployment": "web-old"}, "Deployment shop/web-old does not exist"),
    "a Service without a selector": ({"selector": None}, ADOPT, "Service shop/web has no selector"),
    "a Service of another Deployment": (
        {"selector": {"app": "x"}},
        ADOPT,
        "does not select the pods of Deployment old-web",
    ),
    "a Service without pods": ({"type": "ExternalName"}, ADOPT, "Service shop/web is an ExternalName"),
    "a Service without ports": ({"ports": None}, ADOPT, "Service shop/web has no ports"),
    "a Service of two Deployments": (
        {"selector": {"team": "a"}},
        ADOPT,
        "also selects pod other-1 of ReplicaSet other-7c",
    ),
}


@pytest.mark.parametrize(("service", "adopt", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_over_is_said_and_left_as_it_is(service, adopt, said):
    async def story(world: World) -> None:
        runs_already(world, **service)
        world.create(PODS, pod("other-1", team="a", app="other"))
        before = all_of_it(world)
        world.create(RELEASES, {**adopting(), "spec": {**adopting()["spec"], "adopt": adopt}})
        world.start()
        await world.until_reason("web", "AdoptionRefused")
        assert said in world.status("web")["message"]
        assert all_of_it(world) == before
        assert len(world.api.objects(DEPLOYMENTS.path())) == 1

    run(story)


def test_without_spec_adopt_a_taken_name_is_said_with_the_way_out():
    async def story(world: World) -> None:
        runs_already(world)
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_reason("web", "ServiceTaken")
        message = world.status("web")["message"]
        assert "spec.adopt" in message
        assert "another name" in message
        world.patch("web", {"spec": {"adopt": ADOPT}})
        await world.until_phase("web", "Healthy")

    run(story)
