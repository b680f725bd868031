"""Something done beside something else, each of which waits for what the other does not: downloads, a disk, a core."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hack.node.trouble import TroubleError


@contextmanager
def beside(work: Callable[..., object], *arguments: object) -> Iterator[None]:
    """`work` runs in a thread while the block does, and has ended when it is left; then its error is raised.

    The block's own error comes first. It too waits: what `work` has begun elsewhere it puts in order itself. What has
    failed is said at once, as the other may take minutes.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001  (raised where the block ends)
            errors.append(error)
            _say(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    except TroubleError as trouble:
        if thread.is_alive():
            _say(trouble)
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]


def _say(error: BaseException) -> None:
    if isinstance(error, TroubleError):
        print(f"{error}\nWaiting for what else is under way.", file=sys.stderr, flush=True)
