"""What a Release went through, so that a test can say that nothing happened twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.kube.client import KubeError
from tests.e2e.patience import POLL_S
from tests.e2e.shop import Shop


@asynccontextmanager
async def weights_of(shop: Shop) -> AsyncIterator[list[int]]:
    """The canary's weights in the status, each as often as it came; steps last longer than a look takes."""
    seen: list[int] = []

    async def look_on() -> None:
        while True:
            try:
                weight = (await shop.status()).get("weight")
            except (KubeError, OSError, TimeoutError):  # the API server is away
                weight = None
            if weight is not None and seen[-1:] != [weight]:
                seen.append(weight)
            await asyncio.sleep(POLL_S)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look_on())
        yield seen
        looking.cancel()
