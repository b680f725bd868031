"""Asks for many Releases' counts in one query where they share source, template, parameters and window.

Most of what a query costs a source does not depend on how many Releases it is about. Few are asked at once, the oldest
window first, and who comes meanwhile joins: the more a source has to do, the more Releases share a query, and those
that fell behind catch up with the others. No Release depends on those beside it all the same: where a common query
fails, each asks for itself, and where it takes long, each does so beside it. A Release that was the reason is asked for
alone for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from controller.analysis import unawaited
from controller.analysis.limited import Limited
from controller.api.alerts import FiringAlert
from controller.ports import BrokenMetricError, Query, SourceOutageError, Window
from controller.providers.joint import Answer, JoinableQuery, joint, shared_out

_LOG = logging.getLogger(__name__)

GATHER_S = 0.05
"""So long a query waits for others: Releases whose windows end together are measured within milliseconds."""
PATIENCE_S = 1.0
"""After so long each asks for itself as well, and the first answer counts."""
MOST_PATIENCES = 4
"""Where asking alone was no faster, the source as a whole is slow. It gets up to so many times as long then, as more
queries would only add to its load.
"""
AT_ONCE = 4
"""Common queries at once; and so many Releases at once ask alone what a common query was to answer. If all did, that
would keep a slow source slow.
"""
APART_S, LONGEST_APART_S = 30.0, 600.0
"""A Release that was the reason is asked for alone for so long at first, and then each time for twice as long."""
MOST_RELEASES = 50
MOST_CHARACTERS = 64 * 1024
_REMEMBERED = 1_000

_Place = tuple[str, tuple[str, ...], Window]
"""Language, what is common to its queries, window."""
_Found = Mapping[tuple[str, ...], Answer | SourceOutageError | BrokenMetricError]
_Value = TypeVar("_Value")


class _Batch:
    """What is asked together. Whose query it is, the revisions say."""

    def __init__(self, place: _Place, most: int) -> None:
        self.place = place
        self.most = most
        self.queries: list[JoinableQuery] = []
        self._revisions: set[str] = set()
        self._characters = 0
        self.waiting = 0
        """Those who have no answer yet."""
        self.sent: asyncio.Future[None] = asyncio.Future()
        """Nobody can join any more."""
        self.answered: asyncio.Future[_Found | None] = asyncio.Future()
        """None: it failed, and each asks for itself."""
        self.sent_at = 0.0
        """By the loop's clock."""
        self.task: asyncio.Task[None] | None = None
        self.quick: set[tuple[str, ...]] = set()
        """Who asked alone, and had an answer before all had."""
        self.slow: set[tuple[str, ...]] = set()
        """Who asked alone, and had none in time, or an error."""
        self.late = False
        """Somebody asked alone, because there was no answer in time."""
        self.took: float | None = None
        """Seconds until it was answered; None: it was not."""

    def takes(self, query: JoinableQuery) -> bool:
        """Rows of a revision can go to one query only."""
        fits = len(self.queries) < self.most and self._characters + _characters(query) <= MOST_CHARACTERS
        return not self.queries or (fits and self._revisions.isdisjoint(query.revisions))

    def all_get(self, error: SourceOutageError | BrokenMetricError) -> _Found:
        return {query.revisions: error for query in self.queries}

    def add(self, query: JoinableQuery) -> None:
        self.queries.append(query)
        self.waiting += 1
        self._revisions.update(filter(None, query.revisions))
        self._characters += _characters(query)


def _characters(query: JoinableQuery) -> int:
    return sum(map(len, query.parts))


