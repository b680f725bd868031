"""A route in git that Argo CD compares and applies while Pointsman splits it, by the settings of docs/adopting.md.

What is left out of comparisons is computed by Argo CD's own code; the rest of a sync is a merge patch and an apply.
"""

import asyncio
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.resources import HTTP_ROUTES
from controller.kube.applying import apply
from hack.node import build
from tests.e2e.patience import until
from tests.integration.test_route_managers import CHANGED, ROUTE, backends, fields_of, finished, found, in_mid_release
from tests.merge_patch import merged

ADOPTING = Path(__file__).parents[2] / "controller/docs/adopting.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ARGO_CD = "argocd-controller"


@pytest.fixture
def ignored():
    """The managers whose fields the page lets be left alone."""
    pages = [yaml.safe_load(block) for block in BLOCK.findall(ADOPTING.read_text())]
    (application,) = [one for one in pages if "ignoreDifferences" in one.get("spec", {})]
    spec = application["spec"]
    assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"]
    (of_route,) = spec["ignoreDifferences"]
    assert (of_route.pop("group"), of_route.pop("kind")) == (HTTP_ROUTES.group, HTTP_ROUTES.kind)
    assert of_route.pop("name") == ROUTE["metadata"]["name"]
    managers = of_route.pop("managedFieldsManagers")
    assert not of_route, "there is nothing else that it ignores"
    return managers


async def compared(live: dict[str, Any], target: dict[str, Any], managers: list[str]) -> tuple[Any, Any]:
    """Both without what Argo CD ignores."""
    process = await asyncio.create_subprocess_exec(
        build.program("argo-cd-compare"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given = {"live": live, "target": target, "managers": managers}
    output, _ = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), 60)
    assert process.returncode == 0
    answer = json.loads(output)
    return answer["live"], answer["target"]


def left_out(whole: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """A merge patch from the rest to the whole."""
    patch: dict[str, Any] = {}
    for key, value in whole.items():
        if isinstance(value, dict) and isinstance(rest.get(key), dict):
            patch[key] = left_out(value, rest[key])
        elif rest.get(key) != value:
            patch[key] = value
    return patch


class ArgoCD:
    def __init__(self, shop: Any, managers: list[str]) -> None:
        self._shop = shop
        self._managers = managers

    def target(self, **spec: Any) -> dict[str, Any]:
        route = copy.deepcopy(ROUTE)
        route["metadata"]["namespace"] = self._shop.namespace
        route["spec"] |= spec
        return route

    async def ignores(self) -> set[str]:
        """Fields of the spec that it does not compare."""
        live, target = await compared(await found(self._shop), self.target(), self._managers)
        assert target["spec"].keys() == live["spec"].keys()
        return {*ROUTE["spec"]} - {*target["spec"]}

    async def syncs(self, **spec: Any) -> dict[str, Any]:
        """With RespectIgnoreDifferences it applies what it ignores as that is in the cluster."""
        live = await found(self._shop)
        rest, target = await compared(live, self.target(**spec), self._managers)
        body = merged(target, {"spec": left_out(live["spec"], rest["spec"])})
        return await apply(self._shop.kube, HTTP_ROUTES, body, manager=ARGO_CD, force=True)


async def test_argo_cd_leaves_the_rules_of_a_route_alone_while_they_are_split_and_only_then(stall, ignored):
    argo_cd = ArgoCD(stall, ignored)
    body = argo_cd.target()
    await apply(stall.kube, HTTP_ROUTES, body, manager=ARGO_CD, force=True)
    before = fields_of(await found(stall))
    assert await argo_cd.ignores() == set()

    await in_mid_release(stall)
    wanted = backends(await found(stall))
    assert await argo_cd.ignores() == {"rules"}
    for hosts in (["www.example.com"], ROUTE["spec"]["hostnames"]):
        synced = await argo_cd.syncs(hostnames=hosts, rules=CHANGED)
        assert (synced["spec"]["hostnames"], backends(synced)) == (hosts, wanted)
        assert await argo_cd.ignores() == {"rules"}, "also once it has applied them as they were"

    await finished(stall)

    async def is_theirs_again() -> bool:
        return bool(fields_of(await found(stall)) == before)

    await until(is_theirs_again, "the route's fields are as before")
    assert await argo_cd.ignores() == set()
    assert backends(await argo_cd.syncs(rules=CHANGED)) == [["web"], ["other"], ["c"]]
