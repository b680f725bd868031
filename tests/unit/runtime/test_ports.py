"""Ports are part of a version: they come out with it, and go back with it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    RELEASE_ACTIONS,
    RELEASES,
    SERVICES,
)
from controller.api.revision import canonical_ports, first_revision_of
from controller.kube import objects
from controller.runtime import versions
from tests.unit.runtime.fake_api import Change, Object
from tests.unit.runtime.fault_world import SHOP, World, release, run

STEPS: tuple[Object, ...] = ({"weight": 20}, {"approve": {}})
OLD: list[Object] = [{"port": 80, "targetPort": 8080}]
EDITS: dict[str, list[Object]] = {
    "port": [{"port": 8000, "targetPort": 8080}],
    "targetPort": [{"port": 80, "targetPort": 9090}],
    "name": [{"port": 80, "targetPort": "http"}],
    "appProtocol": [{"port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"}],
    "second": [{"port": 80, "targetPort": 8080, "name": "http"}, {"port": 9000, "name": "admin"}],
}
EDITED = pytest.mark.parametrize("ports", EDITS.values(), ids=EDITS)


async def serving(world: World, *steps: Object, **spec: Any) -> None:
    world.create(RELEASES, release("web", *steps, service={"ports": OLD}, **spec))
    world.start()
    await world.until_phase("web", "Healthy")


def edit(world: World, ports: list[Object], **spec: Any) -> None:
    world.patch("web", {"spec": {"service": {"ports": ports}, **spec}})


def ports_of(world: World, name: str) -> list[Object]:
    answer = world.api.handle("GET", SERVICES.path(SHOP, name), {}, None)
    assert answer.status == 200, f"Service {name} is missing"
    return canonical_ports(answer.body["spec"]["ports"])


def backends(world: World) -> dict[str, int]:
    route = world.api.handle("GET", HTTP_ROUTES.path(SHOP, "web"), {}, None).body
    return {one["name"]: one["port"] for one in route["spec"]["rules"][0]["backendRefs"]}


def no_route_names_a_port_that_is_not_there(world: World) -> None:
    """From now on, after each write of it."""

    def look(change: Change) -> None:
        if change.collection == HTTP_ROUTES.path():
            for service, port in backends(world).items():
                assert port in [one["port"] for one in ports_of(world, service)], f"{service} has no port {port}"

    world.api.listeners.append(look)


@EDITED
def test_ports_changed_at_rest_are_a_new_version_that_is_judged(ports):
    async def story(world):
        await serving(world, *STEPS)
        stable = world.status("web")["stableRevision"]
        no_route_names_a_port_that_is_not_there(world)
        edit(world, ports)
        await world.until(lambda: world.status("web").get("weight") == 20)
        canary = world.status("web")["canaryRevision"]
        assert canary != stable
        assert ports_of(world, "web") == ports_of(world, f"web-{stable}") == canonical_ports(OLD)
        assert ports_of(world, f"web-{canary}") == canonical_ports(ports)
        assert backends(world) == {f"web-{stable}": 80, f"web-{canary}": ports[0]["port"]}
        world.ask("web", "approve")
        await world.until(lambda: world.status("web").get("phase") == "Healthy")
        assert ports_of(world, "web") == ports_of(world, f"web-{canary}") == canonical_ports(ports)

    run(story)


@EDITED
def test_ports_changed_in_mid_release_supersede_the_canary_and_no_route_names_a_port_that_is_not_there(ports):
    async def story(world):
        await serving(world, *STEPS)
        stable = world.status("web")["stableRevision"]
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 20)
        first = world.status("web")["canaryRevision"]
        no_route_names_a_port_that_is_not_there(world)
        edit(world, ports)
        await world.until(lambda: world.status("web").get("canaryRevision") not in (first, None))
        await world.until(lambda: world.status("web").get("weight") == 20)
        canary = world.status("web")["canaryRevision"]
        assert backends(world) == {f"web-{stable}": 80, f"web-{canary}": ports[0]["port"]}
        world.ask("web", "abort")
        await world.until_phase("web", "RolledBack")
        assert backends(world) == {f"web-{stable}": 80}
        assert ports_of(world, "web") == canonical_ports(OLD)

    run(story)


def test_container_port_and_target_port_changed_together_move_service_name_once():
    async def story(world):
        await serving(world, *STEPS)
        seen = [ports_of(world, "web")]

        def note(change):
            if change.object["metadata"]["name"] == "web" and change.collection == SERVICES.path():
                seen.extend([ports_of(world, "web")] if ports_of(world, "web") != seen[-1] else [])

        world.api.listeners.append(note)
        container = {"name": "web", "image": "web:2", "ports": [{"containerPort": 9090}]}
        edit(world, EDITS["targetPort"], template={"spec": {"containers": [container]}})
        await world.until(lambda: world.status("web").get("weight") == 20)
        world.ask("web", "approve")
        await world.until(lambda: world.status("web").get("phase") == "Healthy")
        assert seen == [canonical_ports(OLD), canonical_ports(EDITS["targetPort"])]

    run(story)


def test_a_rollback_to_an_older_version_brings_its_ports_back():
    async def story(world):
        await serving(world)
        old = world.status("web")["stableRevision"]
        edit(world, EDITS["port"])
        await world.until(
            lambda: world.status("web").get("phase") == "Healthy" and world.status("web")["stableRevision"] != old
        )
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
        stable = world.status("web")["stableRevision"]
        spec = {"release": "web", "action": "rollback", "revision": stable, "reason": "callers still use 80"}
        world.create(RELEASE_ACTIONS, {"metadata": {"name": "back"}, "spec": spec})
        await world.until(lambda: world.status("web").get("stableRevision") == old)
        await world.until_phase("web", "RolledBack")
        assert ports_of(world, "web") == ports_of(world, f"web-{old}") == canonical_ports(OLD)
        assert backends(world) == {f"web-{old}": 80}

    run(story)


def test_by_pods_versions_whose_target_ports_differ_are_not_mixed_and_that_is_said():
    async def story(world):
        await serving(world, {"weight": 50}, {"approve": {}}, traffic={"replicas": {}})
        stable = world.status("web")["stableRevision"]
        edit(world, EDITS["targetPort"])
        await world.until_reason("web", "RouterRefused")
        assert "targetPorts differ" in world.status("web")["message"]
        service = world.api.handle("GET", SERVICES.path(SHOP, "web"), {}, None).body
        assert service["spec"]["selector"]["pointsman.dev/revision"] == stable
        assert ports_of(world, "web") == canonical_ports(OLD)

    run(story)


def test_by_pods_a_port_changes_when_the_new_version_has_everything():
    async def story(world):
        await serving(world, {"weight": 50}, {"approve": {}}, traffic={"replicas": {}})
        edit(world, EDITS["port"])
        await world.until(lambda: world.status("web").get("weight") == 50)
        assert ports_of(world, "web") == canonical_ports(OLD)
        world.ask("web", "approve")
        await world.until(lambda: world.status("web").get("phase") == "Healthy")
        assert ports_of(world, "web") == canonical_ports(EDITS["port"])

    run(story)


# -- what the first operator has named ---------------------------------------------------------------------------------


def named_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions as 0.1 named them, with ControllerRevisions that hold no ports."""
    monkeypatch.setattr(
        versions,
        "revision_of",
        lambda cluster, namespace, name, template, _: first_revision_of(cluster, namespace, name, template),
    )
    made = objects.controller_revision

    def without_ports(*args: Any, **kwargs: Any) -> Object:
        body = made(*args, **kwargs)
        del body["data"]["ports"]
        return body

    monkeypatch.setattr("controller.runtime.object_executor.controller_revision", without_ports)


