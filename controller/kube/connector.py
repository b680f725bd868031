"""aiohttp's connections, of which nothing is left once they are closed, whatever the server does."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable

import aiohttp

LEAVE_IS_AWAITED = sys.version_info < (3, 12, 8) or (3, 13) <= sys.version_info < (3, 13, 1)
"""By asyncio, where TLS is closed: a request that is given up would keep its socket until the server answers, or for
30 s. aiohttp's `enable_cleanup_closed` ends that. https://github.com/python/cpython/pull/118960
"""


class Connector(aiohttp.TCPConnector):
    def __init__(self, **options: object) -> None:
        super().__init__(**options, enable_cleanup_closed=LEAVE_IS_AWAITED)  # type: ignore[arg-type]

    def _cleanup_closed(self) -> None:
        self._abort_closed()
        super()._cleanup_closed()

    def _close(self, **options: bool) -> list[Awaitable[object]]:
        self._abort_closed()
        return super()._close(**options)

    def _abort_closed(self) -> None:
        """Each, also after one that was lost and closed in one moment: the same asyncio has nothing to abort then, and
        fails. aiohttp would abort no other from then on, and could not be closed.
        """
        if not LEAVE_IS_AWAITED:
            return
        closed, self._cleanup_closed_transports = self._cleanup_closed_transports, []
        for transport in closed:
            if transport is not None:
                with contextlib.suppress(AttributeError):
                    transport.abort()
