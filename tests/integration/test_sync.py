"""`pointsman sync` against a real API server and real repositories: what is applied, and what is left alone."""

import asyncio
import json
import socket
import time

import pytest

from controller.api.names import COMMIT, GIT_URLS, REPOSITORY_LABEL
from controller.api.resources import (
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    RELEASES,
    SECRETS,
    Resource,
)
from controller.api.resources import RELEASE_REPOSITORIES as REPOSITORIES
from controller.kube.applying import Discovery, apply
from controller.sync.manifests import Manifest
from controller.sync.planning import Place, plan
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, Origin
from tests.integration.sync_fixture import followed, ready

__all__ = ["certificate", "server"]


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


@pytest.fixture
async def shop(kube, namespace, origin, server, certificate):
    async with followed(kube, namespace, origin, server, certificate) as shop:
        yield shop


def config_map(name, value="1", **metadata):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"key": value}}
    return json.dumps(body)


def deployment(name, image="registry.qa/web:1", **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
    whole = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole})


def release(name, **metadata):
    body = {"apiVersion": "pointsman.dev/v1alpha1", "kind": "Release", "metadata": {"name": name, **metadata}}
    template = json.loads(deployment(name))["spec"]["template"]
    strategy = {"canary": {"steps": [{"weight": 10}]}}
    spec = {"template": template, "traffic": {"replicas": {}}, "strategy": strategy}
    return json.dumps({**body, "spec": {**spec, "service": {"ports": [{"port": 80}]}}})


async def test_a_commit_is_applied_with_the_rights_of_the_account(shop, kube):
    first = shop.origin.commit("one", {"apps/a.yaml": config_map("a"), "other/b.yaml": config_map("b")})
    await shop.allow()
    await shop.given(path="apps")
    status = await shop.until_applied(first)
    made = await kube.get(CONFIG_MAPS, shop.namespace, "a")
    assert made["data"] == {"key": "1"}
    assert made["metadata"]["annotations"][COMMIT] == first
    assert made["metadata"]["labels"][REPOSITORY_LABEL] == f"{shop.namespace}.shop"
    assert {one["manager"] for one in made["metadata"]["managedFields"]} == {"pointsman-sync"}
    assert await kube.find(CONFIG_MAPS, shop.namespace, "b") is None
    assert (status["objects"], status["failed"], ready(status)["status"]) == (1, 0, "True")
    assert {one["type"] for one in status["conditions"]} == {"Ready"}

    second = await shop.commit("two", {"apps/a.yaml": config_map("a", "2"), "apps/deep/c.yaml": config_map("c")})
    status = await shop.until_applied(second)
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "2"}
    assert status["lastHandledReconcileAt"] == second
    assert PASSWORD not in str(status)


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


async def test_what_is_unchanged_costs_no_write(shop, kube):
    await shop.allow()
    files = {f"{number}.yaml": config_map(f"map-{number}") for number in range(30)}
    first = shop.origin.commit("one", {**files, "web.yaml": deployment("web")})
    await shop.given()
    await shop.until_applied(first)
    await status_of(kube, shop.namespace)
    shop.client.writes.clear()
    requests = shop.client.requests
    before = (await shop.read())["metadata"]["resourceVersion"]
    fetched = len(shop.server.requests)
    shop.agent.controller.poke(key_of(shop))
    await settled(shop, fetched)
    assert shop.client.writes == []
    assert shop.client.requests - requests < 10
    assert (await shop.read())["metadata"]["resourceVersion"] == before


async def status_of(kube, namespace):
    """The status of a Deployment changes all the time, and is nobody's manifest."""
    await kube.patch(DEPLOYMENTS, namespace, "web", {"status": {"replicas": 1}}, "status")


def key_of(shop):
    (key, _), *_ = shop.agent.controller.followers()
    return key


async def settled(shop, fetched):
    """A fetch was made after so many requests, and its pass."""
    async with asyncio.timeout(60):
        while len(shop.server.requests) == fetched or is_busy(shop.agent):  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.02)


def is_busy(agent):
    return bool(agent.controller.fetches.active or len(agent.queue) or agent.queue.active)


