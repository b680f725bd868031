"""The story of `hack/demo --worker`: jobs flow, a good version is promoted, one that fails and one that is slow are
rolled back, and no job is lost, made twice or dead-lettered by any of it. With `--blue-green` a good version is
switched and kept; one that fails is found before it has a message, as a new pod draws some images for trial; and one
that fails only when all messages come to it is switched back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from controller.kube.client import KubeClient
from hack.demonstration.jobs import Jobs
from hack.demonstration.preview import OfWorker, Tester
from hack.demonstration.releasing import Fate, Named, Outcome, Version
from hack.demonstration.repository import GITOPS
from hack.demonstration.service_story import longest
from hack.demonstration.story import Story
from hack.demonstration.telling import Summary
from hack.install import Kubectl, make_secret
from hack.node import aws
from workloads.common.job_row import Row, State

NAMESPACE, NAME = "media", "image-worker"
RATE = 6.0
FOLDER = GITOPS / "demo/worker"
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


@dataclass(frozen=True, kw_only=True)
class WorkerSummary(Summary):
    touched: Mapping[str, int]
    """Jobs that a version which was rolled back had in its hands, by version."""
    jobs: int
    completed: int
    lost: int
    """Neither completed nor failed for good when no other had been for a while."""
    dead_lettered: int
    made_twice: int
    exposed_s: float | None = None
    """From the first to the last job that the version which was switched back began."""

    @property
    def well(self) -> bool:
        return super().well and not (self.lost or self.made_twice)

    def harm(self) -> Mapping[str, str]:
        return {
            version: f"{count} jobs touched" if count else "no job has met it"
            for version, count in self.touched.items()
        }

    def counts(self) -> Mapping[str, object]:
        exposed = {} if self.exposed_s is None else {"exposed": f"{self.exposed_s} s, until it was switched back"}
        return {
            "jobs": f"{self.jobs}, {self.completed} completed",
            "lost, made twice, dead-lettered": f"{self.lost}, {self.made_twice}, {self.dead_lettered}",
            **self._times("job begun"),
            **exposed,
        }


class WorkerStory(Story[WorkerSummary]):
    release: ClassVar = Named(NAMESPACE, NAME)
    folder: ClassVar = FOLDER
    stepwise: ClassVar = VERSIONS
    switched: ClassVar = SWITCHED

    def _tester(self) -> Tester:
        return OfWorker(self._cluster, NAMESPACE, NAME)

    async def _tell(self, kube: KubeClient) -> WorkerSummary:
        releasing, kubectl = self._releasing, Kubectl(self._cluster)
        kubectl.apply("-f", FOLDER / "namespace.yaml")
        make_secret(kubectl, "aws", NAMESPACE, **aws.environment(self._cluster.in_cluster.aws_url))
        async with Jobs.flowing(aws.environment(self._cluster.aws_url), rate=RATE) as jobs, releasing.followed():
            releasing.restart_clock()
            releasing.tell(f"load: {RATE:g} jobs/s are sent to the queue")
            await releasing.commit(kube, "version 1", VERSION="1")
            first = await releasing.until_over(kube)
            await asyncio.sleep(_QUIET_S)
            outcomes = await releasing.one_after_the_other(kube, self._versions, first)
            jobs.raise_if_stuck()
            await jobs.stop()
            releasing.tell("no more jobs are sent")
            rows = await jobs.ended(releasing.tell, seconds=_DRAIN_S)
            return await self._summary(rows, outcomes, jobs)

    async def _summary(self, rows: Sequence[Row], outcomes: Sequence[Outcome], jobs: Jobs) -> WorkerSummary:
        return WorkerSummary(
            releases=tuple(outcomes),
            touched={each.version: _touched(rows, each.revision) for each in outcomes if not each.good},
            jobs=jobs.sent,
            completed=_count(rows, State.COMPLETED),
            lost=jobs.sent - _count(rows, State.COMPLETED) - _count(rows, State.FAILED),
            dead_lettered=_count(rows, State.FAILED),
            made_twice=await jobs.made_twice(),
            **await asyncio.to_thread(self._in_git),
            switch_s=longest(
                _last_begun(rows, one.before, since=one.switched_at) for one in outcomes if one.fate is Fate.KEPT
            ),
            return_s=longest(_last_begun(rows, one.revision, since=one.returned_at) for one in outcomes),
            exposed_s=longest(_exposed(rows, one) for one in outcomes if one.fate is Fate.RETURNED),
        )


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
