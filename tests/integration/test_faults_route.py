"""Somebody else writes the route of a release under way."""

import asyncio
import contextlib
import time
from functools import partial

import pytest

from controller.api.resources import HTTP_ROUTES, RELEASES
from controller.kube.client import MERGE_PATCH, NotFoundError
from controller.rollout.contention import AGAIN_S, WINDOW_S
from tests.beside import beside
from tests.e2e.patience import until
from tests.integration.operator_fixture import pause, release, weight


class Robot:
    """Writes the route again and again, or deletes it, whatever is done about it."""

    def __init__(self, shop, backend, *, deletes):
        self._shop = shop
        self._backend = backend
        self._deletes = deletes
        self.met = 0
        """How often it found its own work undone."""

    @contextlib.asynccontextmanager
    async def running(self):
        async with beside(self._run()):
            yield self

    async def _run(self):
        kube, path = self._shop.kube, HTTP_ROUTES.path(self._shop.namespace, self._shop.name)
        rule = {"backendRefs": [{"name": self._backend, "port": 80, "weight": 1}]}
        while True:
            found = await kube.find(HTTP_ROUTES, self._shop.namespace, self._shop.name)
            if found is not None and (self._deletes or len(found["spec"]["rules"][0]["backendRefs"]) > 1):
                self.met += 1
                with contextlib.suppress(NotFoundError):
                    if self._deletes:
                        await kube.delete(HTTP_ROUTES, self._shop.namespace, self._shop.name)
                    else:
                        body, query = {"spec": {"rules": [rule]}}, {"fieldManager": "robot"}
                        await kube.request("PATCH", path, body=body, query=query, content_type=MERGE_PATCH)
            await asyncio.sleep(0.1)


def _has_met(robot, times):
    return robot.met >= times


@pytest.mark.parametrize("deletes", [False, True])
async def test_a_robot_gets_no_war_of_writes_and_no_more_weight_and_the_release_goes_on_when_it_stops(stall, deletes):
    ahead, stopped = 0.0, None
    stall.operator.clock = lambda: (time.time() if stopped is None else stopped) + ahead
    await stall.given(release(weight(10), pause(200), weight(50), pause(1), progressDeadlineSeconds=3600))
    stable = (await stall.status())["stableRevision"]
    await stall.commit("2")
    canary = (await stall.until(lambda status: status.get("reason") == "Pausing"))["canaryRevision"]
    async with Robot(stall, f"web-{stable}", deletes=deletes).running() as robot:
        contended = await stall.until(lambda status: status.get("reason") == "RouteContended")
        assert (contended["phase"], contended["weight"], contended["step"]) == ("Waiting", 10, 1)
        assert deletes or "'robot'" in contended["message"]
        assert "pointsman.dev/manual" in contended["message"]
        stopped = time.time()  # so that no half minute passes by itself, however slow the machine is
        await stall.operator.looks(2)
        for half_minutes in range(3):
            met = robot.met
            await stall.operator.looks(4)
            assert robot.met == met, f"in half a minute it is put back once, here after {half_minutes} of them"
            ahead += AGAIN_S + 0.001  # a moment more: what stands in the status is rounded, and this clock stands still
            await until(partial(_has_met, robot, met + 1), "it is put back, and the robot meets that")
            await stall.operator.looks(4)
            assert robot.met == met + 1
        assert (await stall.status())["weight"] == 10
    stopped = None
    ahead += AGAIN_S
    await stall.operator.looks(2)
    assert await stall.shares() == {stable: 9000, canary: 1000}
    ahead += WINDOW_S
    await stall.until(lambda status: status.get("reason") == "Pausing")
    ahead += 200
    assert (await stall.until_phase("Healthy"))["stableRevision"] == canary


async def test_a_misspelt_key_of_a_rule_is_refused_and_named(stall):
    """It was dropped: the rule took every path, and the route was then put back for ever."""
    matches = [{"path": {"type": "PathPrefix", "value": "/api"}}]

    def rules(key):
        gateway = {"parentRefs": [{"name": "public"}], "hostnames": ["web.example.com"], "rules": [{key: matches}]}
        return {"gatewayAPI": gateway}

    body = release(traffic=rules("match"))
    await stall.kube.create(RELEASES, stall.namespace, {**body, "metadata": {"name": stall.name}})
    status = await stall.until(lambda status: status.get("reason") == "RouterRefused")
    assert 'unknown field "spec.rules[0].match"' in status["message"]
    await stall.edit(lambda item: item["spec"].update(traffic=rules("matches")))
    await stall.until_phase("Healthy")
    await stall.edit(lambda item: item["spec"].update(traffic=rules("match")))
    await stall.until(lambda status: status.get("reason") == "RouterRefused")
    (rule,) = (await stall.kube.get(HTTP_ROUTES, stall.namespace, stall.name))["spec"]["rules"]
    assert rule["matches"] == matches  # as it was last accepted