async def upgraded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    await followed(world, "b")


async def followed(world: World, name: str) -> None:
    """Another operator is in the place of the one that ran."""
    before = world.operators[-1]
    before.may_end = True
    await before.stop()
    after = world.start(name)
    await world.until(lambda: after.reconciles)


def test_an_upgrade_at_rest_starts_no_rollout(monkeypatch):
    async def story(world):
        named_as_before(monkeypatch)
        await serving(world, *STEPS)
        before = world.picture()
        await upgraded(world, monkeypatch)
        assert world.picture() == before
        edit(world, EDITS["port"])
        await world.until(lambda: world.status("web").get("weight") == 20)

    run(story)


def test_an_upgrade_in_mid_rollout_goes_on_with_it(monkeypatch):
    async def story(world):
        named_as_before(monkeypatch)
        await serving(world, *STEPS)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 20)
        before = world.picture()
        canary = world.status("web")["canaryRevision"]
        await upgraded(world, monkeypatch)
        assert world.picture() == before
        world.ask("web", "approve")
        await world.until(lambda: world.status("web").get("phase") == "Healthy")
        assert world.status("web")["stableRevision"] == canary
        assert all("ports" not in item["data"] for item in world.api.objects(CONTROLLER_REVISIONS.path()))

    run(story)


def test_ports_edited_after_an_upgrade_are_a_new_version_and_stay_one_when_the_old_one_is_gone(monkeypatch):
    async def story(world):
        named_as_before(monkeypatch)
        await serving(world)
        old = world.status("web")["stableRevision"]
        await upgraded(world, monkeypatch)
        edit(world, EDITS["port"])
        await world.until(lambda: world.status("web").get("previousStable") == old)
        await world.until_phase("web", "Healthy")
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
        attempts = world.status("web")["attempt"]
        world.patch("web", {"spec": {"replicas": 3}})
        await world.until(lambda: world.status("web").get("readyReplicas") == 3)
        assert world.status("web")["attempt"] == attempts

    run(story)


def test_what_a_step_back_has_released_under_its_old_name_is_not_released_again(monkeypatch):
    async def story(world):
        await serving(world, *STEPS)
        first = world.status("web")["stableRevision"]
        named_as_before(monkeypatch)
        await followed(world, "b")
        await world.until(lambda: world.status("web").get("weight") == 20)
        world.ask("web", "approve")
        await world.until(lambda: world.status("web")["stableRevision"] != first)
        await world.until_phase("web", "Healthy")
        await world.until(lambda: len(world.api.objects(DEPLOYMENTS.path())) == 1)
        before = world.picture()
        monkeypatch.undo()
        await followed(world, "c")
        world.patch("web", {"spec": {"replicas": 3}})
        await world.until(lambda: world.status("web").get("readyReplicas") == 3)
        assert (world.status("web")["previousStable"], world.status("web")["attempt"]) == (first, 1)
        world.patch("web", {"spec": {"replicas": 2}})
        await world.until(lambda: world.picture() == before)

    run(story)


def test_a_route_sends_to_the_first_tcp_port():
    """HTTP/3 is UDP on the same port, and was routed to where it came first."""

    async def story(world: World) -> None:
        ports = [{"port": 443, "name": "h3", "protocol": "UDP"}, {"port": 80, "name": "http"}]
        world.create(RELEASES, release("web", service={"ports": ports}))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        (route,) = world.api.objects(HTTP_ROUTES.path())
        assert [one["port"] for one in route["spec"]["rules"][0]["backendRefs"]] == [80]

    run(story)