class Batching:
    """A MetricProvider; safe for concurrent use within one event loop."""

    def __init__(self, provider: Limited) -> None:
        self._provider = provider
        self._closed = False
        self._gathering: dict[_Place, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._patiences = 1
        self._common, self._alone = OldestFirst(AT_ONCE), OldestFirst(AT_ONCE)
        self._apart: _Lately[tuple[str, ...], float] = _Lately()
        """Whose queries made common ones slow, or fail: for how many seconds they are asked alone."""
        self._most: _Lately[tuple[str, ...], int] = _Lately()
        """How many fit into one, where that is fewer than usual: by what is common to them."""

    async def query(self, query: Query, window: Window) -> Answer:
        """Raises as that of a single query does, and with the same words."""
        if not isinstance(query, JoinableQuery) or self._apart.now(query.revisions) is not None:
            return await self._provider.query(query, window)
        batch = self._joined(query, window)
        try:
            return await self._answer(query, window, batch)
        finally:
            batch.waiting -= 1
            if not batch.waiting:
                self._ended(batch)

    async def has_rows(self, query: Query, window: Window) -> bool:
        return await self._provider.has_rows(query, window)

    async def firing(self, labels: Mapping[str, str]) -> Sequence[FiringAlert]:
        return await self._provider.firing(labels)

    async def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._provider.close()

    def _joined(self, query: JoinableQuery, window: Window) -> _Batch:
        place = (query.language, query.around, window)
        batch = self._gathering.get(place)
        if batch is None or not batch.takes(query):
            batch = self._gathering[place] = _Batch(place, self._most.now(query.around) or MOST_RELEASES)
            batch.task = unawaited.start(self._ask(batch), lost="a query for many releases was not asked")
            self._tasks.add(batch.task)
            batch.task.add_done_callback(self._tasks.discard)
        batch.add(query)
        return batch

    async def _ask(self, batch: _Batch) -> None:
        found: _Found | None = None
        patience = self._patiences * PATIENCE_S
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(GATHER_S)
            answer, batch.took = await self._query_in_turn(
                self._common, lambda: self._to_send(batch), batch.place[2], patience
            )
            only = batch.queries[0].revisions
            found = shared_out(answer, batch.queries) if len(batch.queries) > 1 else {only: answer}
        except (SourceOutageError, BrokenMetricError) as error:
            outage = isinstance(error, SourceOutageError) and loop.time() - batch.sent_at >= patience
            if outage or len(batch.queries) == 1:  # there was time for each to ask alone
                found = batch.all_get(error)
            else:
                _LOG.info("a query for %d releases failed, each is asked for alone: %s", len(batch.queries), error)
        finally:
            if not batch.sent.done():  # it was closed while it waited for a place
                self._leave_gathering(batch)
                batch.sent.set_result(None)
            batch.answered.set_result(found)

    def _to_send(self, batch: _Batch) -> Query:
        self._leave_gathering(batch)
        batch.sent_at = asyncio.get_running_loop().time()
        batch.sent.set_result(None)
        return joint(batch.queries)

    async def _query_in_turn(
        self, places: OldestFirst, query: Callable[[], Query], window: Window, patience: float
    ) -> tuple[Answer, float]:
        """The answer, and the seconds it took; `query` is called when there is a place. One that hangs keeps it no
        longer than `patience`.
        """
        own: asyncio.Future[Answer] | None = None
        loop = asyncio.get_running_loop()
        try:
            async with places.turn(window.end):
                began = loop.time()
                own = asyncio.ensure_future(self._provider.query(query(), window))
                await asyncio.wait([own], timeout=patience)
            return await own, loop.time() - began
        finally:
            if own is not None:
                own.cancel()
                await asyncio.gather(own, return_exceptions=True)

    async def _answer(self, query: JoinableQuery, window: Window, batch: _Batch) -> Answer:
        await asyncio.wait([batch.sent])
        common = len(batch.queries) > 1
        answered, _ = await asyncio.wait([batch.answered], timeout=self._patiences * PATIENCE_S if common else None)
        found = batch.answered.result() if answered else None
        if found is None:
            if self._closed:
                raise SourceOutageError("the MetricSource was changed while it was asked")
            batch.late = batch.late or not answered
            found = await self._first(query, window, batch)
        answer = found[query.revisions]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _first(self, query: JoinableQuery, window: Window, batch: _Batch) -> _Found:
        """What comes first, the common answer or its own."""
        own = asyncio.ensure_future(self._own(query, window, batch))
        try:
            if not batch.answered.done():
                either: list[asyncio.Future[Any]] = [own, batch.answered]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            found = None if own.done() else batch.answered.result()
            return {query.revisions: await own} if found is None else found
        finally:
            own.cancel()
            await asyncio.gather(own, return_exceptions=True)

    async def _own(self, query: JoinableQuery, window: Window, batch: _Batch) -> Answer:
        def begun() -> Query:
            batch.slow.add(query.revisions)
            return query

        answer, took = await self._query_in_turn(self._alone, begun, window, PATIENCE_S)
        if took <= PATIENCE_S:
            batch.slow.discard(query.revisions)
            batch.quick.add(query.revisions)
        return answer

    def _leave_gathering(self, batch: _Batch) -> None:
        if self._gathering.get(batch.place) is batch:
            del self._gathering[batch.place]

    def _ended(self, batch: _Batch) -> None:
        """Each caller has its answer or has been cancelled."""
        self._leave_gathering(batch)
        if batch.task is not None:
            batch.task.cancel()
        if len(batch.quick) == len(batch.queries):  # what each could have alone was too much for one query
            self._most.note(batch.place[1], max(1, len(batch.queries) // 2), LONGEST_APART_S)
        elif len(batch.quick) > len(batch.slow) and len(batch.quick) + len(batch.slow) == len(batch.queries):
            for revisions in batch.slow:
                seconds = min(LONGEST_APART_S, 2 * (self._apart.last(revisions) or APART_S / 2))
                self._apart.note(revisions, seconds, seconds)
        elif batch.late:  # the source as a whole is slow or out
            self._patiences = min(MOST_PATIENCES, 2 * self._patiences)
        elif batch.took is not None and batch.took <= self._patiences * PATIENCE_S / 2:
            self._patiences = max(1, self._patiences // 2)


class OldestFirst:
    """A few places; who wants the oldest comes first."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        """A heap."""
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def turn(self, end: datetime) -> AsyncIterator[None]:
        await self._take(end)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, end: datetime) -> None:
        if self._free:
            self._free -= 1
            return
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (end, next(self._numbers), handed))
        try:
            await handed
        except asyncio.CancelledError:
            if not handed.cancelled():
                self._give_back()  # it was handed over and cancelled in one moment
            raise

    def _give_back(self) -> None:
        while self._waiting:
            *_, handed = heapq.heappop(self._waiting)
            if not handed.done():
                handed.set_result(None)
                return
        self._free += 1


_Name = TypeVar("_Name", bound=Hashable)


class _Lately(Generic[_Name, _Value]):
    """What holds for some time, of the last thousand it was found of."""

    def __init__(self) -> None:
        self._found: OrderedDict[_Name, tuple[_Value, float]] = OrderedDict()

    def now(self, name: _Name) -> _Value | None:
        found = self._found.get(name)
        return None if found is None or asyncio.get_running_loop().time() >= found[1] else found[0]

    def last(self, name: _Name) -> _Value | None:
        """Also what holds no longer."""
        found = self._found.get(name)
        return None if found is None else found[0]

    def note(self, name: _Name, value: _Value, seconds: float) -> None:
        self._found.pop(name, None)
        self._found[name] = value, asyncio.get_running_loop().time() + seconds
        if len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
