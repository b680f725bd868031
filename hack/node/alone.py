"""One process at a time does what several checkouts share: building an image, installing packages."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hack.node import paths


@contextmanager
def alone(name: str, *, waiting: str = "") -> Iterator[None]:
    """`waiting`: what is said where another process is at it; empty: nothing."""
    folder = paths.cache() / "lock"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
