"""Something done beside something else, each of which waits for what the other does not: downloads, a disk, a core."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(work: Callable[..., object], *arguments: object) -> Iterator[None]:
    """`work` runs in a thread while the block does, and has ended when it is left; then its error is raised.

    The block's own error comes first. It too waits: what `work` has begun elsewhere it puts in order itself.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001  (raised where the block ends)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if errors:
        raise errors[0]
