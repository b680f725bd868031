"""A release, or the operator, goes while a new version is under way."""

import asyncio

import pytest

from controller.api.names import RELEASE_LABEL
from controller.api.resources import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    SERVICES,
    Resource,
)
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, weight

FINALIZER = "pointsman.dev/traffic"


async def _under_way(stall):
    await stall.given(release(weight(10), APPROVE))
    await stall.commit("2")
    await stall.until_phase("Paused")


async def test_a_release_deleted_while_its_operator_is_killed_at_every_other_write_goes(
    api_server, kube, node, tmp_path
):
    async with Stall.open(kube, node, api_server, tmp_path / "operator.log", seed=1) as stall:
        await _under_way(stall)
        await kube.delete(RELEASES, stall.namespace, stall.name)

        async def gone():
            found = await kube.find(RELEASES, stall.namespace, stall.name)
            return (
                found is None
                and not any((await stall.objects()).values())
                and not await kube.list(PODS, stall.namespace)
            )

        await _until(gone)


async def test_without_an_operator_a_release_goes_once_its_finalizer_is_taken_off(api_server, kube, node, tmp_path):
    async with Stall.open(kube, node, api_server, tmp_path / "operator.log") as stall:
        await _under_way(stall)
    await kube.delete(RELEASES, stall.namespace, stall.name)
    assert FINALIZER in (await stall.release())["metadata"]["finalizers"], "it is held; the README says how to go on"
    await kube.patch(RELEASES, stall.namespace, stall.name, {"metadata": {"finalizers": None}})

    async def gone():
        return await kube.find(RELEASES, stall.namespace, stall.name) is None

    await _until(gone)


async def _until(met, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not await met():  # noqa: ASYNC110 - the API server is asked, nothing in this process could tell
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("mid_release", [False, True], ids=["at-rest", "mid-release"])
async def test_orphan_that_is_set_later_keeps_everything_that_was_made_before(stall, mid_release):
    await stall.given(release(weight(10), APPROVE))
    if mid_release:
        await stall.commit("2")
        await stall.until_phase("Paused")
    await stall.edit(lambda body: body["spec"].update(deletionPolicy="Orphan"))

    async def left_alone():
        kinds = (CONTROLLER_REVISIONS, DEPLOYMENTS, HTTP_ROUTES, SERVICES)
        lists = [await stall.kube.list(kind, stall.namespace, labels=f"{RELEASE_LABEL}={stall.name}") for kind in kinds]
        return not any(item["metadata"].get("ownerReferences") for found in lists for item in found)

    await _until(left_alone)
    before = await stall.objects()
    await stall.kube.delete(RELEASES, stall.namespace, stall.name)
    # a second one, made the other way and deleted after it: once its objects are gone, the garbage collector has run
    await _owned_config_map_goes(stall)
    assert await stall.objects() == before


async def _owned_config_map_goes(stall):
    async def gone():
        return await stall.kube.find(RELEASES, stall.namespace, stall.name) is None

    await _until(gone)
    config_maps = Resource("", "v1", "configmaps", "ConfigMap")
    owner = await stall.kube.create(config_maps, stall.namespace, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = {"metadata": {"name": "child", "ownerReferences": [reference]}}
    await stall.kube.create(config_maps, stall.namespace, child)
    await stall.kube.delete(config_maps, stall.namespace, "owner")

    async def collected():
        return await stall.kube.find(config_maps, stall.namespace, "child") is None

    await _until(collected)
