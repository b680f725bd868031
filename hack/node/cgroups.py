"""The control groups that hold all pods of the node: what is in them is ours to end."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from hack.node.trouble import TroubleError

NAME = "pointsman"
_ROOT = Path("/sys/fs/cgroup")
_SECONDS = 10
_CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}


def hierarchies() -> list[Path]:
    """One with cgroup v2, one per controller with v1."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return sorted(path.resolve() for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink())


def create() -> None:
    """The kubelet wants its root to exist with every controller."""
    for hierarchy in hierarchies():
        available = hierarchy / "cgroup.controllers"
        if available.exists():  # v2: a group has what its parent hands down
            for controller in _CONTROLLERS & set(available.read_text().split()):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        group = hierarchy / NAME
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            inherited = hierarchy / setting
            if inherited.exists():  # v1: an empty cpuset runs nothing
                (group / setting).write_text(inherited.read_text())


def destroy() -> None:
    """Ends every process of every pod, then removes the groups."""
    groups = [group for hierarchy in hierarchies() if (group := hierarchy / NAME).exists()]
    deadline = time.monotonic() + _SECONDS
    while members := {pid for group in groups for pid in _members(group)}:
        if time.monotonic() > deadline:
            raise TroubleError(f"processes of pods do not end: {sorted(members)}; see `ps -p`.")
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for group in groups:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()


def _members(group: Path) -> set[int]:
    return {int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()}
