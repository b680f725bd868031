"""What people and pods do in the world of `world.py`; each ends with a decision."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from controller.api.release import ReleaseSpec
from controller.api.status import Status
from controller.rollout.observation import Request
from tests.unit.rollout.cluster import CRASHING, HEALTHY, NO_IMAGE, NO_ROOM, UNREADY, Cluster


class Happenings:
    cluster: Cluster
    spec: ReleaseSpec
    release: Status
    requests: list[Request]
    target: str
    retry: str
    deleting: bool

    @abstractmethod
    def settle(self) -> None: ...

    def commit(self, revision: str) -> None:
        self.target = revision
        self.settle()

    def edit(self, **changes: Any) -> None:
        """Changes the spec: `replicas`, `suspend`, `steps`."""
        self.spec = replace(self.spec, **changes)
        self.settle()

    def pods(self, revision: str, behavior: str) -> None:
        self.cluster.behavior(revision).pods = behavior
        self.settle()

    def crash_loop(self, revision: str) -> None:
        self.pods(revision, CRASHING)

    def unready(self, revision: str) -> None:
        self.pods(revision, UNREADY)

    def no_room(self, revision: str) -> None:
        self.pods(revision, NO_ROOM)

    def no_image(self, revision: str) -> None:
        self.pods(revision, NO_IMAGE)

    def recover(self, revision: str) -> None:
        self.pods(revision, HEALTHY)

    def regress(self, revision: str, errors: float = 0.2) -> None:
        self.cluster.behavior(revision).errors = errors

    def ask(self, action: str, revision: str = "", *, by: str = "ana", reason: str = "", **more: Any) -> str:
        """Creates a ReleaseAction; returns its name."""
        name = f"{action}-{len(self.requests) + 1}"
        about = revision or self.release.canary
        self.requests.append(Request(f"uid-{name}", name, action, about, by, reason, **more))
        self.settle()
        return name

    def annotate(self, retry: str) -> None:
        """Writes annotation pointsman.dev/retry, or takes it away."""
        self.retry = retry
        self.settle()

    def answer(self, name: str) -> str:
        return self.cluster.answers[name].message if name in self.cluster.answers else ""

    def delete(self) -> None:
        self.deleting = True
        self.settle()
