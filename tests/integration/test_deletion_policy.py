"""`deletionPolicy: Orphan` set, and the Release deleted at once: a policy of a real API server holds it back until no
object has it for an owner. No operator is there, as when it is slow or down.
"""

import asyncio

import pytest

from controller.api.resources import NAMESPACES, RELEASES, SERVICES
from controller.kube.client import InvalidError
from tests.integration.operator_fixture import release, weight
from tests.integration.rights_fixture import connected, control_plane, install

ORPHANING = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("deletion-policy")) as running:
        yield running


@pytest.fixture
async def admin(plane):
    async with connected(plane, "admin", group="system:masters") as kube:
        if await kube.find(NAMESPACES, None, "shop") is None:
            await kube.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
            await _given(kube, "control")
            await _orphan(kube, "control")
            await install(kube, "admission.yaml")
            await _until_refused(kube)
        yield kube


async def _given(kube, name, **status):
    """A Release at rest, with a Service of its own."""
    body = release(weight(10), traffic={"replicas": {}})
    made = await kube.create(RELEASES, "shop", {**body, "metadata": {"name": name}})
    owner = {"apiVersion": made["apiVersion"], "kind": "Release", "name": name, "uid": made["metadata"]["uid"]}
    metadata = {"name": name, "ownerReferences": [owner]}
    await kube.create(SERVICES, "shop", {"metadata": metadata, "spec": {"clusterIP": "None", "selector": {"a": "b"}}})
    told = {"status": {"phase": "Healthy", "observedGeneration": 1, **status}}
    await kube.patch(RELEASES, "shop", name, told, "status")


async def _orphan(kube, name):
    await kube.patch(RELEASES, "shop", name, {"spec": {"deletionPolicy": "Orphan"}})


async def _until_refused(kube):
    """A policy takes a moment until the API server has compiled it."""
    path = RELEASES.path("shop", "control")
    async with asyncio.timeout(30):
        while True:
            try:
                await kube.request("DELETE", path, query={"dryRun": "All"})
            except InvalidError:
                return
            await asyncio.sleep(0.1)


async def _until(met):
    async with asyncio.timeout(60):
        while not await met():  # noqa: ASYNC110 - the API server is asked, nothing in this process could tell
            await asyncio.sleep(0.2)


async def test_orphan_holds_from_the_moment_at_which_it_is_set(admin):
    await _given(admin, "web")
    await _orphan(admin, "web")
    with pytest.raises(InvalidError, match=r"Orphan of Release web is not in force yet.*--cascade=orphan"):
        await admin.delete(RELEASES, "shop", "web")
    with pytest.raises(InvalidError, match="is not in force yet"):
        await admin.request("DELETE", RELEASES.path("shop"))  # all at once
    await admin.request("DELETE", RELEASES.path("shop", "web"), body=ORPHANING)

    async def without_owner():
        gone = await admin.find(RELEASES, "shop", "web") is None
        return gone and not (await admin.get(SERVICES, "shop", "web"))["metadata"].get("ownerReferences")

    await _until(without_owner)


async def test_what_is_in_force_delays_nobody(admin):
    await _given(admin, "api", deletionPolicy="Orphan")
    await _orphan(admin, "api")
    assert await admin.delete(RELEASES, "shop", "api")
    await _given(admin, "old")
    assert await admin.delete(RELEASES, "shop", "old")
    body = release(weight(10), traffic={"replicas": {}})
    body["spec"]["deletionPolicy"] = "Orphan"
    await admin.create(RELEASES, "shop", {**body, "metadata": {"name": "new"}})  # nothing is made of it yet
    assert await admin.delete(RELEASES, "shop", "new")


async def test_a_namespace_takes_along_what_would_be_held_back(admin):
    await admin.delete(NAMESPACES, None, "shop")

    async def gone():
        return await admin.find(NAMESPACES, None, "shop") is None

    await _until(gone)
