"""Servers of tests leave no connection behind: the garbage collector would find it in whichever test comes next."""

import asyncio
import gc
import socket
import warnings

import pytest

from tests.gate import HANG, gate


async def leave(turns: int) -> None:
    """A client that is gone after so many turns of the server's loop."""
    async with gate(HANG) as it:
        with socket.create_connection(("127.0.0.1", it.port)):
            for _ in range(turns):
                await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(10))
def test_a_client_that_leaves_before_it_is_served_leaves_no_connection(turns: int) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(leave(turns))
        gc.collect()
    assert [str(one.message) for one in left] == []
