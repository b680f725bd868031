"""The story of `hack/demo`: users invite their friends all the time, while a good version of the invitation API is
promoted, and one that fails and one that is slow are rolled back. With `--blue-green` a good version is switched and
kept, one that fails is found in the preview by a Job, and one that fails only under everybody's load is switched back.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from controller.kube.client import KubeClient
from hack.demonstration.git_server import serving
from hack.demonstration.invitations import FOLDER, MANIFEST, Invitations, Kept
from hack.demonstration.releasing import PATIENCE_S, POLL_S, Fate, Named, Outcome, Releasing, Say, Version
from hack.demonstration.repository import Host, Repository
from hack.install import CHECKOUT, Kubectl
from hack.load import Load, Snapshot, plan_for
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

NAMESPACE, NAME, HOST = "friends", "invitations", "invite.localhost"
RATE = 50.0
PATCH = FOLDER / "blue-green/strategy.yaml"
GOOD = Version("2: a good one", {"VERSION": "2"}, Fate.PROMOTED)
FAILING = Version("3: fails 20 % of its requests", {"VERSION": "3", "ERROR_RATE": "0.2"})
SLOW = Version(
    "4: half of its requests take a second longer",
    {"VERSION": "4", "ERROR_RATE": "0", "EXTRA_LATENCY": "1", "LATENCY_SHARE": "0.5"},
)
SWITCHED = (
    Version("2: a good one", {"VERSION": "2"}, Fate.KEPT),
    Version("3: fails 20 % of its requests", {"VERSION": "3", "ERROR_RATE": "0.2"}, Fate.FOUND),
    Version(
        "4: a pod can do 15 requests a second, and its part of everybody's is 25",
        {"VERSION": "4", "ERROR_RATE": "0", "ERRORS_ABOVE": "15"},
        Fate.RETURNED,
    ),
)
"""With `blueGreen`."""
_QUIET_S = 3.0
_MADE = "201"


@dataclass(frozen=True)
class Exposure:
    """What a version that was rolled back did to those who called it."""

    version: str
    answers: int
    failed: int
    seconds: float
    """From its first bad answer, or its first of any kind if none was, to its last."""


@dataclass(frozen=True)
class ServiceSummary:
    releases: tuple[Outcome, ...]
    exposures: tuple[Exposure, ...]
    requests: int
    failed_on_good_versions: int
    invited: int
    """Requests that were answered with an invitation."""
    lost: int
    """Of these the database does not know, or has not sent."""
    sent_twice: int
    history: tuple[str, ...] = ()
    """Of the repository: who wrote what, newest first."""
    switch_s: float | None = None
    """From the decision to the last answer of the version before, at its longest; None without a switch."""
    return_s: float | None = None
    """From the decision to the last answer of the version that was switched back."""

    @property
    def well(self) -> bool:
        return all(each.done for each in self.releases) and not (self.lost or self.sent_twice)


class ServiceStory:
    def __init__(
        self,
        cluster: Cluster,
        repository: Repository,
        say: Say,
        versions: Sequence[Version] = (GOOD, FAILING, SLOW),
    ) -> None:
        self._cluster = cluster
        self._repository = repository
        self._versions = versions
        self._releasing = Releasing(cluster, repository, Named(NAMESPACE, NAME), say)
        self._invitations = Invitations(cluster, NAMESPACE)

    @classmethod
    def of_steps(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> "ServiceStory":
        """`directory` is for the git repository."""
        return cls(cluster, Repository(directory, MANIFEST, host=host), say)

    @classmethod
    def of_switches(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> "ServiceStory":
        """With `blueGreen`. `directory` is for the git repository."""
        repository = Repository(directory, MANIFEST, PATCH, host=host)
        return cls(cluster, repository, say, SWITCHED)

    async def tell(self) -> ServiceSummary:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            with self._repository.hosted():
                return await self._tell(kube)
        finally:
            await kube.close()

    async def _tell(self, kube: KubeClient) -> ServiceSummary:
        releasing = self._releasing
        kubectl = Kubectl(self._cluster)
        kubectl.apply("-f", CHECKOUT / FOLDER / "namespace.yaml")
        await asyncio.to_thread(releasing.open_repository)
        await asyncio.to_thread(releasing.forget_earlier)
        await self._invitations.prepare(kubectl)
        await releasing.commit("version 1", VERSION="1")
        first = await releasing.until_over(kube)
        await self._until_routed()
        releasing.restart_clock()
        plan = plan_for(self._cluster.gateway_url, rate=RATE, host=HOST)
        async with Load(plan, calls=self._invitations.call) as load:
            releasing.tell(f"load: {RATE:g} invitations/s through the gateway")
            await asyncio.sleep(_QUIET_S)
            outcomes = await releasing.one_after_the_other(kube, self._versions, first)
            await asyncio.sleep(_QUIET_S)
            counted = await load.stop()
        return await self._summary(counted, outcomes)

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

    async def _summary(self, counted: Snapshot, outcomes: Sequence[Outcome]) -> ServiceSummary:
        kept = await self._invitations.kept()
        exposures = tuple(exposure(each, counted) for each in outcomes if not each.good)
        invited = counted.codes.get(_MADE, 0)
        return ServiceSummary(
            releases=tuple(outcomes),
            exposures=exposures,
            requests=counted.answered + counted.transport_errors,
            failed_on_good_versions=counted.failed - sum(each.failed for each in exposures),
            invited=invited,
            lost=lost(kept, invited),
            sent_twice=kept.tried_twice,
            history=await asyncio.to_thread(self._repository.history),
            switch_s=longest(
                seconds(one.switched_at, counted, one.before) for one in outcomes if one.fate is Fate.KEPT
            ),
            return_s=longest(seconds(one.returned_at, counted, one.revision) for one in outcomes),
        )


def lost(kept: Kept, invited: int) -> int:
    """Of so many answers that somebody was invited: those without an invitation, and invitations that were not sent."""
    return kept.missing(invited) + kept.unsent


def exposure(outcome: Outcome, counted: Snapshot) -> Exposure:
    tally = counted.revisions.get(outcome.revision)
    if tally is None:
        return Exposure(outcome.version, 0, 0, 0.0)
    seconds = tally.last - (tally.first_bad or tally.first)
    return Exposure(outcome.version, tally.answers, tally.bad, round(seconds, 1))


def seconds(decided_at: float | None, counted: Snapshot, revision: str) -> float | None:
    """From a decision to the last answer of the version that it takes the work from; at least 0."""
    tally = counted.revisions.get(revision)
    return None if decided_at is None or tally is None else max(0.0, tally.last - decided_at)


def longest(found: Iterable[float | None]) -> float | None:
    measured = [one for one in found if one is not None]
    return round(max(measured), 2) if measured else None
