"""A control item that is lost while a queue is shared, in both kinds of ledger."""

import asyncio

from tests.integration.shared_queue import begins, claims
from tests.share_operator import CANARY, STABLE

pytest_plugins = ["tests.integration.aws_fixture", "tests.integration.share_fixture"]


async def test_with_its_item_lost_stable_works_on_and_the_canary_stops(queue):
    await queue.operator.weights(canary=50.0)
    async with queue.consumer(STABLE) as stable, queue.consumer(CANARY) as canary:
        await begins(canary, stable)
        await queue.lose()
        of_stable, of_canary = await asyncio.gather(claims(stable, 1.0), claims(canary, 1.0))
        assert (of_stable > 15, of_canary) == (True, 0)
        await queue.operator.weights(canary=50.0)
        await begins(canary, stable)


async def test_a_fresh_pod_waits_for_the_item_and_starts_within_two_seconds_of_it(queue):
    async with queue.consumer(STABLE) as stable, queue.consumer(CANARY) as unknown:
        asking = asyncio.create_task(stable.permit(1))
        assert await asyncio.gather(claims(unknown, 1.5), asyncio.wait([asking], timeout=1.5)) == [0, (set(), {asking})]
        await queue.operator.weights(canary=0.0)
        async with asyncio.timeout(2):
            await (await asking).settle(0)
        assert await claims(unknown, 1.0) == 0
