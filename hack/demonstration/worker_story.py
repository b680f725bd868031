"""The story of `hack/demo --worker`: jobs flow, a good version is promoted, one that fails and one that is slow are
rolled back, and no job is lost, made twice or dead-lettered by any of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from controller.api.status import Status
from controller.kube.client import KubeClient
from hack.demonstration.jobs import Jobs
from hack.demonstration.releasing import Named, Releasing, Say
from hack.demonstration.repository import Repository
from hack.install import CHECKOUT, Kubectl, make_secret
from hack.node import aws
from hack.node.cluster import Cluster
from workloads.common.job_row import Row, State

NAMESPACE, NAME = "media", "image-worker"
RATE = 6.0
_QUIET_S = 5.0
_DRAIN_S = 90.0


@dataclass(frozen=True)
class WorkerSummary:
    promoted: bool
    failing_rolled_back: bool
    slow_rolled_back: bool
    jobs: int
    completed: int
    lost: int
    """Neither completed nor failed for good, a while after the last was sent."""
    dead_lettered: int
    made_twice: int
    touched_by_failing: int
    touched_by_slow: int
    share_percent_failing: float
    """Of the first attempts from its first to its last."""
    failing_evidence: str
    slow_evidence: str


class WorkerStory:
    def __init__(self, cluster: Cluster, repository: Repository, say: Say) -> None:
        self._cluster = cluster
        self._repository = repository
        self._releasing = Releasing(cluster, repository, Named(NAMESPACE, NAME), say)

    async def tell(self) -> WorkerSummary:
        kube = await KubeClient.connect(str(self._cluster.kubeconfig))
        try:
            async with Jobs.flowing(aws.environment(self._cluster.aws_url), rate=RATE) as jobs:
                return await self._tell(kube, jobs)
        finally:
            await kube.close()

    async def _tell(self, kube: KubeClient, jobs: Jobs) -> WorkerSummary:
        releasing = self._releasing
        self._repository.create()
        await asyncio.to_thread(self._prepare)
        releasing.restart_clock()
        await releasing.commit("version 1", VERSION="1")
        releasing.tell(f"{RATE:g} jobs/s are sent to the queue")
        first = await releasing.until_over(kube)
        await asyncio.sleep(_QUIET_S)
        await releasing.commit("version 2: a good one", VERSION="2")
        promoted, good = await releasing.promoted(kube, "version 2", over=first)
        await releasing.commit("version 3: fails half of its jobs", VERSION="3", ERROR_RATE="0.5")
        failing_back, failing = await releasing.rolled_back(kube, "version 3", to=good)
        await releasing.commit("version 4: takes 1.5 s longer", VERSION="4", ERROR_RATE="0", EXTRA_LATENCY="1.5")
        slow_back, slow = await releasing.rolled_back(kube, "version 4", to=good)
        jobs.raise_if_stuck()
        await jobs.stop()
        releasing.tell("no more jobs are sent")
        rows = await jobs.ended(seconds=_DRAIN_S)
        bad = _rejected(failing)
        return WorkerSummary(
            promoted=promoted,
            failing_rolled_back=failing_back,
            slow_rolled_back=slow_back,
            jobs=jobs.sent,
            completed=_count(rows, State.COMPLETED),
            lost=jobs.sent - _count(rows, State.COMPLETED) - _count(rows, State.FAILED),
            dead_lettered=_count(rows, State.FAILED),
            made_twice=await jobs.made_twice(),
            touched_by_failing=sum(_touched(row, bad) for row in rows),
            touched_by_slow=sum(_touched(row, _rejected(slow)) for row in rows),
            share_percent_failing=_share_percent(rows, bad),
            failing_evidence=_evidence(failing),
            slow_evidence=_evidence(slow),
        )

    def _prepare(self) -> None:
        kubectl = Kubectl(self._cluster)
        kubectl.apply("-f", CHECKOUT / "gitops/demo/worker/namespace.yaml")
        make_secret(kubectl, "aws", NAMESPACE, **aws.environment(self._cluster.in_cluster.aws_url))
        self._releasing.forget_earlier()
        settings = kubectl("kustomize", CHECKOUT / "gitops/demo/worker")
        kubectl.apply("-f", "-", text=_without_release(settings))


def _without_release(manifests: str) -> str:
    """It comes by commit."""
    return "---\n".join(each for each in manifests.split("---\n") if "kind: Release\n" not in each)


def _rejected(status: Status) -> str:
    return status.last_rollback.revision if status.last_rollback else ""


def _evidence(status: Status) -> str:
    return status.last_rollback.message if status.last_rollback else ""


def _count(rows: Sequence[Row], state: State) -> int:
    return sum(row.state is state for row in rows)


def _touched(row: Row, revision: str) -> bool:
    return revision in {row.first_version, row.version, *row.failed_by}


def _share_percent(rows: Sequence[Row], revision: str) -> float:
    """By when jobs were sent: what was claimed meanwhile was sent meanwhile, where nothing queues up."""
    sent = [row.created_at for row in rows if row.first_version == revision]
    if not sent:
        return 0.0
    meanwhile = sum(min(sent) <= row.created_at <= max(sent) for row in rows)
    return round(100 * len(sent) / meanwhile, 1)
