"""What a leader still has to say is said, however its work ends."""

import asyncio

from controller.api.resources import EVENTS
from tests.unit.runtime.fault_world import SHOP, World, run


def test_a_leader_that_is_canceled_sends_its_last_events():
    async def story(world: World) -> None:
        process = world.start()
        await asyncio.sleep(5)
        assert process.operator is not None
        subject = {
            "apiVersion": "pointsman.dev/v1alpha1",
            "kind": "Release",
            "metadata": {"namespace": SHOP, "name": "web", "uid": "u"},
        }
        for message in ("the one on its way", "the last one"):
            process.operator.events.emit(subject, "Weight", message, warning=False)
        await process.stop()
        said = [event["message"] for event in world.api.objects(EVENTS.path())]
        assert said == ["the one on its way", "the last one"]

    run(story)
