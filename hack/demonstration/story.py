"""The story the demo tells: version 1, a good version 2, a bad version 3, under load all the time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from controller.api.names import RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.resources import RELEASES
from controller.api.status import Status, status_from_raw
from controller.kube.client import KubeClient
from hack.demonstration.repository import Repository
from hack.install import Kubectl
from hack.load import Load, Snapshot, plan_for
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

NAMESPACE, NAME, HOST = "shop", "subject", "shop.localhost"
RATE = 50.0
_PATIENCE_S = 240.0
_POLL_S = 0.25
_QUIET_S = 3.0

Say = Callable[[str], None]


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
        self._kubectl = Kubectl(cluster)
        self._say = say
        self._began = time.monotonic()

    async def tell(self) -> Summary:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            return await self._tell(kube)
        finally:
            await kube.close()

    async def _tell(self, kube: KubeClient) -> Summary:
        self._repository.create()
        await asyncio.to_thread(self._forget_earlier)
        await self._commit("version 1", VERSION="1")
        first = await self._until_over(kube, _is_over)
        await self._until_routed()
        self._began = time.monotonic()
        plan = plan_for(self._cluster.gateway_url, rate=RATE, host=HOST)
        async with Load(plan) as load:
            self._tell_step(f"load: {RATE:g} requests/s through the gateway")
            await asyncio.sleep(_QUIET_S)
            await self._commit("version 2: a good one", VERSION="2")
            good = await self._until_over(kube, _is_over)
            promoted = good.phase is Phase.HEALTHY and good.stable != first.stable
            self._tell_step(f"version 2 is {'promoted' if promoted else 'NOT promoted'}: {good.message}")
            await self._commit("version 3: fails 20 % of its requests", VERSION="3", ERROR_RATE="0.2")
            bad = await self._until_over(kube, _is_over)
            rolled_back = bad.phase is Phase.ROLLED_BACK and bad.stable == good.stable
            self._tell_step(f"version 3 is {'rolled back' if rolled_back else 'NOT rolled back'}: {bad.message}")
            await asyncio.sleep(_QUIET_S)
            counted = await load.stop()
        revision = bad.last_rollback.revision if bad.last_rollback else ""
        return _summary(counted, revision, promoted=promoted, rolled_back=rolled_back, status=bad)

    def _forget_earlier(self) -> None:
        """To the Release of an earlier demo, version 1 would be a new version that waits for traffic."""
        self._kubectl("delete", "release", NAME, f"--namespace={NAMESPACE}", "--ignore-not-found")
        made = ("deployments,services,analysisruns,pods", f"--selector={RELEASE_LABEL}={NAME}")
        self._kubectl("wait", "--for=delete", *made, f"--namespace={NAMESPACE}", "--timeout=60s")

    async def _until_routed(self) -> None:
        """The router follows a moment after its route is written (0.2 s were seen); until then it answers 404."""
        deadline = time.monotonic() + _PATIENCE_S
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(self._cluster.gateway_url, headers={"Host": HOST}) as answer:
                    if answer.ok:
                        return
                if time.monotonic() > deadline:
                    raise TroubleError(f"the gateway does not answer for {HOST}: see `hack/cluster logs traefik`.")
                await asyncio.sleep(_POLL_S)

    async def _commit(self, message: str, **values: str) -> None:
        commit = await asyncio.to_thread(self._repository.commit, message, **values)
        self._tell_step(f"git commit {commit}: {message}")
        await asyncio.to_thread(self._repository.apply, self._kubectl)

    async def _until_over(self, kube: KubeClient, over: Callable[[Status], bool]) -> Status:
        said, deadline = "", time.monotonic() + _PATIENCE_S
        while True:
            release = await kube.get(RELEASES, NAMESPACE, NAME)
            status = status_from_raw(release.get("status", {}))
            line = _line(status)
            if line != said:
                said = line
                self._tell_step(line)
            if _observed(release) and over(status):
                return status
            if time.monotonic() > deadline:
                raise TroubleError(
                    f"the release is not over after {_PATIENCE_S:.0f} s ({line}): see `pointsman explain {NAME} "
                    f"-n {NAMESPACE}` and `kubectl logs -n pointsman-system deploy/pointsman`."
                )
            await asyncio.sleep(_POLL_S)

    def _tell_step(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")


def _is_over(status: Status) -> bool:
    return status.phase in (Phase.HEALTHY, Phase.ROLLED_BACK, Phase.INVALID)


def _observed(release: dict[str, Any]) -> bool:
    return bool(release.get("status", {}).get("observedGeneration", -1) >= release["metadata"]["generation"])


def _line(status: Status) -> str:
    parts = [f"{status.phase} ({status.reason})"]
    if status.canary:
        parts.append(f"canary {status.weight:g} %")
    if status.evidence:
        parts.append(status.evidence)
    return ", ".join(parts)


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


def as_json(summary: Summary) -> dict[str, Any]:
    return asdict(summary)
