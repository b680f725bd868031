"""A process is ended by a signal wherever it is, and once it hears signals itself, in its own way."""

import asyncio
import os
import signal

import pytest

from controller.runtime.ending import on_signal, until_signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("each", SIGNALS, ids=lambda each: each.name)
async def test_what_waits_is_cancelled_and_lets_go(each):
    let_go = []

    async def standing_by():
        try:
            await asyncio.sleep(60)
        finally:
            let_go.append(True)

    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), each)
    async with asyncio.timeout(10):
        await until_signal(standing_by())
    assert let_go == [True]


async def test_who_hears_signals_ends_in_its_own_way_and_is_cancelled_again_afterwards():
    heard = []

    async def leading():
        stop = asyncio.Event()
        with on_signal(stop.set):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
        heard.append("stopped")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
        heard.append("went on")

    async with asyncio.timeout(10):
        await until_signal(leading())
    assert heard == ["stopped"]


async def test_errors_and_other_cancellations_are_no_end_by_a_signal():
    async def failing():
        raise ValueError("no cluster")

    with pytest.raises(ValueError, match="no cluster"):
        await until_signal(failing())

    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await until_signal(cancelled())


async def test_nothing_is_left_that_hears_signals():
    async def done():
        return

    before = [signal.getsignal(each) for each in SIGNALS]
    await until_signal(done())
    assert signal.getsignal(signal.SIGTERM) in {before[0], signal.SIG_DFL}
    assert signal.getsignal(signal.SIGINT) in {before[1], signal.default_int_handler}
