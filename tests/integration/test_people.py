"""What people ask for, through the command line, against a real API server and a real operator."""

import asyncio
import json
import time

import pytest

from controller.api.resources import RELEASE_ACTIONS
from controller.kube.client import InvalidError
from controller.runtime.sweeping import sweep
from tests.integration.operator_fixture import APPROVE, pause, release, set_version, weight


async def test_skip_pause_and_resume(shop):
    await shop.given(release(weight(10), pause(600), weight(50), APPROVE))
    await shop.commit("2")
    await shop.until(lambda status: status.get("reason") == "Pausing")
    code, text = await shop.command("pause", "web", "--reason", "campaign")
    assert (code, text) == (0, "web: paused at 10 %: steps wait; looks and rollbacks go on\n")
    paused = await shop.until(lambda status: status.get("reason") == "PausedByPerson")
    assert paused["message"].startswith("step 2/4: paused by admin: campaign")
    code, text = await shop.command("skip", "web")
    assert (code, text) == (1, "web: refused: it is paused by admin: campaign; resume it first\n")
    code, text = await shop.command("explain", "web")
    assert f"pointsman resume web -n {shop.namespace}" in text
    assert (await shop.command("resume", "web"))[0] == 0
    code, text = await shop.command("skip", "web", "--output", "json")
    told = json.loads(text)
    assert (code, told["result"], told["action"]) == (0, "Accepted", "skip")
    assert told["message"] == "step 2/4 skipped, unproven: no metric is compared"
    await shop.until(lambda status: status.get("weight") == 50)


async def test_promote_in_full_is_for_those_who_say_so_and_why(shop):
    await shop.given(release(weight(10), APPROVE, APPROVE))
    await shop.commit("2")
    canary = (await shop.until_phase("Paused"))["canaryRevision"]
    code, text = await shop.command("promote", "web", "--reason", "fixes the outage")
    assert (code, "say --full" in text) == (2, True)
    assert (await shop.command("promote", "web", "--full"))[0] == 2
    assert (await shop.command("promote", "web", "--full", "--reason", " "))[0] == 2
    code, text = await shop.command("promote", "web", "--full", "--reason", "fixes the outage")
    assert code == 0, text
    done = await shop.until_phase("Healthy")
    assert (done["stableRevision"], done["reason"]) == (canary, "PromotedByPerson")
    assert await shop.shares() == {canary: 10000}


async def test_rollback_leaves_a_healthy_version_and_retry_brings_it_back(shop):
    await shop.given(release(weight(50), pause(0.2)))
    first = (await shop.status())["stableRevision"]
    assert (await shop.command("rollback", "web"))[1].startswith("web: refused: no version was stable before")
    await shop.commit("2")
    second = (await shop.until(lambda s: s.get("phase") == "Healthy" and s["stableRevision"] != first))[
        "stableRevision"
    ]
    code, text = await shop.command("rollback", "web", "--reason", "orders are lost")
    assert (code, text) == (0, f"web: rolling back from {second} to {first}: first its pods, then the traffic\n")
    back = await shop.until_phase("RolledBack")
    assert (back["stableRevision"], back["reason"]) == (first, "RolledBackByPerson")
    assert back["message"] == "rolled back by admin: orders are lost"
    assert await shop.shares() == {first: 10000}
    assert (await shop.objects())["Deployment"] == [f"web-{first}"]
    code, text = await shop.command("retry", "web", second, "--reason", "a false alarm")
    assert code == 0, text
    again = await shop.until_phase("Healthy")
    assert (again["stableRevision"], again["attempt"]) == (second, back["attempt"] + 1)
    assert "rejected" not in again


