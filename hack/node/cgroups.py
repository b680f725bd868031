"""The control groups that hold all pods of a cluster: what is in them is ours to end."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from hack.node.trouble import TroubleError

NAME = "pointsman"
_ROOT = Path("/sys/fs/cgroup")
_SECONDS = 10
_PROGRAMS = 8
_CPU = {"cpu.shares": 1024, "cpu.weight": 100}
"""What one process counts: cgroup v1, cgroup v2."""
_CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}


def hierarchies() -> list[Path]:
    """One with cgroup v2, one per controller with v1."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return sorted(path.resolve() for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink())


def create(name: str = NAME) -> None:
    """The kubelet wants its root to exist with every controller.

    On a node of its own the programs of the host are one group against all pods. Here each counts for itself (router,
    databases, API server, whoever makes the load), so the pods count as much as the busy ones of them together: else
    pods starve first when cores are short, and are killed because they answer no probe.
    """
    for hierarchy in hierarchies():
        available = hierarchy / "cgroup.controllers"
        if available.exists():  # v2: a group has what its parent hands down
            for controller in _CONTROLLERS & set(available.read_text().split()):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            inherited = hierarchy / setting
            if inherited.exists():  # v1: an empty cpuset runs nothing
                (group / setting).write_text(inherited.read_text())
        for setting, of_one in _CPU.items():
            if (group / setting).exists():
                (group / setting).write_text(str(_PROGRAMS * of_one))


def destroy(name: str = NAME) -> None:
    """Ends every process of every pod, then removes the groups."""
    groups = [group for hierarchy in hierarchies() if (group := hierarchy / name).exists()]
    for group in groups:
        for frozen in group.rglob("freezer.state"):  # v1: who is frozen does not even die
            if frozen.read_text().strip() != "THAWED":
                frozen.write_text("THAWED")
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
