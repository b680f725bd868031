"""What `pointsman sync` may not do, cannot read or has no time for keeps nothing else from being applied."""

import asyncio
import json
import socket
import time

from controller.api.names import REPOSITORY_LABEL
from controller.api.resources import CONFIG_MAPS, CRDS
from controller.kube.applying import Discovery
from controller.sync.manifests import Manifest
from controller.sync.planning import Place, plan
from tests.git_fixture import certificate, server
from tests.integration.sync_fixture import config_map, deployment, origin, ready, shop

__all__ = ["certificate", "origin", "server", "shop"]


async def test_an_account_that_may_not_write_writes_nothing(shop, kube):
    await shop.allow({"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get"]})
    shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert status["failures"][0]["what"] == f"ConfigMap {shop.namespace}/a"
    assert f'system:serviceaccount:{shop.namespace}:deployer" cannot patch' in status["failures"][0]["message"]
    assert await kube.find(CONFIG_MAPS, shop.namespace, "a") is None


async def test_a_secret_that_the_account_may_not_read_opens_nothing(shop):
    await shop.allow({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]})
    shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    status = await shop.until_reason("SecretUnreadable")
    assert "allow it with a Role" in ready(status)["message"]
    assert not shop.server.requests


async def test_one_bad_file_of_fifty_keeps_no_other(shop, kube):
    await shop.allow()
    files = {f"{number:02}.yaml": config_map(f"map-{number:02}") for number in range(50)}
    shop.origin.commit("one", {**files, "17.yaml": "a: [", "gone.yaml": config_map("gone")})
    await shop.given(prune=True)
    status = await shop.until_reason("ApplyFailed")
    assert (status["objects"], status["failed"]) == (50, 1)
    assert status["failures"][0]["what"] == "17.yaml"
    assert "appliedCommit" not in status
    assert len(await kube.list(CONFIG_MAPS, shop.namespace, labels=REPOSITORY_LABEL)) == 50

    still = await shop.commit("two", {"gone.yaml": None})
    await shop.until(lambda status: status["observedCommit"] == still and ready(status)["reason"] == "ApplyFailed")
    assert await kube.find(CONFIG_MAPS, shop.namespace, "gone"), "nothing is pruned while a file cannot be read"
    good = await shop.commit("three", {"17.yaml": files["17.yaml"]})
    status = await shop.until_applied(good)
    assert await kube.find(CONFIG_MAPS, shop.namespace, "gone") is None
    assert (status["objects"], status["failed"]) == (50, 0)


async def test_servers_that_hang_keep_no_other_repository_from_its_turn(shop, kube, monkeypatch):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        port = silent.getsockname()[1]
        await shop.given(name="hanging-0", url=f"https://127.0.0.1:{port}/x.git")
        second = await shop.commit("two", {"a.yaml": config_map("a", "2")})
        await shop.until_applied(second)
        assert shop.agent.controller.fetches.active >= 1
        monkeypatch.setattr("controller.sync.fetching._ANSWER_S", 3.0)  # which a busy machine keeps for ours
        for number in range(1, 6):
            await shop.given(name=f"hanging-{number}", url=f"https://127.0.0.1:{port}/x.git")
        third = await shop.commit("three", {"a.yaml": config_map("a", "3")})
        await shop.until_applied(third)
        status = await shop.until_reason("FetchFailed", "hanging-5")
        assert ready(status)["message"] == "the server did not answer within 3 s"
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "3"}


