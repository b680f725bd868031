"""A benchmark whose background fails ends at once."""

import asyncio

import pytest

from tests.bench.tasks import meanwhile


async def defect():
    raise KeyError("labels")


async def early():
    return


async def test_a_task_that_fails_ends_the_block_with_its_error():
    with pytest.raises(KeyError, match="labels"):
        async with meanwhile(asyncio.Event().wait(), defect()):
            await asyncio.Event().wait()


async def test_a_task_that_ends_too_early_does_so_too():
    with pytest.raises(RuntimeError, match="early ended before the benchmark"):
        async with meanwhile(early()):
            await asyncio.Event().wait()


async def test_the_end_of_the_block_ends_them_and_its_own_error_is_kept():
    async with meanwhile(asyncio.Event().wait()):
        pass
    with pytest.raises(ValueError, match="a figure"):
        async with meanwhile(asyncio.Event().wait()):
            raise ValueError("a figure")
