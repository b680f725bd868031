"""What a cluster of any kind can do.

`native` is the only kind so far: Kubernetes as processes of this machine. kind,
for machines with a Docker engine, is an issue of its own and will be chosen in
`choose`; until then `hack/cluster` runs on Linux as root only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack.node.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class Part:
    """One program of the cluster."""

    name: str
    pid: int | None  # None: it does not run
    log: Path


@dataclass(frozen=True, kw_only=True)
class Status:
    parts: tuple[Part, ...]
    ready: bool  # everything runs, and pods would be scheduled and reached


class Backend(Protocol):
    def up(self) -> Cluster:
        """Starts what does not run; harmless when all does."""

    def down(self) -> None:
        """Leaves nothing behind but the cache; harmless when nothing is there."""

    def status(self) -> Status: ...

    def logs(self) -> Mapping[str, Path]:
        """Log files by the program's name."""

    def load_image(self, archive: Path) -> None:
        """Makes the images of an OCI archive known to the nodes."""


def choose() -> Backend:
    from hack.node.native import Native  # noqa: PLC0415  (backends import this module's types)

    return Native()
