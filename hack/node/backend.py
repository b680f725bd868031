"""What a cluster of any kind can do, and which kind a checkout has.

`native`: Kubernetes as processes of this machine. `kind`: its nodes are containers of a Docker engine, the machine's
own or a private one. Both need Linux and root.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack.node import paths
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

NATIVE, KIND = "native", "kind"
BACKENDS = (NATIVE, KIND)
_RECORD = "backend"


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
    def check(self) -> None:
        """Raises TroubleError where this machine cannot have such a cluster."""

    def up(self) -> Cluster:
        """Starts what does not run; harmless when all does."""

    def down(self) -> None:
        """Leaves nothing behind but the cache; harmless when nothing is there."""

    def status(self) -> Status: ...

    def logs(self) -> Mapping[str, Path]:
        """Log files by the program's name."""

    def load_image(self, archive: Path) -> None:
        """Makes the images of an OCI archive known to the nodes."""


def choose(name: str | None = None, *, nodes: int | None = None, state: Path = paths.STATE) -> Backend:
    """The one named; else the one of the cluster that this checkout has; else kind where a Docker engine answers to
    root on Linux, and native everywhere else. `nodes` is for kind.
    """
    present = recorded(state)
    if name and present and name != present:
        raise TroubleError(f"this checkout has a cluster of the {present} backend: run `hack/cluster down` first.")
    chosen = name or present or _default()
    if chosen == KIND:
        from hack.node.kind import Kind  # noqa: PLC0415  (backends import this module's types)

        return Kind(state, nodes=nodes)
    if nodes not in {None, 1}:
        raise TroubleError("the native backend has one node: several are made with --backend kind.")
    from hack.node.native import Native  # noqa: PLC0415

    return Native(state)


def recorded(state: Path) -> str | None:
    """The backend of this checkout's cluster, from the moment it began to come up."""
    try:
        return (state / _RECORD).read_text()
    except FileNotFoundError:
        return NATIVE if (state / "pki").exists() else None  # one that an older checkout has made


def keep(name: str, state: Path) -> None:
    state.mkdir(exist_ok=True)
    (state / _RECORD).write_text(name)


def _default() -> str:
    from hack.node import docker  # noqa: PLC0415

    may = sys.platform == "linux" and os.geteuid() == 0
    return KIND if may and docker.machines_own() else NATIVE