async def test_the_annotation_retries_a_rejected_version_once(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    canary = (await shop.until_phase("Paused"))["canaryRevision"]
    assert (await shop.command("abort", "web", "--reason", "no"))[0] == 0
    await shop.until_phase("RolledBack")
    await shop.edit(lambda body: body["metadata"].setdefault("annotations", {}).update({"pointsman.dev/retry": canary}))
    assert (await shop.until_phase("Paused"))["attempt"] == 2
    assert (await shop.command("abort", "web", "--reason", "still no"))[0] == 0
    rejected = await shop.until_phase("RolledBack")
    await shop.edit(lambda body: body["spec"].update(replicas=3))
    assert (await shop.until_phase("RolledBack"))["attempt"] == rejected["attempt"] == 2


async def test_a_rollback_is_carried_on_by_the_next_operator(shop):
    await shop.given(release(weight(50), pause(0.2)))
    first = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status.get("phase") == "Healthy" and status["stableRevision"] != first)
    shop.node.let(first, "unready")
    assert (await shop.command("rollback", "web"))[0] == 0
    await shop.until(lambda status: status.get("returningTo") == first)
    shop.operator.kill()
    shop.node.let(first, "ready")
    shop.operator.start()
    back = await shop.until_phase("RolledBack")
    assert back["stableRevision"] == first
    results = [item["status"]["result"] for item in await shop.kube.list(RELEASE_ACTIONS, shop.namespace)]
    assert results == ["Accepted"]


async def test_a_rolled_back_version_is_gone_back_to_only_while_it_is_kept(shop):
    await shop.given(release(weight(10), APPROVE, revisionHistoryLimit=1))
    code, text = await shop.command("rollback", "web", "--to", "aaaaaaaaaa")
    assert code == 1
    assert "aaaaaaaaaa is no longer kept (spec.revisionHistoryLimit); kept are: none" in text


async def test_a_request_never_changes(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    await shop.until_phase("Paused")
    await shop.command("approve", "web")
    (asked,) = await shop.kube.list(RELEASE_ACTIONS, shop.namespace)
    with pytest.raises(InvalidError, match="never changes"):
        await shop.kube.replace(RELEASE_ACTIONS, {**asked, "spec": asked["spec"] | {"action": "resume"}})


async def test_requests_are_kept_for_a_week(kube, namespace):
    for name in ("answered", "forgotten"):
        body = {
            "apiVersion": RELEASE_ACTIONS.api_version,
            "kind": RELEASE_ACTIONS.kind,
            "metadata": {"name": name},
            "spec": {"release": "web", "revision": "aaaaaaaaaa", "action": "pause"},
        }
        await kube.create(RELEASE_ACTIONS, namespace, body)
    day = 86400
    answer = {"result": "Refused", "message": "no", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    await kube.patch(RELEASE_ACTIONS, namespace, "answered", {"status": answer}, "status")
    assert await sweep(kube, namespace, time.time() + 6.9 * day, set()) == 0
    assert await sweep(kube, namespace, time.time() + 7.1 * day, set()) == 2
    assert await kube.list(RELEASE_ACTIONS, namespace) == []


async def test_another_version_by_then_is_left_alone(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    second = (await shop.until_phase("Paused"))["canaryRevision"]
    await shop.edit(lambda body: set_version(body, "3"))
    await shop.until(lambda status: status.get("phase") == "Paused" and status["canaryRevision"] != second)
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"name": "late"},
        "spec": {"release": "web", "revision": second, "action": "abort", "reason": "too late"},
    }
    await shop.kube.create(RELEASE_ACTIONS, shop.namespace, body)
    async with asyncio.timeout(20):
        while not (found := await shop.kube.get(RELEASE_ACTIONS, shop.namespace, "late")).get("status"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert found["status"]["result"] == "Refused"
    assert f"it is for revision {second}, but the canary is " in found["status"]["message"]


async def test_watch_says_each_change_in_a_log_and_ends_as_wait_does(shop):
    await shop.given(release(weight(10), APPROVE))
    await shop.commit("2")
    code, text = await shop.command("watch", "web", "--until-done")
    assert code == 3
    rows = [row.split(" ", 1)[1] for row in text.splitlines()]
    assert rows[-1] == "Paused (AwaitingApproval), step 2/2, weight 10 %"
    assert len(set(rows)) == len(rows)
    assert (await shop.command("abort", "web", "--reason", "no"))[0] == 0
    assert (await shop.command("watch", "web", "--until-done"))[0] == 1
    code, text = await shop.command("watch", "nobody")
    assert (code, "no Release 'nobody'" in text) == (1, True)
