"""A route of somebody's own that is applied by the API server, as `kubectl apply --server-side` and Flux do it: at rest
its fields are theirs again, and no apply of theirs is a conflict.
"""

import asyncio
import copy
import json
import os
from typing import Any

import pytest

from controller.api.names import BEFORE, MANAGED_BY
from controller.api.resources import HTTP_ROUTES
from controller.kube.applying import Claim, apply, claims_of
from controller.kube.client import ConflictError
from hack.node import build
from tests.e2e.patience import until
from tests.integration.operator_fixture import release, weight

RULES: list[dict[str, Any]] = [
    {"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}], "backendRefs": [{"name": "web", "port": 80}]},
    {"backendRefs": [{"name": "other", "port": 80}]},
]
ROUTE: dict[str, Any] = {
    "apiVersion": HTTP_ROUTES.api_version,
    "kind": HTTP_ROUTES.kind,
    "metadata": {"name": "public", "labels": {"team": "a"}},
    "spec": {"parentRefs": [{"name": "gate"}], "hostnames": ["shop.example.com"], "rules": RULES},
}
STEPS: tuple[dict[str, Any], ...] = (weight(50), {"approve": {}})


async def applied(shop, manager="ana", *, force=False, **spec):
    """As `manager` applies the manifest, with some fields of its spec changed."""
    route = copy.deepcopy(ROUTE)
    route["metadata"]["namespace"] = shop.namespace
    route["spec"] |= spec
    route["spec"] = {key: value for key, value in route["spec"].items() if value is not None}
    return await apply(shop.kube, HTTP_ROUTES, route, manager=manager, force=force)


async def found(shop):
    return await shop.kube.get(HTTP_ROUTES, shop.namespace, "public")


def fields_of(route):
    """Who has which fields, but for when."""
    return [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in route["metadata"]["managedFields"]
        if not entry.get("subresource")
    ]


def backends(route):
    return [[one["name"] for one in rule["backendRefs"]] for rule in route["spec"]["rules"]]


async def in_mid_release(shop):
    await shop.given(release(*STEPS, traffic={"gatewayAPI": {"route": {"name": "public"}}}))
    await shop.commit("2")
    await shop.until(lambda status: status.get("weight") == 50)

    async def is_split():
        return len(backends(await found(shop))[0]) == 2

    await until(is_split, "the route is split", 60)


async def finished(shop):
    """Promoted, and at rest."""
    code, text = await shop.command("approve", "web")
    assert code == 0, text
    await shop.until_phase("Healthy")

    async def is_given_back():
        return BEFORE not in ((await found(shop))["metadata"].get("annotations") or {})

    await until(is_given_back, "the route is given back", 60)


CHANGED = [
    *RULES,
    {"matches": [{"path": {"type": "Exact", "value": "/c"}}], "backendRefs": [{"name": "c", "port": 80}]},
]


@pytest.mark.parametrize("rules", [RULES, CHANGED], ids=["unchanged", "changed"])
async def test_after_a_rollout_a_manifest_is_applied_without_a_conflict(stall, rules):
    before = fields_of(await applied(stall))
    await in_mid_release(stall)
    await finished(stall)
    assert fields_of(await found(stall)) == before
    assert backends(await applied(stall, rules=rules))[:2] == [["web"], ["other"]]
    assert fields_of(await found(stall)) == before
    with pytest.raises(ConflictError) as refused:
        await applied(stall, "ben", rules=RULES[1:])
    assert Claim("ana", ".spec.rules") in claims_of(refused.value), "they are hers, as before"


async def test_in_mid_release_an_apply_is_a_conflict_or_is_split_again(stall):
    before = fields_of(await applied(stall))
    await in_mid_release(stall)
    wanted = backends(await found(stall))
    with pytest.raises(ConflictError) as refused:
        await applied(stall)
    assert claims_of(refused.value) == (Claim(MANAGED_BY, ".spec.rules"),)
    await applied(stall, hostnames=["www.example.com"], rules=None)
    assert backends(await applied(stall, force=True)) == [["web"], ["other"]]

    async def is_split_again():
        return backends(await found(stall)) == wanted

    await until(is_split_again, "the route is split again", 60)
    await finished(stall)
    assert fields_of(await found(stall)) == before
    await applied(stall, rules=CHANGED)


async def test_kubectl_applies_it_at_any_time(stall, api_server, tmp_path):
    """Client-side: it never conflicts, and in mid-release the route is split again."""

    async def kubectl_apply(rules=RULES):
        (tmp_path / "route.json").write_text(json.dumps({**ROUTE, "spec": {**ROUTE["spec"], "rules": rules}}))
        process = await asyncio.create_subprocess_exec(
            build.program("kubectl"), "apply", "-n", stall.namespace, "-f", tmp_path / "route.json",
            env={**os.environ, "KUBECONFIG": str(api_server)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output
        return output.decode().split()[-1]

    assert await kubectl_apply() == "created"
    before = fields_of(await found(stall))
    await in_mid_release(stall)
    wanted = backends(await found(stall))
    assert await kubectl_apply() == "configured"

    async def is_split_again():
        return backends(await found(stall)) == wanted

    await until(is_split_again, "the route is split again", 60)
    await finished(stall)
    assert fields_of(await found(stall)) == before
    assert await kubectl_apply(CHANGED) == "configured"
    assert backends(await found(stall)) == [["web"], ["other"], ["c"]]
