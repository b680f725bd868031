"""The story of `hack/demo --worker`: jobs flow, a good version is promoted, one that fails and one that is slow are
rolled back, and no job is lost, made twice or dead-lettered by any of it. With `--blue-green` a good version is
switched and kept; one that fails is found before it has a message, as a new pod draws some images for trial; and one
that fails only when all messages come to it is switched back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.kube.client import KubeClient
from hack.demonstration.beside import apply_beside
from hack.demonstration.git_server import serving
from hack.demonstration.jobs import Jobs
from hack.demonstration.preview import OfWorker, Tester
from hack.demonstration.releasing import Fate, Named, Outcome, Releasing, Say, Version
from hack.demonstration.repository import Host, Repository
from hack.demonstration.service_story import longest
from hack.install import CHECKOUT, Kubectl, make_secret
from hack.node import aws
from hack.node.cluster import Cluster
from workloads.common.job_row import Row, State

NAMESPACE, NAME = "media", "image-worker"
RATE = 6.0
MANIFEST, PATCH = Path("gitops/demo/worker/release.yaml"), Path("gitops/demo/worker/blue-green/strategy.yaml")
VERSIONS = (
    Version("2: a good one", {"VERSION": "2"}, Fate.PROMOTED),
    Version("3: fails half of its jobs", {"VERSION": "3", "ERROR_RATE": "0.5"}),
    Version("4: takes 1.5 s longer", {"VERSION": "4", "ERROR_RATE": "0", "EXTRA_LATENCY": "1.5"}),
)
SWITCHED = (
    Version("2: a good one", {"VERSION": "2"}, Fate.KEPT),
    Version("3: fails half of its jobs", {"VERSION": "3", "ERROR_RATE": "0.5"}, Fate.FOUND),
    Version(
        "4: a pod can do 2 jobs a second, and its part of all messages is 3",
        {"VERSION": "4", "ERROR_RATE": "0", "ERRORS_ABOVE": "2"},
        Fate.RETURNED,
    ),
)
"""With `blueGreen`."""
_QUIET_S = 5.0
_DRAIN_S = 90.0


@dataclass(frozen=True)
class WorkerSummary:
    releases: tuple[Outcome, ...]
    touched: dict[str, int]
    """Jobs that a version which was rolled back had in its hands, by version."""
    jobs: int
    completed: int
    lost: int
    """Neither completed nor failed for good, a while after the last was sent."""
    dead_lettered: int
    made_twice: int
    history: tuple[str, ...] = ()
    """Of the repository: who wrote what, newest first."""
    switch_s: float | None = None
    """From the decision to the last job that the version before began, at its longest; None without a switch."""
    return_s: float | None = None
    """From the decision to the last job that the version which was switched back began."""
    exposed_s: float | None = None
    """From the first to the last of these."""

    @property
    def well(self) -> bool:
        return all(each.done for each in self.releases) and not (self.lost or self.made_twice)


class WorkerStory:
    def __init__(
        self,
        cluster: Cluster,
        repository: Repository,
        say: Say,
        versions: Sequence[Version] = VERSIONS,
        tester: Tester | None = None,
    ) -> None:
        self._cluster = cluster
        self._repository = repository
        self._versions = versions
        self._releasing = Releasing(cluster, repository, Named(NAMESPACE, NAME), say, tester)

    @classmethod
    def of_steps(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> "WorkerStory":
        """`directory` is for the git repository."""
        return cls(cluster, Repository(directory, MANIFEST, host=host), say)

    @classmethod
    def of_switches(cls, cluster: Cluster, directory: Path, say: Say, *, host: Host = serving) -> "WorkerStory":
        """With `blueGreen`. `directory` is for the git repository."""
        repository = Repository(directory, MANIFEST, PATCH, host=host)
        return cls(cluster, repository, say, SWITCHED, OfWorker(cluster, NAMESPACE, NAME))

    async def tell(self) -> WorkerSummary:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            with self._repository.hosted():
                async with Jobs.flowing(aws.environment(self._cluster.aws_url), rate=RATE) as jobs:
                    return await self._tell(kube, jobs)
        finally:
            await kube.close()

    async def _tell(self, kube: KubeClient, jobs: Jobs) -> WorkerSummary:
        releasing = self._releasing
        await asyncio.to_thread(self._prepare)
        releasing.restart_clock()
        await releasing.commit("version 1", VERSION="1")
        releasing.tell(f"{RATE:g} jobs/s are sent to the queue")
        first = await releasing.until_over(kube)
        await asyncio.sleep(_QUIET_S)
        outcomes = await releasing.one_after_the_other(kube, self._versions, first)
        jobs.raise_if_stuck()
        await jobs.stop()
        releasing.tell("no more jobs are sent")
        rows = await jobs.ended(seconds=_DRAIN_S)
        return WorkerSummary(
            releases=outcomes,
            touched={each.version: _touched(rows, each.revision) for each in outcomes if not each.good},
            jobs=jobs.sent,
            completed=_count(rows, State.COMPLETED),
            lost=jobs.sent - _count(rows, State.COMPLETED) - _count(rows, State.FAILED),
            dead_lettered=_count(rows, State.FAILED),
            made_twice=await jobs.made_twice(),
            history=await asyncio.to_thread(self._repository.history),
            switch_s=longest(
                _last_begun(rows, one.before, since=one.switched_at) for one in outcomes if one.fate is Fate.KEPT
            ),
            return_s=longest(_last_begun(rows, one.revision, since=one.returned_at) for one in outcomes),
            exposed_s=longest(_exposed(rows, one) for one in outcomes if one.fate is Fate.RETURNED),
        )

    def _prepare(self) -> None:
        kubectl = Kubectl(self._cluster)
        kubectl.apply("-f", CHECKOUT / "gitops/demo/worker/namespace.yaml")
        make_secret(kubectl, "aws", NAMESPACE, **aws.environment(self._cluster.in_cluster.aws_url))
        self._releasing.open_repository()
        self._releasing.forget_earlier()
        apply_beside(kubectl, CHECKOUT / "gitops/demo/worker", NAMESPACE)


def _count(rows: Sequence[Row], state: State) -> int:
    return sum(row.state is state for row in rows)


def _touched(rows: Sequence[Row], revision: str) -> int:
    return sum(revision in {row.first_version, row.version, *row.failed_by} for row in rows)


def _begun(rows: Sequence[Row], revision: str) -> list[float]:
    """Unix seconds, of the last attempt of each job."""
    return [row.started_at / 1000 for row in rows if row.version == revision]


def _last_begun(rows: Sequence[Row], revision: str, *, since: float | None) -> float | None:
    begun = _begun(rows, revision)
    return None if since is None or not begun else max(0.0, max(begun) - since)


def _exposed(rows: Sequence[Row], outcome: Outcome) -> float | None:
    begun = _begun(rows, outcome.revision)
    return max(begun) - min(begun) if begun else None
