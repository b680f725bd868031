"""What every story does: commits to a release's manifest, and tells what becomes of the release."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.phase import Phase
from controller.api.resources import RELEASES
from controller.api.status import Status
from controller.api.status_format import status_from_raw
from controller.kube.client import KubeClient
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


@dataclass(frozen=True)
class Version:
    """What is committed, and whether it should be promoted or rolled back."""

    message: str
    values: Mapping[str, str]
    good: bool = False


@dataclass(frozen=True)
class Outcome:
    version: str
    good: bool
    done: bool
    """Promoted if it is good, else rolled back."""
    revision: str
    evidence: str


class Releasing:
    def __init__(self, cluster: Cluster, repository: Repository, release: Named, say: Say) -> None:
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

    async def commit(self, message: str, **values: str) -> None:
        commit = await asyncio.to_thread(self._repository.commit, message, **values)
        self.tell(f"git commit {commit}: {message}")
        await asyncio.to_thread(self._repository.apply, self._kubectl)

    async def until_over(self, kube: KubeClient) -> Status:
        """Promoted, rolled back or refused; each change on the way is told."""
        said, deadline = "", time.monotonic() + PATIENCE_S
        while True:
            release = await kube.get(RELEASES, self._release.namespace, self._release.name)
            status = status_from_raw(release.get("status", {}))
            line = _line(status)
            if line != said:
                said = line
                self.tell(line)
            if _observed(release) and status.phase in (Phase.HEALTHY, Phase.ROLLED_BACK, Phase.INVALID):
                return status
            if time.monotonic() > deadline:
                raise TroubleError(
                    f"the release is not over after {PATIENCE_S:.0f} s ({line}): see `pointsman explain "
                    f"{self._release.name} -n {self._release.namespace}` and `kubectl logs -n pointsman-system "
                    "deploy/pointsman`."
                )
            await asyncio.sleep(POLL_S)

    async def one_after_the_other(
        self, kube: KubeClient, versions: Sequence[Version], stable: Status
    ) -> tuple[Outcome, ...]:
        """Commits each version once it is over with the one before, and tells what became of it."""
        outcomes = []
        for version in versions:
            await self.commit(f"version {version.message}", **version.values)
            status = await self.until_over(kube)
            if version.good:
                done = status.phase is Phase.HEALTHY and status.stable != stable.stable
                stable = status if done else stable
            else:
                done = status.phase is Phase.ROLLED_BACK and status.stable == stable.stable
            fate = "promoted" if version.good else "rolled back"
            self.tell(f"version {version.message[0]} is {fate if done else f'NOT {fate}'}: {status.message}")
            outcomes.append(_outcome(version, status, done=done))
        return tuple(outcomes)


def _outcome(version: Version, status: Status, *, done: bool) -> Outcome:
    last = None if version.good else status.last_rollback
    return Outcome(
        version=f"version {version.message}",
        good=version.good,
        done=done,
        revision=last.revision if last else status.stable,
        evidence=last.message if last else status.evidence,
    )


def _observed(release: dict[str, Any]) -> bool:
    return bool(release.get("status", {}).get("observedGeneration", -1) >= release["metadata"]["generation"])


def _line(status: Status) -> str:
    parts = [f"{status.phase} ({status.reason})"]
    if status.canary:
        parts.append(f"canary {status.weight:g} %")
    if status.evidence:
        parts.append(status.evidence)
    return ", ".join(parts)
