"""One cluster of each backend per machine: bridge, addresses, ports and firewall tables are the machine's."""

import fcntl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hack.node import leftovers, mounts
from hack.node.process import record, running
from hack.node.trouble import TroubleError


@dataclass(frozen=True)
class Claim:
    folder: Path

    @property
    def _owner(self) -> Path:
        return self.folder / "owner"

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Two `hack/cluster` commands that change something go one after the other."""
        lock = self._locked()
        try:
            yield
        finally:
            if self.owner() is None:  # nothing runs: leave no trace
                self._lock.unlink()
                with suppress(OSError):  # another command has made its lock there already
                    self.folder.rmdir()
            lock.close()

    def _locked(self) -> IO[str]:
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("waiting for another hack/cluster to finish", file=sys.stderr, flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if self._lock.exists() and self._lock.samefile(f"/proc/self/fd/{lock.fileno()}"):
                return lock
            lock.close()  # the one before has removed the file

    def owner(self) -> Path | None:
        """The state directory of the cluster that this machine runs, if any."""
        try:
            return Path(self._owner.read_text())
        except FileNotFoundError:
            return None

    def take(self, state: Path) -> None:
        held = self.owner()
        if held not in {None, state}:
            raise TroubleError(
                f"this machine already runs the cluster of {held.parent}: run `hack/cluster down` there first."
            )
        self._owner.write_text(str(state))

    def end(self, state: Path, take_down: Callable[[], None]) -> None:
        """Takes the cluster of `state` down; where another checkout's runs, what a reboot has left of it here."""
        with self.exclusive():
            if self.owner() in {None, state}:
                take_down()
            else:
                mounts.unmount(state)
                leftovers.remove_folder(state)

    def release(self, state: Path) -> None:
        if self.owner() == state:
            self._owner.unlink()


def is_abandoned(state: Path, parts: Sequence[str]) -> bool:
    """Its checkout was deleted while it ran, or none of its programs lives, as after the end of a CI job."""
    deleted = not (state.parent / "hack" / "cluster").exists()
    return deleted or not any(running(record(state, name)) for name in parts)


NATIVE = Claim(Path("/run/pointsman"))
KIND = Claim(Path("/run/pointsman-kind"))
