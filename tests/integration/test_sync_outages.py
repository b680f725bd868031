"""What fails in `pointsman sync`, and what goes on beside it."""

import asyncio
import json

import pytest

from controller.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    RELEASE_REPOSITORIES,
    Resource,
)
from controller.kube.client import InvalidError, UnavailableError
from tests.git_fixture import certificate, server
from tests.integration.sync_fixture import config_map, deployment, origin, ready, settled, shop

__all__ = ["certificate", "origin", "server", "shop"]
_API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService")


@pytest.mark.parametrize(
    "error", [UnavailableError(503, "", "not now"), UnavailableError(413, "", "too large"), InvalidError(400, "", "no")]
)
async def test_an_api_that_answers_badly_fails_its_own_objects_alone(shop, kube, error):
    """One such object ended the pass of the whole repository, and its status."""
    await shop.allow()
    files = {f"{number:02}.yaml": config_map(f"map-{number:02}") for number in range(49)}
    first = shop.origin.commit(
        "one", {**files, "web.yaml": deployment("web", replicas=2), "old.yaml": config_map("old")}
    )
    await shop.given(prune=True)
    await shop.until_applied(first)
    shop.client.failing["/apis/apps/v1/"] = error
    two = await shop.commit(
        "two", {name: text.replace('"1"', '"2"') for name, text in files.items()} | {"old.yaml": None}
    )
    status = await shop.until_reason("ApplyFailed")
    assert [(one["what"], one["message"]) for one in status["failures"]] == [
        (f"Deployment {shop.namespace}/web", f"web.yaml: {error}")
    ]
    values = [
        one["data"]["key"] for one in await kube.list(CONFIG_MAPS, shop.namespace) if "map-" in str(one["metadata"])
    ]
    assert values == ["2"] * 49
    assert await kube.find(CONFIG_MAPS, shop.namespace, "old"), "nothing is deleted while something fails"

    three = await shop.commit("three", {"web.yaml": None})
    status = await shop.until(
        lambda status: status["observedCommit"] == three and ready(status)["reason"] == "ApplyFailed"
    )
    assert status["failures"][0]["message"] == f"has gone from the repository and cannot be looked at: {error}"
    assert await kube.find(CONFIG_MAPS, shop.namespace, "old") is None, "nothing that is wanted fails"
    assert two != three
    shop.client.failing.clear()
    await shop.now("again")
    await shop.until_applied(three)
    assert await kube.find(DEPLOYMENTS, shop.namespace, "web") is None


async def test_an_aggregated_api_that_is_down_fails_its_own_objects_alone(shop, kube):
    group = f"{shop.namespace}.qa"
    spec = {
        "group": group,
        "version": "v1",
        "service": {"name": "nowhere", "namespace": shop.namespace},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 10,
        "versionPriority": 10,
    }
    name = f"v1.{group}"
    body = {"apiVersion": _API_SERVICES.api_version, "kind": "APIService", "metadata": {"name": name}, "spec": spec}
    await kube.create(_API_SERVICES, None, body)
    try:
        await shop.allow()
        odd = {"apiVersion": f"{group}/v1", "kind": "Odd", "metadata": {"name": "odd"}}
        shop.origin.commit("one", {"a.yaml": config_map("a"), "odd.yaml": json.dumps(odd)})
        await shop.given()
        status = await shop.until_reason("ApplyFailed")
        assert [one["what"] for one in status["failures"]] == ["Odd odd"]
        assert await kube.find(CONFIG_MAPS, shop.namespace, "a")
    finally:
        await kube.delete(_API_SERVICES, None, name)


async def test_autoscalers_that_cannot_be_read_fail_what_they_may_scale(shop, kube):
    await shop.allow()
    shop.client.failing["/horizontalpodautoscalers"] = UnavailableError(503, "", "not now")
    files = {"a.yaml": config_map("a"), "web.yaml": deployment("web", replicas=2), "api.yaml": deployment("api")}
    commit = shop.origin.commit("one", files)
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert [one["what"] for one in status["failures"]] == [f"Deployment {shop.namespace}/web"]
    assert "whether an autoscaler has its replicas is not known" in status["failures"][0]["message"]
    assert await kube.find(DEPLOYMENTS, shop.namespace, "api")
    shop.client.failing.clear()
    await shop.until_applied(commit)
    assert await kube.list(HORIZONTAL_POD_AUTOSCALERS, shop.namespace) == []


async def test_one_namespace_has_so_many_repositories_and_no_more(shop, kube, monkeypatch):
    monkeypatch.setattr("controller.sync.controller._MOST_OF_ONE_NAMESPACE", 1)
    monkeypatch.setattr("controller.sync.controller._TOO_MANY_AGAIN_S", 0.2)
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    await shop.given(name="other", path="two")
    status = await shop.until_reason("TooMany", "other")
    assert f"1 ReleaseRepositories of namespace {shop.namespace} are followed, and no more" in ready(status)["message"]
    await kube.delete(RELEASE_REPOSITORIES, shop.namespace, "shop")
    await shop.until_reason("NothingThere", "other")


async def test_renderings_that_find_no_room_are_fetched_again(shop, kube, monkeypatch):
    monkeypatch.setattr("controller.sync.fetching._MOST_KEPT", 1)
    await shop.allow()
    first = shop.origin.commit("one", {"one/a.yaml": config_map("a"), "two/b.yaml": config_map("b")})
    await shop.given(path="one")
    await shop.given(name="other", path="two")
    await shop.until_applied(first)
    await shop.until_applied(first, "other")
    second = await shop.commit("two", {"one/a.yaml": config_map("a", "2"), "two/b.yaml": config_map("b", "2")})
    await shop.now(second, "other")
    await shop.until_applied(second)
    await shop.until_applied(second, "other")
    kept = [one for one in shop.agent.controller.fetches._outcomes.values() if one.rendered is not None]
    assert len(kept) == 1
    fetched = len(shop.server.requests)
    for key, _ in shop.agent.controller.followers():
        shop.agent.controller.poke(key)
    await settled(shop, fetched)


async def test_what_is_done_is_said_by_events(shop, kube):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    await shop.given(prune=True)
    await shop.until_applied(first)
    assert await shop.until_event("Fetched") == ("Normal", f"commit {first[:10]} has 2 objects")
    assert await shop.until_event("Applied") == ("Normal", f"commit {first[:10]}: 2 objects applied, 0 failed")
    second = await shop.commit("two", {"b.yaml": None})
    await shop.until_applied(second)
    pruned = f"commit {second[:10]}: 1 objects deleted that it no longer has"
    assert await shop.until_event("Pruned") == ("Normal", pruned)
    third = await shop.commit("three", {"bad.yaml": "a: ["})
    kind, message = await shop.until_event("ApplyFailed")
    assert (kind, third[:10] in message) == ("Warning", True)
    shop.server.http.password = "rotated"  # noqa: S105 - of a test
    await shop.now("with the old password")
    kind, message = await shop.until_event("FetchFailed")
    assert kind == "Warning"
    sent = len(await shop.events())
    fetched = len(shop.server.requests)
    await shop.now("again")
    await settled(shop, fetched)
    async with asyncio.timeout(60):
        while shop.agent.events._backlog:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.02)
    assert len(await shop.events()) == sent, "the same trouble is one Event"
