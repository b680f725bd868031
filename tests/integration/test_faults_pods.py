"""Pods of a new version that never serve, serve now and then, or have no room."""

import asyncio
import contextlib
import itertools

from controller.api.resources import Resource
from tests.integration.operator_fixture import APPROVE, pause, release, weight

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")


async def test_pods_that_are_never_ready_are_the_versions_fault(stall):
    await stall.given(release(weight(10), pause(1), progressDeadlineSeconds=2))
    stable = (await stall.status())["stableRevision"]
    stall.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] else "unready"
    await stall.commit("2")
    done = await stall.until_phase("RolledBack")
    assert done["reason"] == "ProgressDeadlineExceeded"
    assert await stall.shares() == {stable: 10000}


async def test_pods_without_a_node_wait_beyond_the_deadline_and_nothing_is_rejected(stall):
    await stall.given(release(weight(10), pause(0.1), progressDeadlineSeconds=2))
    stable = (await stall.status())["stableRevision"]
    stall.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] else "unschedulable"
    await stall.commit("2")
    await stall.until(lambda status: status.get("reason") == "NoCapacity")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            await stall.until(lambda status: status.get("reason") != "NoCapacity")
    waiting = await stall.status()
    assert (waiting["phase"], waiting["reason"]) == ("Waiting", "NoCapacity")
    assert "cannot be scheduled" in waiting["message"]
    assert "rejected" not in waiting
    stall.node.behave = lambda _: "ready"
    assert (await stall.until_phase("Healthy"))["stableRevision"] == waiting["canaryRevision"]


async def test_a_secret_that_is_missing_is_named_before_and_in_the_rollback(stall):
    await stall.given(release(weight(10), pause(1), progressDeadlineSeconds=6))
    stable = (await stall.status())["stableRevision"]
    stall.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] else "config"
    await stall.commit("2")
    waiting = await stall.until(lambda status: status.get("reason") == "ContainerConfig")
    assert 'secret "db" not found' in waiting["message"]
    done = await stall.until_phase("RolledBack")
    assert 'secret "db" not found' in done["message"]


async def test_a_canary_that_flaps_is_taken_back_after_its_deadline(stall):
    await stall.given(release(weight(50), APPROVE, progressDeadlineSeconds=6))
    stable = (await stall.status())["stableRevision"]
    await stall.commit("2")
    await stall.until_phase("Paused")
    turns = itertools.count()
    # the node looks at each pod ten times a second: a second ready, a second not, for ever
    stall.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] or next(turns) % 20 < 10 else "unready"
    done = await stall.until_phase("RolledBack")
    assert done["reason"] == "ProgressDeadlineExceeded"
    assert "never steadily" in done["message"]
    assert await stall.shares() == {stable: 10000}


async def test_a_quota_on_pods_waits_for_room_and_goes_on_when_it_is_raised(stall):
    await stall.given(release(weight(50), pause(0.1), progressDeadlineSeconds=600))
    await _allow(stall, {"pods": "2"})
    await stall.commit("2")
    waiting = await stall.until(lambda status: status.get("reason") == "NoCapacity")
    assert waiting["phase"] == "Waiting"
    assert "exceeded quota" in waiting["message"]
    assert "rejected" not in waiting
    await _allow(stall, {"pods": "10"})
    assert (await stall.until_phase("Healthy"))["stableRevision"] == waiting["canaryRevision"]


async def test_a_quota_on_deployments_is_said_and_nothing_is_rejected(stall):
    await stall.given(release(weight(50), pause(0.1)))
    stable = (await stall.status())["stableRevision"]
    await _allow(stall, {"count/deployments.apps": "1"})
    await stall.commit("2")
    invalid = await stall.until_phase("Invalid")
    assert "exceeded quota" in invalid["message"]
    assert "rejected" not in invalid
    assert await stall.shares() == {stable: 10000}
    await _allow(stall, {"count/deployments.apps": "5"})
    done = await stall.until_phase("Healthy")
    assert done["stableRevision"] != stable


async def _allow(stall, hard):
    """Sets the namespace's quota; returns when it is in force."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "most"}, "spec": {"hard": hard}}
    if await stall.kube.find(QUOTAS, stall.namespace, "most") is None:
        await stall.kube.create(QUOTAS, stall.namespace, body)
    else:
        await stall.kube.patch(QUOTAS, stall.namespace, "most", body)
    async with asyncio.timeout(20):
        while (await stall.kube.get(QUOTAS, stall.namespace, "most")).get("status", {}).get("hard") != hard:  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)
