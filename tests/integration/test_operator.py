"""The operator against a real API server and real controllers; only the kubelet is played."""

import asyncio
import json
import random
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from controller.api.resources import DEPLOYMENTS, EVENTS, HTTP_ROUTES, LEASES, PODS, RELEASE_ACTIONS, RELEASES
from controller.runtime.operator import LEASE_NAME
from tests.e2e.patience import until
from tests.integration.operator_fixture import APPROVE, OperatorProcess, Shop, pause, release, weight

FINALIZER = "pointsman.dev/traffic"


async def test_a_good_version_is_promoted_step_by_step_and_the_old_one_goes(shop):
    await shop.given(release(weight(10), pause(1), weight(50), pause(1)))
    first = (await shop.status())["stableRevision"]
    await shop.commit("2")
    at_ten = await shop.until(lambda status: status.get("weight") == 10 and not status.get("weightPending"))
    canary = at_ten["canaryRevision"]
    assert await shop.shares() == {first: 9000, canary: 1000}
    assert FINALIZER in (await shop.release())["metadata"]["finalizers"]
    assert (await shop.selected())["pointsman.dev/revision"] == first
    await shop.until(lambda status: status.get("weight") == 50)
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == canary
    assert await shop.shares() == {canary: 10000}
    assert (await shop.selected())["pointsman.dev/revision"] == canary
    assert "finalizers" not in (await shop.release())["metadata"]
    ready = next(condition for condition in done["conditions"] if condition["type"] == "Ready")
    assert ready["status"] == "True"
    objects = await shop.objects()
    assert objects["Deployment"] == [f"web-{canary}"]
    assert objects["Service"] == ["web", f"web-{canary}"]
    assert len(objects["ControllerRevision"]) == 2


async def test_each_version_has_its_turn_with_the_template_it_was_asked_for_with(shop):
    await shop.given(release(weight(10), pause(2), onNewVersion="queue"))
    versions = {}
    for version in ("2", "3", "4"):
        await shop.commit(version)
        seen = await shop.until(lambda status: status.get("canaryRevision"))
        versions[version] = (seen.get("queuedRevisions") or [seen["canaryRevision"]])[-1]
    assert seen["canaryRevision"] == versions["2"]
    assert seen["message"].endswith(f"; {versions['3']}, then {versions['4']} will follow")
    shop.operator.kill()
    shop.operator.start()
    for version in ("3", "4"):
        await shop.until(lambda status, wanted=versions[version]: status.get("canaryRevision") == wanted)
        # the status names a version before anything of it is made
        made = await until(
            partial(shop.kube.find, DEPLOYMENTS, shop.namespace, f"web-{versions[version]}"),
            f"version {version} is made",
        )
        assert made["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == version
    done = await shop.until_phase("Healthy")
    assert done["stableRevision"] == versions["4"]


async def test_a_first_deployment_is_never_called_judged(shop):
    await shop.given(release(weight(10), pause(1)))
    status = await shop.status()
    assert status["judged"] == "FirstDeployment"
    assert status["attempt"] == 0


async def test_a_version_that_crashes_is_rolled_back_and_stays_rejected(shop):
    await shop.given(release(weight(10), pause(1)))
    stable = (await shop.status())["stableRevision"]
    shop.node.behave = lambda pod: "crash" if pod["spec"]["containers"][0]["env"][0]["value"] == "bad" else "ready"
    await shop.commit("bad")
    rolled_back = await shop.until_phase("RolledBack")
    assert rolled_back["reason"] == "CrashLoop"
    assert await shop.shares() == {stable: 10000}
    await shop.commit("1")
    assert (await shop.until_phase("Healthy"))["lastRollback"]["reason"] == "CrashLoop"
    await shop.commit("bad")
    again = await shop.until_phase("RolledBack")
    assert again["attempt"] == rolled_back["attempt"], "a rejected version does not even begin"
    assert (await shop.objects())["Deployment"] == [f"web-{stable}"]


async def test_an_image_that_cannot_be_pulled_waits_and_is_not_rejected(shop):
    await shop.given(release(weight(10), pause(1)))
    shop.node.behave = lambda pod: "pull" if pod["spec"]["containers"][0]["env"][0]["value"] == "2" else "ready"
    await shop.commit("2")
    waiting = await shop.until(lambda status: status.get("reason") == "ImagePull")
    assert waiting["phase"] == "Waiting"
    assert "rejected" not in waiting
    shop.node.behave = lambda _: "ready"
    assert (await shop.until_phase("Healthy"))["stableRevision"] == waiting["canaryRevision"]


async def test_all_canary_pods_lost_gives_their_work_to_stable_at_once(shop):
    await shop.given(release(weight(50), pause(60)))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 50))["canaryRevision"]
    shop.node.let(canary, "unready")
    lost = await shop.until(lambda status: status.get("reason") == "CanaryUnready")
    assert (lost["phase"], lost["weight"]) == ("Waiting", 0)
    assert await shop.shares() == {stable: 10000}
    shop.node.let(canary, "ready")
    await shop.until(lambda status: status.get("weight") == 50)


