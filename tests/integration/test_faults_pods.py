"""Pods of a new version that never serve, serve now and then, or have no room."""

import asyncio
import contextlib
import itertools
import time

import pytest

from controller.api.names import REVISION_LABEL
from controller.api.resources import ANALYSIS_RUNS, DEPLOYMENTS, EVENTS, PODS, Resource
from controller.cli.viewing import explanation_of
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
    await stall.given(release(weight(10), pause(0.1), progressDeadlineSeconds=6))
    stable = (await stall.status())["stableRevision"]
    stall.node.behave = lambda pod: "ready" if stable in pod["metadata"]["name"] else "unschedulable"
    await stall.commit("2")
    await stall.until(lambda status: status.get("reason") == "NoCapacity")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(8):
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


async def test_what_the_pods_of_a_rejected_version_said_is_in_a_record_and_explained(stall):
    """No metric compares anything, so there was no AnalysisRun. There is no kubelet, so there are no logs."""
    await stall.given(release(weight(50), APPROVE))
    await stall.commit("2")
    canary = (await stall.until_phase("Paused"))["canaryRevision"]
    labels = f"{REVISION_LABEL}={canary}"
    pod = (await stall.kube.list(PODS, stall.namespace, labels=labels))[0]["metadata"]["name"]
    about = {"kind": "Pod", "name": pod, "namespace": stall.namespace, "apiVersion": "v1"}
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.1"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "count": 7,
    }
    await stall.kube.create(EVENTS, stall.namespace, body)
    stall.node.let(canary, "crash")
    done = await stall.until_phase("RolledBack")
    assert "owed" not in done
    run = await stall.kube.get(ANALYSIS_RUNS, stall.namespace, f"web-{canary}-{done['attempt']}")
    kept = run["status"]["podEvidence"]
    exit_ = kept["exits"][0]
    assert (exit_["reason"], exit_["exitCode"], exit_["restarts"]) == ("OOMKilled", 137, 3)
    assert exit_["message"] == "token=[masked]"
    assert [(event["reason"], event["count"]) for event in kept["events"]] == [("BackOff", 7)]
    assert any(sentence.startswith(f"the log of {pod}, container") for sentence in kept["notKept"])
    assert (run["status"]["verdict"], run["status"]["message"]) == ("regression", done["message"])
    found = await explanation_of(stall.kube, stall.namespace, "web")
    text = "\n".join(found.lines(time.time()))
    assert f"kept of {canary}, before its pods were scaled down (" in text
    assert f"{pod}, container web: exit code 137 (SIGKILL), OOMKilled, 3 restarts, waits (CrashLoopBackOff)" in text
    assert "event BackOff of Pod" in text
    assert "not kept: the log of" in text
    assert found.as_json()["podEvidence"] == kept


@pytest.mark.parametrize("traffic", [{}, {"traffic": {"replicas": {}}}], ids=["gatewayAPI", "replicas"])
async def test_one_pod_of_a_rejected_version_stays_without_work_and_then_goes(stall, traffic):
    await stall.given(release(weight(50), APPROVE, keepFailed="1h", replicas=4, **traffic))
    await stall.commit("2")
    paused = await stall.until_phase("Paused")
    stable, canary = paused["stableRevision"], paused["canaryRevision"]
    stall.node.let(canary, "crash")
    done = await stall.until_phase("RolledBack")
    stall.node.let(canary, "ready")  # it could serve now
    assert f"1 pod of {canary} stays without work until" in done["message"]
    deployment = await stall.kube.get(DEPLOYMENTS, stall.namespace, f"web-{canary}")
    assert deployment["spec"]["replicas"] == 1
    assert (await stall.selected())["pointsman.dev/revision"] == stable
    assert await stall.shares() == ({} if traffic else {stable: 10000})
    await stall.commit("3")
    third = (await stall.until_phase("Paused"))["canaryRevision"]
    there = (await stall.objects())["Deployment"]
    assert there == sorted(f"web-{one}" for one in ([stable, third] if traffic else [stable, canary, third]))
    await stall.edit(lambda release: release["spec"].pop("keepFailed"))
    await stall.until(lambda status: "failedKeptUntil" not in status)
    async with asyncio.timeout(20):
        while len((await stall.objects())["Deployment"]) != 2:  # noqa: ASYNC110 - the API server is asked
            await asyncio.sleep(0.1)


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
