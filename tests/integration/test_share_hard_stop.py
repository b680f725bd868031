"""What a canary was granted before a hard stop is refused after it, in both kinds of ledger."""

import asyncio

import pytest

from tests.beside import beside
from tests.integration.shared_queue import begins, claim
from tests.share_operator import CANARY, STABLE

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.share_fixture"]


@pytest.mark.parametrize("hard", [False, True])
async def test_claims_that_were_granted_are_refused_after_it_and_jobs_at_work_are_stopped(queue, hard):
    await queue.operator.weights(canary=50.0)
    async with queue.consumer(STABLE) as stable, queue.consumer(CANARY) as canary:
        await begins(canary, stable)
        async with beside(claim(stable, lambda: None)), asyncio.timeout(20):
            at_work = await canary.permit(1)
            assert await at_work.settle(1)
            granted = await canary.permit(1)
        assert not canary.is_stopped(at_work.epoch)
        await queue.operator.weights(canary=0.0, hard_stop=hard)
        assert not await granted.settle(1), "the message that came is handed back"
        assert canary.is_stopped(at_work.epoch) is hard
        assert not stable.is_stopped(at_work.epoch)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await canary.permit(1)
