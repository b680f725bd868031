"""Clocks that are wrong, or are put right: no step, canary or deadline ends by time that nobody has waited."""

from __future__ import annotations

import pytest

from controller.api.resources import RELEASES
from tests.unit.runtime.fault_world import RunningOperator, World, release, run

STEPS = [-7200.0, -1800.0, 660.0, 7200.0]
"""Seconds back and forward; the second rolled a failing canary back after half an hour, the third ended a good one."""
EVERY_STEP = pytest.mark.parametrize("seconds", STEPS)


def step_the_machine(world: World, running: RunningOperator, seconds: float) -> None:
    del world
    running.clock_ahead += seconds


def step_the_api_server(world: World, running: RunningOperator, seconds: float) -> None:
    del running
    world.api.clock_ahead += seconds


def take_over(world: World, running: RunningOperator, seconds: float) -> None:
    """By a machine whose clock is wrong by so much."""
    running.may_end = True
    running.task.cancel()
    world.start("b", clock_ahead=seconds)


EVERY_WAY = pytest.mark.parametrize("how", [step_the_machine, step_the_api_server, take_over])


@EVERY_WAY
@EVERY_STEP
def test_a_failing_canary_is_rolled_back_in_time(how, seconds):
    async def story(world: World) -> None:
        world.create(
            RELEASES, release("web", {"weight": 50, "analyze": {"atLeast": "1h", "atMost": "2h"}}, metrics=True)
        )
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until(lambda: world.status("web").get("weight") == 50)
        how(world, running, seconds)
        world.failing.add("web:2")
        await world.until_phase("web", "RolledBack", seconds=90)
        assert world.status("web")["reason"] in ("Regressed", "AllBad")

    run(story)


@EVERY_WAY
@EVERY_STEP
def test_a_canary_that_starts_is_not_rejected_by_its_deadline(how, seconds):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 50}, {"approve": {}}))
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.cluster.broken.add("web:2")  # as long as an image is pulled
        world.commit("web", 2)
        await world.until_reason("web", "CanaryStarting")
        how(world, running, seconds)
        end = world.now() + 300
        await world.until(lambda: world.now() >= end or world.status("web")["phase"] == "RolledBack")
        assert world.status("web")["reason"] == "CanaryStarting"
        world.cluster.broken.clear()
        world.cluster.sync("web")
        await world.until_reason("web", "AwaitingApproval", 60)

    run(story)


@EVERY_WAY
@EVERY_STEP
def test_a_step_takes_as_long_as_it_says(how, seconds):
    async def story(world: World) -> None:
        world.create(
            RELEASES, release("web", {"weight": 20}, {"pause": {"for": "10m"}}, {"weight": 50}, {"approve": {}})
        )
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "Pausing")
        began = world.now()
        how(world, running, seconds)
        await world.until(lambda: world.status("web").get("weight") == 50, seconds=1200)
        assert 540 <= world.now() - began <= 700

    run(story)
