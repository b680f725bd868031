"""Signals to the processes of pods, from outside: what the kernel does when memory runs out, or a disk hangs."""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def send(signum: signal.Signals, pods: Iterable[Mapping[str, Any]]) -> list[int]:
    """To every process in these pods' containers, found by the containers' ids. Returns whom it reached."""
    ids = [
        status["containerID"].rpartition("/")[2]
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
        if status.get("containerID")
    ]
    reached = []
    for pid, groups in _control_groups():
        if any(container in groups for container in ids):
            with suppress(ProcessLookupError):
                os.kill(pid, signum)
                reached.append(pid)
    return reached


def signal_named(signum: signal.Signals, name: str) -> list[int]:
    """To every process of this name, those of containers included. Returns whom it reached."""
    reached = []
    for file in Path("/proc").glob("[0-9]*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if file.read_text().strip() == name:
                os.kill(int(file.parent.name), signum)
                reached.append(int(file.parent.name))
    return reached


def _control_groups() -> Iterator[tuple[int, str]]:
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield int(file.parent.name), file.read_text()
