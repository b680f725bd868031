"""What runs beside the operator ends it, with or without an error."""

import asyncio

import pytest

from controller.kube.lease import LeaseLostError
from controller.runtime.background import background


async def endless() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    await asyncio.sleep(0)
    raise LeaseLostError("not renewed")


async def returns() -> None:
    await asyncio.sleep(0)


async def test_a_failure_ends_the_block_with_its_error():
    with pytest.raises(BaseExceptionGroup) as ended:
        async with background([endless(), fails()]):
            await asyncio.Event().wait()
    assert ended.group_contains(LeaseLostError)


async def test_an_end_without_an_error_is_an_error():
    with pytest.raises(BaseExceptionGroup) as ended:
        async with background([endless(), returns()]):
            await asyncio.Event().wait()
    assert ended.group_contains(RuntimeError, match="returns.* ended unexpectedly")


async def test_the_end_of_the_block_is_none():
    async with background([endless(), endless()]):
        await asyncio.sleep(0)