async def test_a_template_the_api_server_refuses_moves_nothing_and_says_its_sentence(shop):
    await shop.given(release(weight(10), pause(1)))
    stable = (await shop.status())["stableRevision"]
    await shop.edit(lambda body: body["spec"]["template"]["spec"]["containers"][0].update(imagePullPolicy="Sometimes"))
    invalid = await shop.until_phase("Invalid")
    assert 'Unsupported value: "Sometimes"' in invalid["message"]
    assert await shop.shares() == {stable: 10000}
    assert (await shop.objects())["Deployment"] == [f"web-{stable}"]
    await shop.edit(lambda body: body["spec"]["template"]["spec"]["containers"][0].pop("imagePullPolicy"))
    await shop.until_phase("Healthy")


async def test_a_spec_that_cannot_be_meant_takes_the_canary_off_and_a_mended_one_goes_on(shop):
    await shop.given(release(weight(10), pause(60)))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status.get("weight") == 10)
    shrinking = [{"weight": 10}, {"weight": "0.5%"}]
    await shop.edit(lambda body: body["spec"]["strategy"]["canary"].update(steps=shrinking))
    invalid = await shop.until_phase("Invalid")
    assert invalid["message"].startswith("spec.strategy.canary.steps[1].weight: 0.5 is less than the step before it")
    assert await shop.shares() == {stable: 10000}
    await shop.edit(lambda body: body["spec"]["strategy"]["canary"].update(steps=[weight(10), pause(1)]))
    done = await shop.until_phase("Healthy")
    assert done["attempt"] == 1
    assert done["stableRevision"] == invalid["canaryRevision"]


async def test_another_version_in_mid_release_starts_at_step_one_and_stable_again_ends_it(shop):
    await shop.given(release(weight(10), pause(60)))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    second = await shop.until(lambda status: status.get("weight") == 10)
    await shop.commit("3")
    third = await shop.until(
        lambda status: status.get("weight") == 10 and status["canaryRevision"] != second["canaryRevision"]
    )
    assert third["attempt"] == second["attempt"] + 1
    await shop.commit("1")
    healthy = await shop.until_phase("Healthy")
    assert healthy["stableRevision"] == stable
    assert "rejected" not in healthy
    assert (await shop.objects())["Deployment"] == [f"web-{stable}"]


