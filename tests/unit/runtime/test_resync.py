"""A resync that fails is made again, whatever it failed on: the process that leads does not end with it."""

import asyncio

from controller.api.resources import RELEASES
from tests.unit.runtime.fault_world import World, release, run


def test_a_resync_that_fails_unexpectedly_is_made_again_and_the_operator_goes_on():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 20}))
        running = world.start()
        await world.until_phase("web", "Healthy")
        assert running.operator is not None
        router = running.operator.event_router
        resync, tried = router.resync, 0

        async def odd(controller, only):
            nonlocal tried
            if controller.kind == RELEASES.kind:
                tried += 1
                if tried < 3:
                    raise KeyError("metadata")
            await resync(controller, only)

        router.resync = odd  # type: ignore[method-assign]
        await asyncio.sleep(300 + 2 * 30 + 10)
        assert tried == 3
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", version=2)
        assert not running.task.done()

    run(story)
