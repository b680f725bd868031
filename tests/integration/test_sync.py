"""`pointsman sync` against a real API server and real repositories: what is applied, and what is left alone."""

import asyncio
import json

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
from controller.kube.applying import apply
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD
from tests.integration.sync_fixture import config_map, deployment, origin, ready, settled, shop

__all__ = ["certificate", "origin", "server", "shop"]


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
