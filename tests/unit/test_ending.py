"""Endless tasks are ended, also those that a driver has robbed of their cancellation."""

import asyncio
import logging

from workloads.common.ending import end, log_defect, restarted


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


async def test_what_serves_the_work_begins_again_after_a_defect_and_says_so(caplog):
    begun: list[int] = []

    async def run():
        begun.append(len(begun))
        if len(begun) < 3:
            raise KeyError("a point")

    await restarted("the pushing", run, again_s=(0.01, 0.02))
    assert begun == [0, 1, 2]
    said = [record.message for record in caplog.records]
    assert said == ["the pushing failed and begins again in about 0 s"] * 2
    assert all(record.exc_info for record in caplog.records)


async def test_its_cancellation_is_no_defect(caplog):
    task = asyncio.create_task(restarted("the pushing", asyncio.Event().wait))
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()
    assert not caplog.records


async def test_a_defect_is_said_when_it_happens_and_an_end_is_not(caplog):
    async def defect():
        raise KeyError("relay")

    tasks = [asyncio.create_task(defect(), name="relay"), asyncio.create_task(asyncio.sleep(0), name="purging")]
    for task in tasks:
        task.add_done_callback(log_defect)
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert [record.message for record in caplog.records] == ["relay ended with a defect"]
