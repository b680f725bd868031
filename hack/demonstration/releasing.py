"""What every story does: commits to a release's manifest, and tells what becomes of the release."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.resources import RELEASES
from controller.api.status import Rejection, Status
from controller.api.status_format import status_from_raw
from controller.kube.client import KubeClient
from controller.views.strategies import words_of_release
from hack.demonstration import following, preview
from hack.demonstration.git_server import Shown
from hack.demonstration.preview import Tester
from hack.demonstration.repository import Repository
from hack.install import Kubectl
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
    shown: Shown | None = None
    """Beside the commit that brought it, where the git server is a forge."""


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
        self._in_git: dict[str, str] = {}
        """By the revision that was rolled back: the commit, or the pull request."""
        self.restart_clock()

    def restart_clock(self) -> None:
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """From the first commit on the cluster follows the repository; nothing of an earlier demo is left."""
        namespace, server = self._release.namespace, self._repository.server
        await asyncio.to_thread(following.forget, self._kubectl, namespace)
        await asyncio.to_thread(self._forget_earlier)
        await asyncio.to_thread(following.follow, self._kubectl, namespace, server, self._repository.path)
        try:
            yield
        finally:
            # the server ends with the demo
            await asyncio.to_thread(following.suspend, self._kubectl, namespace)

    def _forget_earlier(self) -> None:
        """To the Release of an earlier demo, version 1 would be a new version that waits for traffic."""
        there, name = f"--namespace={self._release.namespace}", self._release.name
        self._kubectl("delete", "release", name, there, "--ignore-not-found")
        made = ("deployments,services,analysisruns,pods", f"--selector={RELEASE_LABEL}={name}")
        self._kubectl("wait", "--for=delete", *made, there, "--timeout=90s")

    async def commit(self, kube: KubeClient, message: str, **values: str) -> str:
        """Pushes it, and returns its hash once `pointsman sync` has applied it."""
        commit = await asyncio.to_thread(self._repository.commit, message, **values)
        forge = self._repository.server.forge
        how = " (by a pull request)" if forge is not None and forge.is_protected else ""
        self.tell(f"git push {short(commit)}{how}: {message}")
        await self._applied(kube, commit)
        return commit

    async def _applied(self, kube: KubeClient, commit: str) -> None:
        await following.until_applied(kube, self._release.namespace, commit)
        self.tell(f"pointsman sync applied {short(commit)}")

    async def until_over(self, kube: KubeClient) -> Status:
        """Promoted, rolled back or refused; each change on the way is told."""
        return (await self._followed(kube)).status

    async def _followed(self, kube: KubeClient) -> _Ending:
        said, tried, switched_at = "", "", None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            release = await following.read(kube, RELEASES, self._release.namespace, self._release.name)
            status = status_from_raw(release.get("status", {}))
            await self._tell_rollback(status)
            if _observed(release):
                line = _line(status, words_of_release(release).trial)
                if line != said:
                    said = line
                    self.tell(line)
                if status.phase in (Phase.HEALTHY, Phase.ROLLED_BACK, Phase.INVALID):
                    return _Ending(status, switched_at)
                if status.reason == Reason.KEEPING_OLD:
                    switched_at = switched_at or status.weight_since
                if status.reason == Reason.AWAITING_APPROVAL and status.canary != tried:
                    tried = status.canary
                    await self._try(tried)
            if time.monotonic() > deadline:
                raise TroubleError(
                    f"the release is not over after {PATIENCE_S:.0f} s ({said}): see `pointsman explain "
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
        before = stable
        for version in versions:
            commit = await self.commit(kube, f"version {version.message}", **version.values)
            ending = await self._followed(kube)
            done = _is(version.fate, ending, before)
            fate = str(version.fate) if done else f"NOT {version.fate}"
            outcome = _outcome(version, ending, done=done, before=before)
            why = ending.status.message if version.fate.good else outcome.evidence
            self.tell(f"version {version.message[0]} is {fate}: {why}")
            if not outcome.good and outcome.done:
                outcome = replace(outcome, taken_back=await self._taken_back(kube, outcome.revision))
            if outcome.done:
                outcome = replace(outcome, shown=await self._shown(commit))
            outcomes.append(outcome)
            before = ending.status
        return tuple(outcomes)

    async def _taken_back(self, kube: KubeClient, revision: str) -> str:
        """Once the rollback of this revision is in git, and the cluster follows; the commit, or the pull request."""
        deadline = time.monotonic() + PATIENCE_S
        while revision not in self._in_git:
            release = await following.read(kube, RELEASES, self._release.namespace, self._release.name)
            status = status_from_raw(release.get("status", {}))
            await self._tell_rollback(status)
            if time.monotonic() > deadline:
                last = status.last_rollback
                note = f" ({last.git.note})" if last is not None and last.git is not None else ""
                raise TroubleError(
                    f"the rollback of {revision} is not in git after {PATIENCE_S:.0f} s{note}: see `kubectl describe "
                    f"release {self._release.name} -n {self._release.namespace}`."
                )
            await asyncio.sleep(POLL_S)
        await self._applied(kube, await asyncio.to_thread(self._repository.head))
        await self._followed(kube)
        return self._in_git[revision]

    async def _shown(self, commit: str) -> Shown | None:
        """Once the forge, where there is one, shows how the release of this commit has ended."""
        forge = self._repository.server.forge
        if forge is None:
            return None
        deadline = time.monotonic() + PATIENCE_S
        while not (found := await asyncio.to_thread(forge.shown, commit)).is_over:
            if time.monotonic() > deadline:
                raise TroubleError(
                    f"{forge.name} does not show the end of {short(commit)} after {PATIENCE_S:.0f} s ({found}): see "
                    f"`kubectl describe release {self._release.name} -n {self._release.namespace}`."
                )
            await asyncio.sleep(POLL_S)
        self.tell(f"{forge.name} shows beside {short(commit)}: {found.status}")
        return found

    async def _tell_rollback(self, status: Status) -> None:
        """As soon as it is in git, which is while the last requests of the bad version still end."""
        last = status.last_rollback
        written = None if last is None else last.git
        if last is None or written is None or last.revision in self._in_git:
            return
        if written.pull_request:
            self.tell(f"pull request by Pointsman: {written.pull_request}")
            if (forge := self._repository.server.forge) is not None:
                await asyncio.to_thread(forge.merge, written.pull_request)
                self.tell("a developer merges it")
        elif not written.commit:
            return
        await asyncio.to_thread(self._repository.pull)
        if written.commit:
            subject, *_ = (await asyncio.to_thread(self._repository.message, written.commit)).splitlines()
            self.tell(f"git push {short(written.commit)} by Pointsman: {subject}")
        self._in_git[last.revision] = written.commit or written.pull_request


def _is(fate: Fate, ending: _Ending, before: Status) -> bool:
    """One that was taken back may be Healthy by then: git asks for the version before it again."""
    status, switched = ending.status, ending.switched_at is not None
    if fate.good:
        return status.phase is Phase.HEALTHY and status.stable != before.stable and (switched or fate is Fate.PROMOTED)
    last = _rollback_since(status, before)
    if last is None or status.stable != before.stable or status.phase not in (Phase.HEALTHY, Phase.ROLLED_BACK):
        return False
    match fate:
        case Fate.FOUND:
            return not switched
        case Fate.RETURNED:
            return switched and last.reason == Reason.REGRESSED
        case _:
            return True


def _rollback_since(status: Status, before: Status) -> Rejection | None:
    last, known = status.last_rollback, before.last_rollback
    return None if last is None or (known is not None and known.at == last.at) else last


def _outcome(version: Version, ending: _Ending, *, done: bool, before: Status) -> Outcome:
    status = ending.status
    last = None if version.fate.good else _rollback_since(status, before)
    return Outcome(
        version=f"version {version.message}",
        good=version.fate.good,
        done=done,
        revision=last.revision if last else status.stable,
        evidence=last.message if last else status.evidence,
        fate=version.fate,
        before=before.stable,
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


def short(commit: str) -> str:
    return commit[:7]
