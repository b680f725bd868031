"""A default that cannot be read loses no notification, and nothing else has to happen once it is mended."""

from __future__ import annotations

import pytest

from controller.api.resources import CONFIG_MAPS, EVENTS, RELEASES
from controller.effects import notify
from controller.effects.carrier import CarriedOut
from tests.unit.runtime.fault_world import SHOP, World, release, rolled_back, run

TEXT = "- {name: team, topics: [Started, Promoted, RolledBack], webhook: {url: 'https://hooks.qa/x'}}"
UNREADABLE = "- {name: team}"


def default(text: str) -> dict[str, object]:
    return {"metadata": {"name": "pointsman-notify", "namespace": SHOP}, "data": {"notify": text}}


@pytest.fixture
def got(monkeypatch):
    found: list[str] = []

    class Receiver:
        async def carry_out(self, owner, effect):
            found.append(effect.payload["notice"]["topic"])
            return CarriedOut({})

    monkeypatch.setattr(notify, "create", lambda _: Receiver())
    return found


def test_what_happened_meanwhile_is_told_within_two_minutes_of_the_mend(got):
    async def story(world: World) -> None:
        world.create(CONFIG_MAPS, default(UNREADABLE))
        world.create(RELEASES, release("web", {"weight": 20}))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", 2)
        assert got == []
        answer = world.api.handle("PUT", CONFIG_MAPS.path(SHOP, "pointsman-notify"), {}, default(TEXT))
        assert answer.status == 200
        await world.until(lambda: len(got) >= 3, 125)
        assert sorted(got) == ["Promoted", "Promoted", "Started"], "the first version is no rollout"

    run(story)


def lost(world: World) -> list[str]:
    events = world.api.objects(EVENTS.path())
    return sorted(event["message"].partition(":")[0] for event in events if event["reason"] == "NotificationLost")


@pytest.mark.parametrize("looks_in_time", [True, False], ids=["deleted", "made anew before anybody looks"])
def test_what_was_kept_is_said_to_be_lost_where_nothing_holds_up_a_deletion(got, looks_in_time):
    async def story(world: World) -> None:
        world.create(CONFIG_MAPS, default(UNREADABLE))
        world.create(RELEASES, release("web", {"weight": 20}))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        await world.until(lambda: not world.release("web")["metadata"].get("finalizers"))
        world.delete("web")
        if not looks_in_time:
            world.create(RELEASES, release("web", {"weight": 20}))
        await world.until(lambda: lost(world), 90)
        assert len(lost(world)) == 1
        assert lost(world)[0].startswith("Promoted of ")
        assert got == []

    run(story)


def test_a_rollback_of_which_nobody_was_notified_is_said_to_be_lost_where_nothing_holds_up_a_deletion(got):
    async def story(world: World) -> None:
        world.create(CONFIG_MAPS, default(UNREADABLE))
        await rolled_back(world)
        await world.until(lambda: not world.release("web")["metadata"].get("finalizers"))
        world.delete("web")
        await world.until(lambda: lost(world), 90)
        assert [one.partition(" ")[0] for one in lost(world)] == ["Promoted", "RolledBack", "Started"]
        assert got == []

    run(story)
