"""The story the demo tells: version 1, a good version 2, a bad version 3, under load all the time."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from controller.api.status import Status
from controller.kube.client import KubeClient
from hack.demonstration.releasing import PATIENCE_S, POLL_S, Named, Releasing, Say
from hack.demonstration.repository import Repository
from hack.load import Load, Snapshot, plan_for
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

NAMESPACE, NAME, HOST = "shop", "subject", "shop.localhost"
RATE = 50.0
_QUIET_S = 3.0


@dataclass(frozen=True)
class Summary:
    promoted: bool
    rolled_back: bool
    requests: int
    failed_on_good_versions: int
    failed_on_bad_version: int
    seconds_to_rollback: float
    """From the first bad answer of the bad version to its last answer of any kind."""
    evidence: str


class Story:
    def __init__(self, cluster: Cluster, repository: Repository, say: Say) -> None:
        self._cluster = cluster
        self._repository = repository
        self._releasing = Releasing(cluster, repository, Named(NAMESPACE, NAME), say)

    async def tell(self) -> Summary:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            return await self._tell(kube)
        finally:
            await kube.close()

    async def _tell(self, kube: KubeClient) -> Summary:
        releasing = self._releasing
        self._repository.create()
        await asyncio.to_thread(releasing.forget_earlier)
        await releasing.commit("version 1", VERSION="1")
        first = await releasing.until_over(kube)
        await self._until_routed()
        releasing.restart_clock()
        plan = plan_for(self._cluster.gateway_url, rate=RATE, host=HOST)
        async with Load(plan) as load:
            releasing.tell(f"load: {RATE:g} requests/s through the gateway")
            await asyncio.sleep(_QUIET_S)
            await releasing.commit("version 2: a good one", VERSION="2")
            promoted, good = await releasing.promoted(kube, "version 2", over=first)
            await releasing.commit("version 3: fails 20 % of its requests", VERSION="3", ERROR_RATE="0.2")
            rolled_back, bad = await releasing.rolled_back(kube, "version 3", to=good)
            await asyncio.sleep(_QUIET_S)
            counted = await load.stop()
        revision = bad.last_rollback.revision if bad.last_rollback else ""
        return _summary(counted, revision, promoted=promoted, rolled_back=rolled_back, status=bad)

    async def _until_routed(self) -> None:
        """The router follows a moment after its route is written (0.2 s were seen); until then it answers 404."""
        deadline = time.monotonic() + PATIENCE_S
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(self._cluster.gateway_url, headers={"Host": HOST}) as answer:
                    if answer.ok:
                        return
                if time.monotonic() > deadline:
                    raise TroubleError(f"the gateway does not answer for {HOST}: see `hack/cluster logs traefik`.")
                await asyncio.sleep(POLL_S)


def _summary(counted: Snapshot, bad: str, *, promoted: bool, rolled_back: bool, status: Status) -> Summary:
    tally = counted.revisions.get(bad)
    failed_on_bad = tally.bad if tally is not None else 0
    seconds = 0.0
    if tally is not None and tally.first_bad is not None:
        seconds = tally.last - tally.first_bad
    return Summary(
        promoted=promoted,
        rolled_back=rolled_back,
        requests=counted.answered + counted.transport_errors,
        failed_on_good_versions=counted.failed - failed_on_bad,
        failed_on_bad_version=failed_on_bad,
        seconds_to_rollback=round(seconds, 1),
        evidence=status.last_rollback.message if status.last_rollback is not None else "",
    )
