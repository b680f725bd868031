"""Endless tasks are ended, also those that a driver has robbed of their cancellation."""

import asyncio
import logging

from workloads.common.ending import end


async def deaf(times, heard):
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(True)
            if len(heard) > times:
                raise


async def test_a_task_that_did_not_hear_is_told_again(caplog):
    heard: list[bool] = []
    task = asyncio.create_task(deaf(2, heard), name="relay")
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        await end(task, again_s=0.01)
    assert task.cancelled()
    assert len(heard) == 3
    assert [record.message for record in caplog.records] == ["relay is told once more to end"] * 2


async def test_one_that_has_failed_already_is_no_trouble():
    async def defect():
        raise KeyError("relay")

    task = asyncio.create_task(defect())
    await asyncio.sleep(0)
    await end(task)
    assert isinstance(task.exception(), KeyError)


async def test_nothing_to_end():
    await end()
