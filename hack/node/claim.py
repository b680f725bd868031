"""One native cluster per machine: bridge, ports and firewall tables are the machine's."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hack.node.trouble import TroubleError

_FOLDER = Path("/run/pointsman")
_OWNER = _FOLDER / "owner"
_LOCK = _FOLDER / "lock"


@contextmanager
def exclusive() -> Iterator[None]:
    """Two `hack/cluster` commands that change something go one after the other."""
    lock = _locked()
    try:
        yield
    finally:
        if owner() is None:  # nothing runs: leave no trace
            _LOCK.unlink()
            with suppress(OSError):  # another command has made its lock there already
                _FOLDER.rmdir()
        lock.close()


def _locked() -> IO[str]:
    while True:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        lock = _LOCK.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another hack/cluster to finish", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _LOCK.exists() and _LOCK.samefile(f"/proc/self/fd/{lock.fileno()}"):
            return lock
        lock.close()  # the one before has removed the file


def owner() -> Path | None:
    """The state directory of the cluster that this machine runs, if any."""
    try:
        return Path(_OWNER.read_text())
    except FileNotFoundError:
        return None


def take(state: Path) -> None:
    held = owner()
    if held not in {None, state}:
        raise TroubleError(
            f"this machine already runs the cluster of {held.parent}: run `hack/cluster down` there first."
        )
    _OWNER.write_text(str(state))


def release(state: Path) -> None:
    if owner() == state:
        _OWNER.unlink()