async def test_approve_abort_wait_get_and_explain(shop):
    await shop.given(release(weight(10), APPROVE, weight(50), APPROVE))
    stable = (await shop.status())["stableRevision"]
    assert (await shop.command("wait", "web"))[0] == 0
    code, text = await shop.command("approve", "web")
    assert (code, "no release of web is under way" in text) == (1, True)
    await shop.commit("2")
    await shop.until_phase("Paused")
    assert (await shop.command("wait", "web"))[0] == 3
    code, text = await shop.command("explain", "web")
    assert code == 0
    assert "waiting for approval" in text
    assert f"pointsman approve web -n {shop.namespace}" in text
    assert (await shop.command("approve", "web"))[0] == 0
    at_fifty = await shop.until(lambda status: status.get("weight") == 50 and status["phase"] == "Paused")
    assert at_fifty["progress"] == "4/4", "one approval passes one step"
    code, text = await shop.command("get", "web", "--output", "json")
    row = json.loads(text)[0]
    assert (row["phase"], row["weight"], row["reason"], row["ready"]) == ("Paused", 50, "AwaitingApproval", "False")
    code, text = await shop.command("abort", "web", "--reason", "customers complain")
    assert code == 0, text
    status = await shop.until_phase("RolledBack")
    assert status["reason"] == "Aborted"
    assert status["lastRollback"]["message"].endswith("customers complain")
    assert await shop.shares() == {stable: 10000}
    assert (await shop.command("wait", "web"))[0] == 1
    results = [item["status"]["result"] for item in await shop.kube.list(RELEASE_ACTIONS, shop.namespace)]
    assert results == ["Accepted", "Accepted"]


async def test_commands_say_in_one_sentence_what_is_wrong(shop):
    code, text = await shop.command("explain", "nobody")
    assert (code, text.count("\n")) == (1, 1)
    assert "no Release 'nobody'" in text


async def test_a_route_edited_by_hand_is_put_back(shop):
    await shop.given(release(weight(10), pause(1)))
    stable = (await shop.status())["stableRevision"]
    route = await shop.kube.get(HTTP_ROUTES, shop.namespace, "web")
    route["spec"]["hostnames"] = ["other.localhost"]
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
    await shop.kube.replace(HTTP_ROUTES, route)

    async def put_back():
        found = await shop.kube.find(HTTP_ROUTES, shop.namespace, "web")
        return found is not None and found["spec"]["hostnames"] == ["web.localhost"] and await shop.shares() == whole

    whole = {stable: 10000}
    await _until(put_back)
    await shop.kube.delete(HTTP_ROUTES, shop.namespace, "web")
    await _until(put_back)


async def test_deleting_in_mid_release_takes_everything_along(shop):
    await shop.given(release(weight(10), pause(60)))
    await shop.commit("2")
    await shop.until(lambda status: status.get("weight") == 10)
    await shop.kube.delete(RELEASES, shop.namespace, "web")

    async def gone():
        release = await shop.kube.find(RELEASES, shop.namespace, "web")
        left = await shop.objects()
        pods = await shop.kube.list(PODS, shop.namespace)
        return release is None and not any(left.values()) and not pods

    await _until(gone)


async def test_by_pod_count_the_service_selects_both_versions_while_they_share(shop):
    await shop.given(release(weight(25), pause(2), replicas=4, traffic={"replicas": {}}))
    stable = (await shop.status())["stableRevision"]
    assert await shop.selected() == {"pointsman.dev/release": "web", "pointsman.dev/revision": stable}
    await shop.commit("2")
    canary = (await shop.until(lambda status: status.get("weight") == 25))["canaryRevision"]
    assert await shop.selected() == {"pointsman.dev/release": "web"}

    async def shared():
        sizes = {
            item["metadata"]["labels"]["pointsman.dev/revision"]: item["spec"]["replicas"]
            for item in await shop.kube.list(DEPLOYMENTS, shop.namespace)
        }
        return sizes == {stable: 3, canary: 1}

    await _until(shared)
    await shop.until_phase("Healthy")
    assert await shop.selected() == {"pointsman.dev/release": "web", "pointsman.dev/revision": canary}


async def test_replicas_follow_the_scale_subresource_also_in_mid_release(shop):
    await shop.given(release(weight(10), pause(60)))
    stable = (await shop.status())["stableRevision"]
    await shop.commit("2")
    await shop.until(lambda status: status.get("weight") == 10)
    await shop.kube.patch(RELEASES, shop.namespace, "web", {"spec": {"replicas": 5}}, "scale")

    async def grown():
        found = await shop.kube.get(DEPLOYMENTS, shop.namespace, f"web-{stable}")
        return found["spec"]["replicas"] == 5

    await _until(grown)
    assert (await shop.status())["canaryRevision"], "the release goes on"


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_moment_it_ends_the_same(shop, seed):
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    await shop.given(release(weight(10), pause(0.5), weight(50), pause(0.5)))
    await shop.commit("2")
    for _ in range(5):
        # it takes a second or two until a new one leads: some are killed before, most after that
        await asyncio.sleep(dice.uniform(0.05, 5))
        shop.operator.kill()
        shop.operator.start()
    done = await shop.until_phase("Healthy")
    assert await shop.shares() == {done["stableRevision"]: 10000}
    assert (await shop.objects())["Deployment"] == [f"web-{done['stableRevision']}"]
    assert done["attempt"] == 1


