"""The operator as it runs in the cluster, and its sudden deaths."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from controller.api.resources import LEASES, PODS
from controller.kube.client import KubeClient
from controller.runtime.operator import LEASE_NAME
from hack.install import OPERATOR_NAMESPACE
from tests.e2e import containers
from tests.e2e.patience import until

_MEAN_LIFE_S = 8.0
_METRICS_PORT = 8081


class OperatorPod:
    """`kube` is the administrator's."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def leader(self) -> str:
        """Who holds the Lease: a pod's name and a word for the process in it; empty when nobody does."""
        lease = await self._kube.find(LEASES, OPERATOR_NAMESPACE, LEASE_NAME)
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""

    async def metrics_url(self) -> str:
        """Of the one that leads, as this machine reaches it."""
        pod = await self._pod_of(await self.until_another_leads(""))
        return f"http://{pod['status']['podIP']}:{_METRICS_PORT}/metrics"

    async def until_another_leads(self, before: str) -> str:
        async def another() -> str:
            now = await self.leader()
            return now if now != before else ""

        leader: str = await until(another, "another operator leads")
        return leader

    async def kill(self, leader: str, *, with_its_pod: bool) -> None:
        """SIGKILL; the container is started again in its place, or another pod in its stead, as when a node dies."""
        pod = await self._pod_of(leader)
        assert containers.send(signal.SIGKILL, [pod]), f"no process of {leader} was found"
        if with_its_pod:
            path = PODS.path(OPERATOR_NAMESPACE, pod["metadata"]["name"])
            await self._kube.request("DELETE", path, query={"gracePeriodSeconds": "0"})

    async def _pod_of(self, leader: str) -> dict[str, Any]:
        return await self._kube.get(PODS, OPERATOR_NAMESPACE, leader.rpartition("_")[0])

    @asynccontextmanager
    async def dying_again_and_again(self, seed: int, tell: Callable[[], str]) -> AsyncIterator[list[str]]:
        """Each leader is killed at a moment of its life that chance has chosen; `tell` says what it was at.

        Every second time its pod goes too: the kubelet holds back a container that keeps on dying. In the
        end one leads.
        """
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        deaths: list[str] = []
        dead = ""

        async def kill_on() -> None:
            nonlocal dead
            while True:
                leader = await self.until_another_leads(dead)
                await asyncio.sleep(chance.expovariate(1 / _MEAN_LIFE_S))
                deaths.append(tell())
                dead = leader
                await self.kill(leader, with_its_pod=len(deaths) % 2 == 0)

        async with _beside(kill_on()):
            yield deaths
        await self.until_another_leads(dead)


@asynccontextmanager
async def _beside(endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs it beside the block, whose end cancels it; its failure is the block's."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(endless)
        yield
        task.cancel()
