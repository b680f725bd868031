"""What a sink does to its lane, and that it does nothing to anybody else."""

import asyncio
import contextlib
from collections import Counter

import pytest

from controller.api.status import Status
from controller.decision_log import lane as lanes
from controller.decision_log.entry import EventEntry, SinkDownError, SinkRefusedError
from controller.decision_log.lane import Fate, Lane
from controller.decision_log.log import DecisionLog
from controller.kube.objects import Key

KEY = Key("shop", "web")


class Sink:
    name = "sink"
    most = 3

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.batches: list[int] = []
        self.trouble: Exception | None = None
        self.hangs = False
        self.closed = False

    def encode(self, entry):
        if entry.message == "odd":
            raise ValueError("odd")
        return [entry.message.encode()]

    async def send(self, batch):
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(len(batch))
        self.taken += batch

    async def close(self):
        self.closed = True


def event(message: str) -> EventEntry:
    return EventEntry(KEY, "Weight", message, warning=False, at=0.0)


class Counted:
    def __init__(self) -> None:
        self.fates: Counter[Fate] = Counter()

    def __call__(self, _, fate, number):
        self.fates[fate] += number


@contextlib.asynccontextmanager
async def running(sink):
    counted = Counted()
    lane = Lane(sink, counted, gather_s=0.01)
    task = asyncio.create_task(lane.run())
    try:
        yield lane, counted
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(met):
    async with asyncio.timeout(30):
        while not met():  # noqa: ASYNC110 - a sink knows nothing of a waiting test
            await asyncio.sleep(0.005)


async def test_what_comes_together_goes_in_batches_and_in_order():
    sink = Sink()
    async with running(sink) as (lane, counted):
        for number in range(7):
            lane.offer(event(str(number)))
        await until(lambda: len(sink.taken) == 7)
    assert sink.taken == [str(number).encode() for number in range(7)]
    assert sink.batches == [3, 3, 1]
    assert counted.fates == {Fate.WRITTEN: 7}


async def test_what_came_during_an_outage_is_written_after_it():
    sink = Sink()
    sink.trouble = SinkDownError("refused")
    async with running(sink) as (lane, counted):
        lane.offer(event("during"))
        await asyncio.sleep(0.1)
        assert sink.taken == []
        sink.trouble = None
        await until(lambda: sink.taken == [b"during"])
    assert counted.fates == {Fate.WRITTEN: 1}


async def test_a_long_outage_costs_bounded_memory_and_is_counted(monkeypatch):
    monkeypatch.setattr(lanes, "MOST_BYTES", 50)
    sink = Sink()
    sink.trouble = SinkDownError("refused")
    async with running(sink) as (lane, counted):
        for number in range(100, 200):
            lane.offer(event(str(number)))
        await until(lambda: counted.fates[Fate.DROPPED] == 100 - 50 // 3)
        sink.trouble = None
        await until(lambda: len(sink.taken) == 50 // 3)
    assert sink.taken[-1] == b"199", "the latest are kept"


async def test_entries_that_nobody_encodes_are_bounded_too(monkeypatch):
    monkeypatch.setattr(lanes, "MOST_ENTRIES", 5)
    counted = Counted()
    lane = Lane(Sink(), counted)
    for number in range(20):
        lane.offer(event(str(number)))
    assert (len(lane), counted.fates) == (5, {Fate.DROPPED: 15})


async def test_what_is_refused_keeps_back_nothing_after_it():
    sink = Sink()
    sink.trouble = SinkRefusedError("a field has another type")
    async with running(sink) as (lane, counted):
        lane.offer(event("bad"))
        await until(lambda: counted.fates[Fate.DROPPED] == 1)
        sink.trouble = None
        lane.offer(event("good"))
        await until(lambda: sink.taken == [b"good"])


@pytest.mark.parametrize("trouble", [RuntimeError("a defect"), ValueError("another")])
async def test_a_defect_of_a_sink_ends_nothing(trouble):
    sink = Sink()
    sink.trouble = trouble
    async with running(sink) as (lane, counted):
        lane.offer(event("lost"))
        await until(lambda: counted.fates[Fate.DROPPED] == 1)
        sink.trouble = None
        lane.offer(event("odd"))
        lane.offer(event("good"))
        await until(lambda: sink.taken == [b"good"])
    assert counted.fates[Fate.DROPPED] == 2


async def test_a_sink_that_hangs_is_given_up_and_tried_again(monkeypatch):
    monkeypatch.setattr(lanes, "_TIMEOUT_S", 0.02)
    sink = Sink()
    sink.hangs = True
    async with running(sink) as (lane, _):
        lane.offer(event("late"))
        await asyncio.sleep(0.1)
        sink.hangs = False
        await until(lambda: sink.taken == [b"late"])


async def test_the_end_waits_for_a_sink_that_hangs_no_longer_than_it_was_given():
    sink = Sink()
    sink.hangs = True
    lane = Lane(sink)
    lane.offer(event("last words"))
    async with asyncio.timeout(30):
        await lane.flush(0.05)
    assert sink.closed


async def test_what_is_on_its_way_at_the_end_is_written_once_and_what_waits_after_it():
    class Slow(Sink):
        def __init__(self):
            super().__init__()
            self.asked = asyncio.Event()

        async def send(self, batch):
            await super().send(batch)
            self.asked.set()
            await asyncio.sleep(0.05)

    sink = Slow()
    sink.most = 1
    async with running(sink) as (lane, counted):
        lane.offer(event("on its way"))
        lane.offer(event("waits"))
        await sink.asked.wait()
    lane.offer(event("came since"))
    await lane.flush(30)
    assert sink.taken == [b"on its way", b"waits", b"came since"]
    assert counted.fates == {Fate.WRITTEN: 3}


async def test_a_status_is_logged_when_what_boards_show_of_it_changes():
    lane = Lane(Sink())
    log = DecisionLog([lane], lambda: 0.0)
    log.status(KEY, Status(stable="a"))
    log.status(KEY, Status(stable="a", message="other words"))
    assert len(lane) == 1
    log.status(KEY, Status(stable="a", weight=5.0))
    assert len(lane) == 2


async def test_a_release_at_which_nothing_happens_is_written_again_and_one_that_is_gone_is_not():
    now = 0.0
    lane = Lane(Sink())
    log = DecisionLog([lane], lambda: now)
    log.status(KEY, Status())
    log.status(Key("shop", "gone"), Status())
    log.forget(Key("shop", "gone"))
    now = 61.0
    log._write_again()
    log._write_again()
    assert len(lane) == 3


async def test_without_sinks_nothing_is_kept():
    log = DecisionLog([], lambda: 0.0)
    log.status(KEY, Status())
    log.event(KEY, "Weight", "step 1/2", warning=False)
    assert log._known == {}
