"""A release, or the operator, goes while a new version is under way."""

import asyncio

from controller.api.resources import PODS, RELEASES
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