async def test_what_people_changed_is_put_back_and_keeps_its_commit(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    path = CONFIG_MAPS.path(shop.namespace, "a")
    await kube.request(
        "PATCH", path, body={"data": {"key": "by hand", "more": "2"}}, query={"fieldManager": "kubectl-edit"},
        content_type="application/merge-patch+json",
    )  # fmt: skip
    second = await shop.commit("two", {"b.yaml": config_map("b")})
    await shop.until_applied(second)
    found = await kube.get(CONFIG_MAPS, shop.namespace, "a")
    assert found["data"] == {"key": "1", "more": "2"}
    assert found["metadata"]["annotations"][COMMIT] == first


async def test_another_controllers_field_is_not_fought_over(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    body = {**json.loads(config_map("a", "theirs")), "metadata": {"name": "a", "namespace": shop.namespace}}
    await apply(kube, CONFIG_MAPS, body, manager="some-operator", force=True)
    await shop.now("again")
    status = await shop.until_reason("ApplyFailed")
    assert "some-operator has .data.key; take that out of the manifest" in status["failures"][0]["message"]
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "theirs"}

    forced = await shop.commit("two", {"a.yaml": config_map("a", annotations={"pointsman.dev/force": "true"})})
    await shop.until_applied(forced)
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "1"}


async def test_replicas_are_left_to_an_autoscaler(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"web.yaml": deployment("web", replicas=3)})
    await shop.given()
    await shop.until_applied(first)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    autoscaler = {
        "apiVersion": HORIZONTAL_POD_AUTOSCALERS.api_version,
        "kind": HORIZONTAL_POD_AUTOSCALERS.kind,
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 10},
    }
    second = await shop.commit("two", {"hpa.yaml": json.dumps(autoscaler), "web.yaml": deployment("web", replicas=4)})
    await shop.until_applied(second)
    web = await kube.get(DEPLOYMENTS, shop.namespace, "web")
    assert web["spec"]["replicas"] == 3, "as they were, and not one, when they leave the manifest"
    await kube.patch(DEPLOYMENTS, shop.namespace, "web", {"spec": {"replicas": 7}}, "scale")
    third = await shop.commit("three", {"web.yaml": deployment("web", "registry.qa/web:2", replicas=4)})
    await shop.until_applied(third)
    web = await kube.get(DEPLOYMENTS, shop.namespace, "web")
    assert web["spec"]["replicas"] == 7
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.qa/web:2"

    await kube.delete(HORIZONTAL_POD_AUTOSCALERS, shop.namespace, "web")
    fourth = await shop.commit("four", {"hpa.yaml": None})
    await shop.until_applied(fourth)
    assert (await kube.get(DEPLOYMENTS, shop.namespace, "web"))["spec"]["replicas"] == 4


async def test_what_has_gone_from_git_is_deleted_only_when_it_may_be(shop, kube):
    await shop.allow()
    first = shop.origin.commit(
        "one",
        {
            "a.yaml": config_map("a"),
            "b.yaml": config_map("b"),
            "kept.yaml": config_map("kept", annotations={"pointsman.dev/prune": "never"}),
            "release.yaml": release("web"),
            "allowed.yaml": release("old", annotations={"pointsman.dev/prune": "allow"}),
        },
    )
    await shop.given(prune=True)
    await shop.until_applied(first)
    gone = dict.fromkeys(("b.yaml", "kept.yaml", "release.yaml", "allowed.yaml"))
    second = await shop.commit("two", gone)
    status = await shop.until_applied(second)
    names = {item["metadata"]["name"] for item in await kube.list(CONFIG_MAPS, shop.namespace, labels=REPOSITORY_LABEL)}
    assert names == {"a", "kept"}
    assert await kube.find(RELEASES, shop.namespace, "web")
    assert await kube.find(RELEASES, shop.namespace, "old") is None
    assert f"Release {shop.namespace}/web" in ready(status)["message"]
    assert "pointsman.dev/prune: allow" in ready(status)["message"]


async def test_an_empty_path_deletes_nothing_and_says_so(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"apps/a.yaml": config_map("a"), "README.md": "shop"})
    await shop.given(path="apps", prune=True)
    await shop.until_applied(first)
    await shop.commit("two", {"apps/a.yaml": None})
    status = await shop.until_reason("NothingThere")
    assert "1 objects that came from there are left as they are" in ready(status)["message"]
    assert status["objects"] == 1
    assert await kube.find(CONFIG_MAPS, shop.namespace, "a")


async def test_a_kind_may_be_made_and_used_in_one_commit(shop, kube):
    names = {"plural": "points", "singular": "point", "kind": "Point", "listKind": "PointList"}
    group = f"{shop.namespace}.qa"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"points.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    point = {"apiVersion": f"{group}/v1", "kind": "Point", "metadata": {"name": "a"}, "spec": {"x": 1}}
    made = shop.origin.commit("one", {"a-point.yaml": json.dumps(point), "crd.yaml": json.dumps(crd)})
    await as_administrator(shop, kube)
    try:
        await shop.given(account="admin")
        await shop.until_applied(made)
        found = await kube.get(Resource(group, "v1", "points", "Point"), shop.namespace, "a")
        assert found["spec"] == {"x": 1}
    finally:
        await kube.delete(CRDS, None, f"points.{group}")
        await kube.delete(_CLUSTER_BINDINGS, None, shop.namespace)


