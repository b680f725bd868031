"""What every story does: commits to a release's manifest, and tells what becomes of the release."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import yaml

from controller.api.names import GIT_URLS, RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.resources import RELEASES
from controller.api.status import GitWrite, Status
from controller.api.status_format import status_from_raw
from controller.kube.client import KubeClient
from controller.views.strategies import words_of_release
from hack.demonstration import preview
from hack.demonstration.preview import Tester
from hack.demonstration.repository import SECRET, Repository
from hack.install import CHECKOUT, Kubectl, make_secret
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

PATIENCE_S = 240.0
POLL_S = 0.25

Say = Callable[[str], None]


@dataclass(frozen=True)
class Named:
    namespace: str
    name: str


class Fate(StrEnum):
    """What should become of a version."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    KEPT = "switched and kept"
    FOUND = "found in preview"
    RETURNED = "switched back"

    @property
    def good(self) -> bool:
        return self in (Fate.PROMOTED, Fate.KEPT)


@dataclass(frozen=True)
class Version:
    """What is committed, and what should become of it."""

    message: str
    values: Mapping[str, str]
    fate: Fate = Fate.ROLLED_BACK


@dataclass(frozen=True)
class Outcome:
    version: str
    good: bool
    done: bool
    """It came to its `fate`."""
    revision: str
    evidence: str
    fate: Fate = Fate.ROLLED_BACK
    before: str = ""
    """The revision that had the work until then."""
    switched_at: float | None = None
    """When all of the work was given to it, and taken back; Unix seconds, as decided."""
    returned_at: float | None = None
    taken_back: str = ""
    """The commit by which Pointsman took it back in git, or its pull request."""


@dataclass(frozen=True)
class _Ending:
    status: Status
    switched_at: float | None