async def test_a_repository_that_fails_is_said_and_comes_back(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    right, shop.server.http.password = shop.server.http.password, "rotated"
    await shop.now("with the old password")
    status = await shop.until_reason("FetchFailed")
    assert {one["type"] for one in status["conditions"]} == {"Ready", "Reconciling"}
    assert status["appliedCommit"] == first
    assert right not in str(status)
    assert await kube.find(CONFIG_MAPS, shop.namespace, "a")
    shop.server.http.password = right
    second = await shop.commit("two", {"a.yaml": config_map("a", "2")})
    await shop.until_applied(second)


async def test_more_than_a_pass_has_time_for_goes_on_in_the_next(shop, kube, monkeypatch):
    monkeypatch.setattr("controller.sync.applying._BUDGET_S", 0.05)
    await shop.allow()
    made = shop.origin.commit("one", {f"{number}.yaml": config_map(f"map-{number}") for number in range(60)})
    await shop.given()
    status = await shop.until_applied(made)
    assert status["objects"] == 60


async def test_objects_that_fail_keep_no_others_from_their_turn(shop, kube, monkeypatch):
    monkeypatch.setattr("controller.sync.applying._BUDGET_S", 0.02)
    await shop.allow()
    bad = {f"{number:02}.yaml": config_map(f"bad-{number}").replace('"1"', "1") for number in range(60)}
    shop.origin.commit("one", {**bad, "z.yaml": config_map("z")})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert status["failed"] == 60
    assert await kube.find(CONFIG_MAPS, shop.namespace, "z")


async def test_whatever_stops_a_pass_is_said(shop, monkeypatch):
    async def fails(*_, **__):
        raise RuntimeError("a defect")

    await shop.allow()
    made = shop.origin.commit("one", {"a.yaml": config_map("a")})
    with monkeypatch.context() as patched:
        patched.setattr("controller.sync.applying.Applying.run", fails)
        await shop.given()
        status = await shop.until_reason("PassFailed")
        assert ready(status)["message"] == "unexpected, see the log: RuntimeError"
    await shop.now("again")
    await shop.until_applied(made)


async def test_an_agent_killed_before_its_last_write_finds_what_it_made(shop, kube):
    """What was applied is in the inventory before it is there: nothing is lost to pruning."""
    await shop.allow()
    shop.origin.commit("one", {"a.yaml": config_map("a")})
    whole = shop.client.replace

    async def killed(resource, body, *rest, **options):
        if body["status"].get("appliedCommit"):
            raise ConnectionError("the process is gone")
        return await whole(resource, body, *rest, **options)

    shop.client.replace = killed
    await shop.given(prune=True)
    async with asyncio.timeout(60):
        while await kube.find(CONFIG_MAPS, shop.namespace, "a") is None:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.05)
    assert any(line.startswith(f"/ConfigMap/{shop.namespace}/a ") for line in (await shop.status())["inventory"])
    second = await asyncio.to_thread(shop.origin.commit, "two", {"a.yaml": None, "b.yaml": config_map("b")})
    shop.client.replace = whole
    await shop.now("again")
    await shop.until_applied(second)
    assert await kube.find(CONFIG_MAPS, shop.namespace, "a") is None


async def test_an_object_that_can_be_none_keeps_no_other(shop, kube):
    """Its pass ended without a word in the status, and nothing of the commit was applied."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {"name": "r"}}
    odd = {**json.loads(deployment("odd")), "spec": 5}
    files = {"a.yaml": config_map("a"), "odd.yaml": json.dumps(odd), "review.yaml": json.dumps(review)}
    shop.origin.commit("one", files)
    await shop.allow()
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert {one["what"].split(" ")[0] for one in status["failures"]} == {"Deployment", "SelfSubjectAccessReview"}
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "1"}


async def test_names_too_long_for_a_status_are_said(shop, monkeypatch):
    monkeypatch.setattr("controller.sync.writing.MOST_CHARACTERS", 100)
    shop.origin.commit("one", {f"{number}.yaml": config_map(f"a{number}") for number in range(3)})
    await shop.allow()
    await shop.given()
    assert "use two repositories" in ready(await shop.until_reason("TooLarge"))["message"]


async def test_thousands_of_objects_whose_crd_is_not_served_do_not_hold_the_loop(kube, namespace):
    """Each was compared with all others: half a minute, in which the Lease was lost."""
    crd = {"apiVersion": CRDS.api_version, "kind": CRDS.kind, "metadata": {"name": "x"}}
    crd["spec"] = {"group": "x.qa", "names": {"kind": "X"}}
    one = {"apiVersion": "x.qa/v1", "kind": "X"}
    some = [Manifest("a.yaml", {**one, "metadata": {"name": f"x{number}"}}) for number in range(5_000)]
    place, began = Place(namespace, "shop"), time.process_time()
    found = await plan(kube, Discovery(), place, [Manifest("crd.yaml", crd), *some], {}, kinds_older_than_s=30.0)
    assert time.process_time() - began < 2.0
    assert (len(found.waiting), found.failures) == (5_000, [])
