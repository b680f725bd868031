"""Questions to the API server about a caller, which workers wait for: one under way for each thing that is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from controller.kube.client import KubeError, UnavailableError

AT_ONCE = 8
ANSWER_LASTS_S, REFUSAL_LASTS_S = 60.0, 10.0
STANDS_S = 600.0
"""While the API server does not answer."""
MOST = 10_000
"""Answers that are remembered."""
PATIENCE_S = 1.0
"""Workers wait for 1.5 s. The review goes on, so that their next request finds its answer."""
_PATIENCE_OF_THE_KNOWN_S = 0.25

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BusyError(UnavailableError):
    """Too much is being asked, or the API server needs a pause."""

    def __init__(self) -> None:
        super().__init__(503, "Busy", "too many tokens are being verified")


class Reviews(Generic[K, V]):
    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def answer(self, key: K, start: Callable[[], asyncio.Task[V]], known: V | None) -> V:
        """Of the review under way, or of a new one. `known`: what stands where it takes too long, or fails; None:
        nothing does. Raises KubeError, soon.
        """
        try:
            review = self._under_way.get(key) or self._begin(key, start())
            async with asyncio.timeout(PATIENCE_S if known is None else _PATIENCE_OF_THE_KNOWN_S):
                return await asyncio.shield(review)
        except (KubeError, TimeoutError) as error:
            if known is not None:
                return known
            raise error if isinstance(error, KubeError) else BusyError() from error

    def _begin(self, key: K, review: asyncio.Task[V]) -> asyncio.Task[V]:
        self._under_way[key] = review
        review.add_done_callback(partial(self._end, key))
        return review

    def _end(self, key: K, review: asyncio.Task[V]) -> None:
        del self._under_way[key]
        if not review.cancelled():
            review.exception()  # all who asked may be gone, and asyncio would log what nobody retrieved