class Releasing:
    def __init__(
        self, cluster: Cluster, repository: Repository, release: Named, say: Say, tester: Tester | None = None
    ) -> None:
        """`tester` is asked where a version without work waits for an approval."""
        self._cluster = cluster
        self._tester = tester
        self._repository = repository
        self._kubectl = Kubectl(cluster)
        self._release = release
        self._say = say
        self.restart_clock()

    def restart_clock(self) -> None:
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def forget_earlier(self) -> None:
        """To the Release of an earlier demo, version 1 would be a new version that waits for traffic."""
        there, name = f"--namespace={self._release.namespace}", self._release.name
        self._kubectl("delete", "release", name, there, "--ignore-not-found")
        made = ("deployments,services,analysisruns,pods", f"--selector={RELEASE_LABEL}={name}")
        self._kubectl("wait", "--for=delete", *made, there, "--timeout=90s")

    def open_repository(self) -> None:
        """For the operator, which writes rollbacks there."""
        server, namespace = self._repository.server, self._release.namespace
        if server is not None:
            make_secret(self._kubectl, SECRET, namespace, **server.secret)
            # where it may be sent: whoever writes a Release chooses the server
            self._kubectl("annotate", "--overwrite", "secret", SECRET, f"{GIT_URLS}={server.pods_url}", "-n", namespace)
            self._kubectl.apply("-n", namespace, "-f", CHECKOUT / "gitops/demo/git.yaml")
            self._kubectl.apply("-f", "-", text=yaml.safe_dump_all(server.service(namespace)))

    async def commit(self, message: str, **values: str) -> None:
        commit = await asyncio.to_thread(self._repository.commit, message, **values)
        pushed = "" if self._repository.server is None else ", pushed"
        self.tell(f"git commit {commit}{pushed}: {message}")
        await asyncio.to_thread(self._repository.apply, self._kubectl)

    async def until_over(self, kube: KubeClient) -> Status:
        """Promoted, rolled back or refused; each change on the way is told."""
        return (await self._followed(kube)).status

    async def _followed(self, kube: KubeClient) -> _Ending:
        said, tried, switched_at = "", "", None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            release = await kube.get(RELEASES, self._release.namespace, self._release.name)
            status = status_from_raw(release.get("status", {}))
            line = _line(status, words_of_release(release).trial)
            if line != said:
                said = line
                self.tell(line)
            if _observed(release):
                if status.phase in (Phase.HEALTHY, Phase.ROLLED_BACK, Phase.INVALID):
                    return _Ending(status, switched_at)
                if status.reason == Reason.KEEPING_OLD:
                    switched_at = switched_at or status.weight_since
                if status.reason == Reason.AWAITING_APPROVAL and status.canary != tried:
                    tried = status.canary
                    await self._try(tried)
            if time.monotonic() > deadline:
                raise TroubleError(
                    f"the release is not over after {PATIENCE_S:.0f} s ({line}): see `pointsman explain "
                    f"{self._release.name} -n {self._release.namespace}` and `kubectl logs -n pointsman-system "
                    "deploy/pointsman`."
                )
            await asyncio.sleep(POLL_S)

    async def _try(self, revision: str) -> None:
        """It has its pods and no work; nothing goes on before it is approved."""
        if self._tester is None:
            return
        found = await self._tester(revision)
        where, name = self._release.namespace, self._release.name
        typed = await preview.answer(self._cluster, namespace=where, name=name, found=found)
        self.tell(f"the pipeline: {found}: {typed}")

    async def one_after_the_other(
        self, kube: KubeClient, versions: Sequence[Version], stable: Status
    ) -> tuple[Outcome, ...]:
        """Commits each version once it is over with the one before, and tells what became of it."""
        outcomes = []
        before = stable.stable
        for version in versions:
            await self.commit(f"version {version.message}", **version.values)
            ending = await self._followed(kube)
            done = _is(version.fate, ending, before)
            fate = str(version.fate) if done else f"NOT {version.fate}"
            self.tell(f"version {version.message[0]} is {fate}: {ending.status.message}")
            outcome = _outcome(version, ending, done=done, before=before)
            if not outcome.good and outcome.done and self._repository.server is not None:
                outcome = replace(outcome, taken_back=await self._taken_back(kube, outcome.revision))
            outcomes.append(outcome)
            before = ending.status.stable
        return tuple(outcomes)

    async def _taken_back(self, kube: KubeClient, revision: str) -> str:
        """Once the rollback of this revision is in git; the commit, or the pull request that was merged."""
        written = await self._written(kube, revision)
        merge = self._repository.server.merge if self._repository.server is not None else None
        if written.pull_request and merge is not None:
            self.tell(f"pull request {written.pull_request} by Pointsman; a developer merges it")
            await asyncio.to_thread(merge, written.pull_request)
        await asyncio.to_thread(self._repository.pull)
        if written.commit:
            subject, *_ = (await asyncio.to_thread(self._repository.message, written.commit)).splitlines()
            self.tell(f"git commit {written.commit[:7]} by Pointsman: {subject}")
        return written.commit or written.pull_request

    async def _written(self, kube: KubeClient, revision: str) -> GitWrite:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            release = await kube.get(RELEASES, self._release.namespace, self._release.name)
            last = status_from_raw(release.get("status", {})).last_rollback
            written = last.git if last is not None and last.revision == revision else None
            if written is not None and (written.commit or written.pull_request):
                return written
            if time.monotonic() > deadline:
                note = "" if written is None else f" ({written.note})"
                raise TroubleError(
                    f"the rollback of {revision} is not in git after {PATIENCE_S:.0f} s{note}: see `kubectl describe "
                    f"release {self._release.name} -n {self._release.namespace}`."
                )
            await asyncio.sleep(POLL_S)


def _is(fate: Fate, ending: _Ending, before: str) -> bool:
    status, switched = ending.status, ending.switched_at is not None
    if fate.good:
        return status.phase is Phase.HEALTHY and status.stable != before and (switched or fate is Fate.PROMOTED)
    back = status.phase is Phase.ROLLED_BACK and status.stable == before
    match fate:
        case Fate.FOUND:
            return back and not switched
        case Fate.RETURNED:
            return back and switched and status.reason == Reason.REGRESSED
        case _:
            return back


def _outcome(version: Version, ending: _Ending, *, done: bool, before: str) -> Outcome:
    status = ending.status
    last = None if version.fate.good else status.last_rollback
    return Outcome(
        version=f"version {version.message}",
        good=version.fate.good,
        done=done,
        revision=last.revision if last else status.stable,
        evidence=last.message if last else status.evidence,
        fate=version.fate,
        before=before,
        switched_at=ending.switched_at,
        returned_at=last.at if last and ending.switched_at is not None else None,
    )


def _observed(release: dict[str, Any]) -> bool:
    return bool(release.get("status", {}).get("observedGeneration", -1) >= release["metadata"]["generation"])


def _line(status: Status, trial: str) -> str:
    """`trial`: what the version on trial is called."""
    parts = [f"{status.phase} ({status.reason})"]
    if status.canary:
        parts.append(f"{trial} {status.weight:g} %")
    if status.evidence:
        parts.append(status.evidence)
    return ", ".join(parts)
