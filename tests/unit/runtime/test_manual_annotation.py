"""Annotation pointsman.dev/manual: it does what it says, or the status and an event say that it does nothing."""

from __future__ import annotations

import pytest

from controller.api import times
from controller.api.resources import EVENTS, RELEASES
from tests.unit.runtime.fault_world import World, release, run

SECONDS = 5.0
MANUAL = "pointsman.dev/manual"


def annotate(world: World, name: str, value: str | None) -> None:
    world.patch("web", {"metadata": {"annotations": {name: value}}})


def warnings(world: World) -> list[str]:
    return [one["message"] for one in world.api.objects(EVENTS.path()) if one["type"] == "Warning"]


@pytest.mark.parametrize(
    "text", ["", "1h", "tomorrow", "true", "2026-01-31T12:00:00", "2027-01-15", "12:00Z", "\u20039"]
)
def test_what_is_no_time_is_said_in_the_status_and_once_by_a_warning(text):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        annotate(world, MANUAL, text)
        await world.until(lambda: "is not a time such as" in world.status("web")["message"], SECONDS)
        assert f"{text!r} is not a time" in world.status("web")["message"]
        assert world.status("web")["phase"] == "Healthy"
        world.commit("web", 2)
        await world.until_phase("web", "Healthy", 2)
        said = [one for one in warnings(world) if MANUAL in one]
        assert len(said) == 1, said
        annotate(world, MANUAL, None)
        await world.until(lambda: MANUAL not in world.status("web")["message"], SECONDS)

    run(story)


def test_what_is_over_is_said_as_soon_as_it_is_over():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        until = times.to_seconds_text(world.now() + 60)
        annotate(world, MANUAL, until)
        await world.until_reason("web", "Manual", SECONDS)
        assert not warnings(world)
        await world.until_phase("web", "Healthy", 1, 70.0)
        assert f"{until} is over" in world.status("web")["message"]
        await world.until(lambda: any("is over" in one for one in warnings(world)), SECONDS)

    run(story)


def test_a_retry_of_what_was_not_rejected_is_said():
    async def story(world: World) -> None:
        world.create(RELEASES, release("web"))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        annotate(world, "pointsman.dev/retry", "web-5")
        await world.until(lambda: any("'web-5' is not a rejected revision" in one for one in warnings(world)), SECONDS)
        annotate(world, "pointsman.dev/retry", None)
        await world.until(lambda: not world.status("web").get("retrySeen"), SECONDS)
        assert len(warnings(world)) == 1

    run(story)
