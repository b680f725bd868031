"""`baseline: fresh` against a real API server: objects of a baseline, made of stable's version and gone with it."""

import asyncio

from controller.api.resources import CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES
from tests.integration.operator_fixture import APPROVE, release, weight

METRICS = {"metrics": [{"name": "errors", "template": "nothing", "margin": {}}]}
"""There is no such template: steps wait for it, which `promote --full` ends."""
FRESH = {"canary": {"baseline": "fresh", "steps": [weight(20), APPROVE]}}


async def test_a_baseline_is_stable_under_another_name_and_leaves_nothing_behind(stall):
    await stall.given(release(analysis=METRICS))
    stable = (await stall.status())["stableRevision"]
    await stall.commit("2", strategy=FRESH)
    begun = await stall.until(lambda status: "baselineRevision" in status)
    baseline, canary = begun["baselineRevision"], begun["canaryRevision"]
    await _until(stall, lambda objects: f"web-{baseline}" in objects["Service"])
    made, of = [await stall.kube.get(DEPLOYMENTS, stall.namespace, f"web-{one}") for one in (baseline, stable)]
    assert _pods(made) == _pods(of)
    assert made["spec"]["template"]["metadata"]["labels"]["pointsman.dev/revision"] == baseline
    assert made["spec"]["replicas"] == 1
    services = [await stall.kube.get(SERVICES, stall.namespace, f"web-{one}") for one in (baseline, stable)]
    assert _ports(services[0]) == _ports(services[1])
    kept = await stall.kube.list(CONTROLLER_REVISIONS, stall.namespace, labels=f"pointsman.dev/release={stall.name}")
    assert {item["metadata"]["name"] for item in kept} == {f"web-{stable}", f"web-{canary}"}
    await stall.ask("promote", canary)
    done = await stall.until_phase("Healthy")
    assert done["stableRevision"] == canary
    assert "baselineRevision" not in done
    await _until(stall, lambda objects: objects["Deployment"] == [f"web-{canary}"])
    assert await stall.shares() == {canary: 10000}


async def test_a_baseline_changed_by_hand_is_put_back(stall):
    await stall.given(release(analysis=METRICS))
    await stall.commit("2", strategy=FRESH)
    baseline = (await stall.until(lambda status: "baselineRevision" in status))["baselineRevision"]
    name = f"web-{baseline}"
    await _until(stall, lambda objects: name in objects["Service"])
    before = await stall.kube.get(DEPLOYMENTS, stall.namespace, name)
    pods = {"containers": [{"name": "web", "image": "web:unjudged"}]}
    await stall.kube.patch(DEPLOYMENTS, stall.namespace, name, {"spec": {"template": {"spec": pods}}})
    async with asyncio.timeout(30):
        while _pods(await stall.kube.get(DEPLOYMENTS, stall.namespace, name)) != _pods(before):  # noqa: ASYNC110 - asks
            await asyncio.sleep(0.1)


async def test_a_release_that_compares_nothing_has_no_baseline(stall):
    await stall.given(release())
    await stall.commit("2", strategy=FRESH)
    status = await stall.until_phase("Paused")
    assert "baselineRevision" not in status
    assert len(await stall.shares()) == 2


def _pods(deployment):
    return deployment["spec"]["template"]["spec"]


def _ports(service):
    return [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]]


async def _until(stall, met):
    async with asyncio.timeout(60):
        while not met(await stall.objects()):  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)
