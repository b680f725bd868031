"""What runs beside the requests."""

import asyncio
import logging

import pytest

from workloads.invitations.background import running


async def endless():
    await asyncio.Event().wait()


async def defect():
    raise KeyError("relay")


async def test_what_ends_by_itself_is_trouble(caplog):
    async with running({"purging": endless(), "relay": defect()}) as trouble:
        assert trouble() == ""
        await asyncio.sleep(0)
        assert trouble() == "relay has ended"
    await asyncio.sleep(0)
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["relay has ended"]


async def test_all_is_cancelled_at_the_end():
    cancelled = []

    async def told():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with running({"a": told(), "b": told()}):
        await asyncio.sleep(0)
    assert cancelled == [True, True]


async def test_nothing_to_do_is_no_trouble():
    async with running({}) as trouble:
        assert trouble() == ""


async def test_the_block_may_fail():
    with pytest.raises(KeyError):
        async with running({"a": endless()}):
            raise KeyError