async def test_a_second_operator_takes_over_and_the_first_ones_end_is_clean(shop, second_operator):
    await shop.given(release(weight(10), pause(1)))
    second_operator.start()
    assert shop.operator.stop() == 0
    await shop.commit("2")
    await shop.until_phase("Healthy")


async def test_two_that_are_stopped_at_once_end_cleanly_and_neither_keeps_the_lease(shop, second_operator):
    """As all pods of a Deployment are. The first process of a container hears SIGTERM only where it has a handler."""
    await until(lambda: "leads" in shop.operator.log.read_text(), "the first one leads")
    second_operator.start()
    await until(lambda: "standing by" in second_operator.log.read_text(), "the second one stands by")
    codes = await asyncio.gather(asyncio.to_thread(second_operator.stop), asyncio.to_thread(shop.operator.stop))
    assert set(codes) == {0}
    assert (await shop.kube.get(LEASES, shop.namespace, LEASE_NAME))["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.5, 1.0])
async def test_it_is_stopped_while_it_starts(api_server, namespace, tmp_path, seconds):
    """Before Python runs its first line there is no handler; from then on there is."""
    starting = OperatorProcess(api_server, namespace, tmp_path / "operator.log")
    with starting.running():
        await until(lambda: hears_sigterm(starting), "it has a handler")
        assert "leads" not in starting.log.read_text(), "long before it works"
        await asyncio.sleep(seconds)
        assert await asyncio.to_thread(starting.stop) == 0, starting.log.read_text()


def hears_sigterm(operator):
    status = Path(f"/proc/{operator.pid}/status").read_text()
    caught = int(re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[0], 16)
    return caught >> (signal.SIGTERM - 1) & 1


async def test_another_pod_leads_once_the_lease_of_a_killed_one_has_run_out(
    api_server, kube, namespace, node, tmp_path
):
    lease_s = 5.0
    first, second = (
        OperatorProcess(api_server, namespace, tmp_path / f"{name}.log", lease_s=lease_s)
        for name in ("first", "second")
    )
    shop = Shop(kube, namespace, node, first, api_server)
    with first.running(), second.running():
        await shop.given(release(weight(10), pause(0.5)))
        leader = (await kube.get(LEASES, namespace, LEASE_NAME))["spec"]["holderIdentity"]
        (first if leader.startswith("first") else second).kill()
        await shop.commit("2")
        await shop.until(lambda status: status.get("phase") == "Healthy" and status.get("attempt") == 1)
        lease = (await kube.get(LEASES, namespace, LEASE_NAME))["spec"]
        assert lease["holderIdentity"].partition("_")[0] == ("second" if leader.startswith("first") else "first")


async def test_each_turn_is_told_as_an_event_once(shop):
    await shop.given(release(weight(10), pause(0.5)))
    await shop.commit("2")
    await shop.until_phase("Healthy")
    expected = {"FirstDeployment", "NewVersion", "Weight", "StepDone", "Promoted"}

    async def told():
        events = await shop.kube.list(EVENTS, shop.namespace)
        reasons = [event["reason"] for event in events if event["involvedObject"]["kind"] == "Release"]
        return expected <= set(reasons) and reasons.count("Promoted") == 1

    await _until(told)


async def _until(met, seconds=120.0):
    async with asyncio.timeout(seconds):
        while not await met():  # noqa: ASYNC110 - the API server is asked, nothing in this process could tell
            await asyncio.sleep(0.1)
