"""A router that does not answer, beside a spec that cannot be meant: it is said, and a deletion still ends."""

from __future__ import annotations

import pytest

from controller.api.resources import RELEASES
from controller.ports import RouterError
from tests.unit.runtime.fault_world import World, release, run

NO_TIME_TO_BE_QUIET = {"quiet": "1d", "max": "5m"}


@pytest.mark.parametrize("drain", [{"quiet": "2s", "max": "5s"}, NO_TIME_TO_BE_QUIET], ids=["sound", "invalid"])
def test_a_router_that_does_not_answer_is_said_and_a_deletion_ends(drain):
    """With an invalid spec it was logged as a crash, and the deletion waited for ever."""

    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}))
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        assert running.operator is not None

        async def away(*_: object) -> None:
            raise RouterError("the ledger's table is gone")

        running.operator.reconciler.observer.observe = away  # type: ignore[method-assign, assignment]
        world.patch("web", {"spec": {"drain": drain}})
        await world.until_reason("web", "RouterRefused", 30)
        assert "the ledger's table is gone" in world.status("web")["message"]
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()), 240)

    run(story)
