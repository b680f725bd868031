"""A child changed by hand, against a real API server that fills in its defaults and rolls the pods."""

import asyncio

from controller.api.resources import DEPLOYMENTS, EVENTS, SERVICES
from controller.kube.client import MERGE_PATCH
from tests.integration.operator_fixture import APPROVE, release, weight


async def test_an_image_and_a_selector_set_by_hand_are_put_back_with_an_event(shop):
    await shop.given(release(weight(50), APPROVE))
    await shop.commit("2")
    waiting = await shop.until_phase("Paused")
    for revision in (waiting["stableRevision"], waiting["canaryRevision"]):
        name = f"web-{revision}"
        pods = {"containers": [{"name": "web", "image": "web:unjudged"}]}
        before = await shop.kube.get(DEPLOYMENTS, shop.namespace, name)
        await _by_hand(shop, DEPLOYMENTS, name, {"template": {"spec": pods}}, "kubectl-set")
        await _until(shop, DEPLOYMENTS, name, lambda found, kept=before: _counted(found) == _counted(kept))
        before = await shop.kube.get(SERVICES, shop.namespace, name)
        await _by_hand(shop, SERVICES, name, {"selector": {"app": "nobody"}}, "kubectl-edit")
        await _until(shop, SERVICES, name, lambda found, kept=before: found["spec"] == kept["spec"])
    await shop.until(lambda status: status["reason"] == "AwaitingApproval" and status["weight"] == 50)
    assert (await shop.command("approve", "web", "--reason", "as it was"))[0] == 0
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == waiting["canaryRevision"]
    for writer in ("kubectl-set", "kubectl-edit"):
        await _said(shop, f"was changed by hand ({writer})")


async def test_at_rest_what_the_api_server_fills_in_is_no_change(stall):
    await stall.given(release())
    name = f"web-{(await stall.status())['stableRevision']}"
    before = await stall.kube.get(DEPLOYMENTS, stall.namespace, name)
    await stall.operator.looks(5)
    after = await stall.kube.get(DEPLOYMENTS, stall.namespace, name)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert (await stall.status())["phase"] == "Healthy"


def _counted(deployment):
    return {key: value for key, value in deployment["spec"].items() if key != "replicas"}


async def _by_hand(shop, resource, name, spec, manager):
    path, query = resource.path(shop.namespace, name), {"fieldManager": manager}
    await shop.kube.request("PATCH", path, body={"spec": spec}, query=query, content_type=MERGE_PATCH)


async def _until(shop, resource, name, met):
    async with asyncio.timeout(30):
        while not met(await shop.kube.get(resource, shop.namespace, name)):  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)


async def _said(shop, words):
    found: list[str] = []
    try:
        async with asyncio.timeout(30):
            while not any(words in one for one in found):
                found = [one.get("message", "") for one in await shop.kube.list(EVENTS, shop.namespace)]
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError([one for one in found if "by hand" in one]) from None
