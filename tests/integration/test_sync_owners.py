"""Whose objects `pointsman sync` writes and deletes: its own, and nobody else's."""

import asyncio
import json

import pytest

from controller.api.names import ADOPT, REPOSITORY_LABEL
from controller.api.resources import CONFIG_MAPS, RELEASE_REPOSITORIES
from controller.kube.applying import apply
from tests.git_fixture import certificate, server
from tests.integration.sync_fixture import config_map, origin, ready, shop

__all__ = ["certificate", "origin", "server", "shop"]


async def made_by_a_person(shop, name="a", value="1"):
    body = json.loads(config_map(name, value))
    body["metadata"]["namespace"] = shop.namespace
    return (await apply(shop.kube, CONFIG_MAPS, body, manager="kubectl", force=False))["metadata"]


async def label_of(shop, name="a"):
    return (await found(shop, name))["metadata"].get("labels", {}).get(REPOSITORY_LABEL)


async def found(shop, name="a"):
    return await shop.kube.get(CONFIG_MAPS, shop.namespace, name)


async def test_what_others_made_is_left_alone_unless_the_manifest_adopts_it(shop):
    """An equal one was owned by both after the first apply: nothing conflicts."""
    before = await made_by_a_person(shop)
    await shop.allow()
    shop.origin.commit("one", {"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert [one["what"] for one in status["failures"]] == [f"ConfigMap {shop.namespace}/a"]
    assert f'take it over with the annotation {ADOPT}: "true"' in status["failures"][0]["message"]
    assert (await found(shop))["metadata"] == before
    assert (await found(shop, "b"))["data"] == {"key": "1"}

    adopted = await shop.commit("two", {"a.yaml": config_map("a", "2", annotations={ADOPT: "true"})})
    await shop.until_applied(adopted)
    assert (await found(shop))["data"] == {"key": "2"}
    assert await label_of(shop) == f"{shop.namespace}.shop"


async def test_an_object_that_may_not_be_read_is_not_written(shop):
    """Whether it is there, and whose it is, was not known, and it was taken over."""
    before = await made_by_a_person(shop)
    await shop.allow(
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "create", "patch"]},
    )
    shop.origin.commit("one", {"a.yaml": config_map("a", "2")})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert "whose it is cannot be read; allow the account `get`" in status["failures"][0]["message"]
    assert (await found(shop))["metadata"] == before


async def test_a_label_that_somebody_takes_off_is_put_back(shop):
    await shop.allow()
    first = shop.origin.commit("one", {"a.yaml": config_map("a")})
    await shop.given()
    await shop.until_applied(first)
    await shop.kube.patch(CONFIG_MAPS, shop.namespace, "a", {"metadata": {"labels": {REPOSITORY_LABEL: None}}})
    await shop.now("again")
    async with asyncio.timeout(60):
        while await label_of(shop) is None:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.05)


async def test_an_object_that_moves_to_another_repository_is_never_gone(shop):
    """The one that lost it deleted it; the other one made it anew."""
    await shop.allow()
    files = {"one/a.yaml": config_map("a"), "one/rest.yaml": config_map("rest"), "two/b.yaml": config_map("b")}
    first = shop.origin.commit("one", files)
    await shop.given(path="one", prune=True)
    await shop.given(name="other", path="two", prune=True, interval="1h")
    await shop.until_applied(first)
    await shop.until_applied(first, "other")
    uid = (await found(shop))["metadata"]["uid"]

    second = await shop.commit("two", {"one/a.yaml": None, "two/a.yaml": config_map("a", "2")})
    waits = f"nothing is pruned before {shop.namespace}/other has seen it, too"
    await shop.until(lambda status: waits in ready(status).get("message", ""))
    await shop.now(second, "other")
    await shop.until_applied(second, "other")
    await shop.until_applied(second)
    moved = await found(shop)
    assert (moved["metadata"]["uid"], moved["data"]) == (uid, {"key": "2"})
    assert await label_of(shop) == f"{shop.namespace}.other"
    assert f"/{shop.namespace}/a " not in str((await shop.status())["inventory"])
    _, message = await shop.until_event("Moved")
    assert f"left to ReleaseRepository {shop.namespace}/other" in message


async def test_pruning_waits_for_a_repository_that_fails_no_longer_than_a_minute(shop, monkeypatch):
    monkeypatch.setattr("controller.sync.controller._AWAITED_S", 0.5)
    await shop.allow()
    first = shop.origin.commit("one", {"one/a.yaml": config_map("a"), "one/rest.yaml": config_map("rest")})
    await shop.given(path="one", prune=True)
    await shop.given(name="other", path="two", serviceAccountName="nobody", interval="1h")
    await shop.until_applied(first)
    second = await shop.commit("two", {"one/a.yaml": None})
    await shop.until_applied(second)
    assert await shop.kube.find(CONFIG_MAPS, shop.namespace, "a") is None


async def test_what_a_repository_has_left_behind_may_be_taken(shop):
    await shop.allow()
    first = shop.origin.commit("one", {"one/a.yaml": config_map("a"), "two/a.yaml": config_map("a", "2")})
    await shop.given(path="one")
    await shop.until_applied(first)
    await shop.given(name="other", path="two")
    status = await shop.until_reason("ApplyFailed", "other")
    assert f"belongs to ReleaseRepository {shop.namespace}.shop" in status["failures"][0]["message"]
    await shop.kube.delete(RELEASE_REPOSITORIES, shop.namespace, "shop")
    await shop.now("again", "other")
    await shop.until_applied(first, "other")
    assert (await found(shop))["data"] == {"key": "2"}


@pytest.mark.parametrize("label", ["gone", "shop.long-name.0123456789abcdef"])
async def test_a_label_that_names_no_repository_for_certain_is_believed(shop, label):
    await made_by_a_person(shop)
    await shop.kube.patch(CONFIG_MAPS, shop.namespace, "a", {"metadata": {"labels": {REPOSITORY_LABEL: label}}})
    await shop.allow()
    shop.origin.commit("one", {"a.yaml": config_map("a", "2")})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert f"belongs to ReleaseRepository {label}" in status["failures"][0]["message"]
    assert (await found(shop))["data"] == {"key": "1"}
