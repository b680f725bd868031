"""The queue's semantics are client-go's."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.workqueue import WorkQueue
from tests.unit.runtime.fault_world import loop_at

Story = Callable[[WorkQueue[str]], Awaitable[None]]


def run(story: Story) -> None:
    async def begin() -> None:
        queue = WorkQueue[str]()
        await story(queue)
        queue.close()

    with asyncio.Runner(loop_factory=loop_at(0.0)) as runner:
        runner.run(begin())


async def arrives(queue: WorkQueue[str]) -> float:
    """When the next key can be taken; it is finished at once."""
    queue.finish(await queue.get())
    return asyncio.get_running_loop().time()


def test_a_key_that_waits_is_there_once():
    async def story(queue: WorkQueue[str]) -> None:
        for key in ("a", "b", "a"):
            queue.add(key)
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    run(story)


def test_a_key_that_is_worked_on_comes_again_afterwards_and_not_before():
    async def story(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("a")
        assert (len(queue), queue.active) == (0, 1)
        queue.finish("a")
        assert (len(queue), queue.active) == (1, 0)
        queue.finish(await queue.get())
        assert len(queue) == 0

    run(story)


def test_the_earliest_of_several_timers_counts():
    async def story(queue: WorkQueue[str]) -> None:
        for seconds in (20, 10, 30):
            queue.add_after("a", seconds)
        assert await arrives(queue) == 10
        await asyncio.sleep(60)
        assert len(queue) == 0

    run(story)


def test_what_floats_lose_of_a_moment_is_no_pass_without_end():
    async def story(queue: WorkQueue[str]) -> None:
        loop = asyncio.get_running_loop()
        moment, passes = loop.time() + 0.005, 0
        while loop.time() < moment:
            queue.add_after("a", 1e-15)
            queue.finish(await queue.get())
            passes += 1
        assert 1 <= passes <= 6

    run(story)


def test_an_event_comes_before_a_timer_and_takes_its_place():
    async def story(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 20)
        queue.add("a")
        assert await arrives(queue) == 0
        await asyncio.sleep(60)
        assert len(queue) == 0

    run(story)


def test_a_timer_that_rings_while_the_key_is_worked_on_is_not_lost():
    async def story(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add_after("a", 5)
        await asyncio.sleep(10)
        assert len(queue) == 0
        queue.finish("a")
        assert len(queue) == 1

    run(story)


def test_failures_wait_longer_each_time_until_they_are_forgotten():
    async def story(queue: WorkQueue[str]) -> None:
        delays = [queue.add_failed("a") for _ in range(12)]
        assert [0.75 * 0.1 * 2**n <= delays[n] <= 1.25 * 0.1 * 2**n for n in range(9)] == [True] * 9
        assert max(delays) <= 75
        queue.forget_failures("a")
        assert queue.add_failed("a") <= 0.125

    run(story)


@pytest.mark.parametrize("events", [0, 3])
def test_nothing_brings_a_key_back_before_the_server_wants_it(events):
    async def story(queue: WorkQueue[str]) -> None:
        queue.add_failed("a", not_before=30)
        for _ in range(events):
            await asyncio.sleep(1)
            queue.add("a")
        assert 30 <= await arrives(queue) <= 37.5

    run(story)
