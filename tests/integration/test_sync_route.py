"""A route that `pointsman sync` applies and a Release splits: its rules are left alone until that is over."""

import json
from typing import Any

from controller.api.names import ADOPT, BEFORE
from tests.git_fixture import certificate, server
from tests.integration.sync_fixture import origin, ready, settled, shop
from tests.integration.test_route_managers import (
    CHANGED,
    ROUTE,
    applied,
    backends,
    fields_of,
    finished,
    found,
    in_mid_release,
)

__all__ = ["certificate", "origin", "server", "shop"]

ELSEWHERE: dict[str, Any] = {"hostnames": ["www.example.com"]}


def manifest(**spec: Any) -> dict[str, str]:
    return {"route.yaml": json.dumps({**ROUTE, "spec": {**ROUTE["spec"], **spec}})}


async def test_sync_applies_a_split_route_but_its_rules_and_these_at_rest(shop, stall):
    await shop.allow()
    first = shop.origin.commit("one", manifest())
    await shop.given()
    await shop.until_applied(first)
    before = fields_of(await found(stall))

    await in_mid_release(stall)
    wanted = backends(await found(stall))
    fetched = len(shop.server.requests)
    await shop.now("in mid-release")
    await settled(shop, fetched)
    assert ready(await shop.status())["status"] == "True", await shop.status()
    status = await shop.until_applied(await shop.commit("two", manifest(rules=CHANGED, **ELSEWHERE)))
    assert ready(status)["status"] == "True"
    route = await found(stall)
    assert (route["spec"]["hostnames"], backends(route)) == (ELSEWHERE["hostnames"], wanted)
    assert shop.client is not None
    shop.client.writes.clear()
    fetched = len(shop.server.requests)
    await shop.now("once more")
    await settled(shop, fetched)
    assert not [write for write in shop.client.writes if "httproutes" in write], "there is nothing new to be said"

    await finished(stall)
    assert BEFORE not in ((await found(stall))["metadata"].get("annotations") or {})
    fetched = len(shop.server.requests)
    await shop.now("at rest")
    await settled(shop, fetched)
    assert backends(await found(stall)) == [["web"], ["other"], ["c"]]
    assert fields_of(await found(stall)) == before


async def test_sync_says_whose_rules_they_are_where_they_are_not_its_own_at_rest(shop, stall):
    """Nobody would give them to it then."""
    await applied(stall, "kubectl")
    await in_mid_release(stall)
    wanted = backends(await found(stall))
    await shop.allow()
    route = {**ROUTE, "metadata": {**ROUTE["metadata"], "annotations": {ADOPT: "true"}}}
    shop.origin.commit("one", {"route.yaml": json.dumps(route)})
    await shop.given()
    status = await shop.until_reason("ApplyFailed")
    assert "pointsman has .spec.rules" in status["failures"][0]["message"]
    assert backends(await found(stall)) == wanted