_CLUSTER_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding")


async def as_administrator(shop, kube):
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    body = {
        "apiVersion": _CLUSTER_BINDINGS.api_version,
        "kind": _CLUSTER_BINDINGS.kind,
        "metadata": {"name": shop.namespace},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": "admin", "namespace": shop.namespace}],
    }
    await kube.create(_CLUSTER_BINDINGS, None, body)


async def test_two_repositories_do_not_fight_over_one_object(shop, kube):
    await shop.allow()
    shop.origin.commit("one", {"one/a.yaml": config_map("a", "1"), "two/a.yaml": config_map("a", "2")})
    await shop.given(path="one")
    await shop.until_reason("Applied")
    await shop.given(name="other", path="two")
    status = await shop.until_reason("ApplyFailed", "other")
    assert f"belongs to ReleaseRepository {shop.namespace}.shop" in status["failures"][0]["message"]
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "1"}


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
        monkeypatch.setattr("controller.sync.fetching._ANSWER_S", 0.5)
        for number in range(1, 6):
            await shop.given(name=f"hanging-{number}", url=f"https://127.0.0.1:{port}/x.git")
        third = await shop.commit("three", {"a.yaml": config_map("a", "3")})
        await shop.until_applied(third)
        status = await shop.until_reason("FetchFailed", "hanging-5")
        assert ready(status)["message"] == "the server did not answer within 0.5 s"
    assert (await kube.get(CONFIG_MAPS, shop.namespace, "a"))["data"] == {"key": "3"}


async def test_a_spec_that_cannot_be_meant_and_a_suspended_one_are_said(shop):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    await shop.kube.patch(REPOSITORIES, shop.namespace, "shop", {"spec": {"suspend": True}})
    status = await shop.until_reason("Suspended")
    assert ready(status)["status"] == "True"
    await shop.kube.patch(REPOSITORIES, shop.namespace, "shop", {"spec": {"suspend": False, "branch": "nowhere"}})
    status = await shop.until_reason("FetchFailed")
    assert "there is no branch nowhere" in ready(status)["message"]


async def test_an_agent_that_starts_anew_writes_nothing(shop):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    before = (await shop.read())["metadata"]["resourceVersion"]
    fetched = len(shop.server.requests)
    async with shop.running():
        await settled(shop, fetched)
        assert shop.client.writes == []
    assert (await shop.read())["metadata"]["resourceVersion"] == before


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


async def test_a_spec_that_changes_counts_at_once(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"one/a.yaml": config_map("a"), "two/b.yaml": config_map("b")})
    await shop.given(path="one", interval="1h", prune=True)
    await shop.until_applied(first)
    await kube.patch(REPOSITORIES, shop.namespace, "shop", {"spec": {"path": "two"}})
    status = await shop.until(lambda status: status["observedGeneration"] == 2 and ready(status)["status"] == "True")
    assert status["objects"] == 1
    assert await kube.find(CONFIG_MAPS, shop.namespace, "a") is None
    assert await kube.find(CONFIG_MAPS, shop.namespace, "b")
    await kube.delete(REPOSITORIES, shop.namespace, "shop")
    async with asyncio.timeout(60):
        while shop.agent.controller.followers():  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.05)
    assert await kube.find(CONFIG_MAPS, shop.namespace, "b"), "its objects stay"


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


async def test_a_secret_is_sent_to_the_servers_that_it_names_and_to_no_other(shop, kube):
    """Whoever writes a ReleaseRepository need not be allowed to read Secrets."""
    commit = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.allow()
    await shop.given(suspend=True)
    for urls in (None, "https://elsewhere.qa/"):
        await kube.patch(SECRETS, shop.namespace, "git", {"metadata": {"annotations": {GIT_URLS: urls}}})
        await kube.patch(REPOSITORIES, shop.namespace, "shop", {"spec": {"suspend": False}})
        await shop.now(f"for {urls}")
        said = ready(await shop.until_reason("SecretUnreadable"))["message"]
        assert f"is not marked for {shop.server.url}/shop.git; annotate it with {GIT_URLS}" in said
        assert not shop.server.requests
    marked = {"metadata": {"annotations": {GIT_URLS: f"https://elsewhere.qa/, {shop.server.url}"}}}
    await kube.patch(SECRETS, shop.namespace, "git", marked)
    await shop.now("again")
    await shop.until_applied(commit)
