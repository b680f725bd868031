"""Whatever becomes of its requests, a Release ends where it would have ended, and nothing spins meanwhile."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from controller.api.resources import ANALYSIS_RUNS, RELEASES
from tests.unit.runtime.fake_api import Object
from tests.unit.runtime.fake_client import Request
from tests.unit.runtime.fault_world import RunningOperator, Story, World, release, run
from tests.unit.runtime.weathers import LOST, InTurn, Late, Random

REFUSALS = (409, 410, 422, 429, 503)
ALL_FAULTS = (*REFUSALS, LOST)
NAMES = {LOST: "lost answer"}
MINUTE = 60.0
MOST_A_MINUTE = 120
"""Reconciles of one Release; a canary that was just given work is looked at each second."""


def faults(*kinds):
    return pytest.mark.parametrize("fault", kinds, ids=lambda kind: NAMES.get(kind, str(kind)))


async def given(world: World) -> RunningOperator:
    """Version 3 fails a fifth of its requests, which the metrics show."""
    world.failing.add("web:3")
    analyze: Object = {"atLeast": "5s", "atMost": "10s"}
    steps: tuple[Object, ...] = ({"weight": 20, "analyze": analyze}, {"approve": {}}, {"weight": 50})
    world.create(RELEASES, release("web", *steps, metrics=True))
    return world.start()


async def judged_life(world: World) -> None:
    """A first deployment, a promotion with an approval, and a rollback by evidence."""
    await given(world)
    await world.until_phase("web", "Healthy")
    world.commit("web", 2)
    await rest_of_judged_life(world)


async def rest_of_judged_life(world: World) -> None:
    await world.until_reason("web", "AwaitingApproval")
    world.ask("web", "approve")
    await world.until_phase("web", "Healthy", version=2)
    world.commit("web", 3)
    await world.until_phase("web", "RolledBack", version=2)
    await asyncio.sleep(10)


async def short_life(world: World) -> None:
    """The same without metrics; a person ends it."""
    world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, {"weight": 50}))
    world.start()
    await world.until_phase("web", "Healthy")
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")
    world.ask("web", "approve")
    await world.until_phase("web", "Healthy", version=2)
    world.commit("web", 3)
    await world.until_reason("web", "AwaitingApproval")
    world.ask("web", "abort")
    await world.until_phase("web", "RolledBack", version=2)
    await world.until_answered()
    await asyncio.sleep(5)


@cache
def fair(life: Story) -> dict[str, Any]:
    return run(life).picture()


def spins(operator: RunningOperator) -> int:
    """The most reconciles within one minute; there is one Release."""
    recent, most = deque[float](), 0
    for moment in operator.reconciles:
        recent.append(moment)
        while recent[0] < moment - MINUTE:
            recent.popleft()
        most = max(most, len(recent))
    return most


def test_in_fair_weather_it_lives_as_it_should():
    picture = fair(judged_life)
    assert picture["releases"]["web"]["reason"] == "Regressed"
    assert sorted(picture["verdicts"].values()) == ["promoted", "regression"]
    assert list(picture["answers"].values()) == ["Accepted"]
    assert fair(short_life)["releases"]["web"]["reason"] == "Aborted"


@faults(*ALL_FAULTS)
def test_a_fifth_of_all_requests_badly_answered_for_minutes_ends_the_same(fault):
    world = run(judged_life, Random(fault, 0.2, retry_after=1 if fault == 429 else None))
    assert world.picture() == fair(judged_life)
    assert spins(world.operators[0]) <= MOST_A_MINUTE


def each_in_turn(life: Story, gap: int, meant: Callable[[Request], bool], *kinds: int) -> set[str]:
    """Lives until each request that is meant has had its fault; returns what it was asked of."""
    had, hit, found = set[str](), set[str](), True
    while found:
        weather = InTurn(kinds, gap, meant, had)
        world = run(life, weather)
        assert world.picture() == fair(life), weather.hit
        assert spins(world.operators[0]) <= MOST_A_MINUTE
        found = bool(weather.hit)
        hit |= set(weather.hit)
    return {name.split(maxsplit=1)[1].split("/")[0] for name in hit}


@faults(*ALL_FAULTS)
def test_each_single_write_badly_answered_in_turn_ends_the_same(fault):
    hit = each_in_turn(short_life, 5, lambda request: request.is_write, fault)
    made = {f"POST {kind}" for kind in ("deployments", "services", "httproutes", "controllerrevisions")}
    changed = {"PUT releases", "PATCH releases", "PUT httproutes", "PATCH deployments", "PATCH services"}
    assert hit >= made | changed | {"DELETE services", "DELETE deployments", "PATCH releaseactions"}


def test_each_single_read_refused_in_turn_ends_the_same():
    hit = each_in_turn(short_life, 9, lambda request: not request.is_write, *REFUSALS)
    # a route is listed at the start, and remembered
    assert hit >= {f"GET {kind}" for kind in ("deployments", "services", "releaseactions")}


@faults(409, LOST)
def test_each_write_of_the_record_badly_answered_in_turn_ends_the_same(fault):
    of_record = ANALYSIS_RUNS.path()
    hit = each_in_turn(
        judged_life, 2, lambda request: request.is_write and request.place.collection == of_record, fault
    )
    assert hit == {"POST analysisruns", "PUT analysisruns", "PATCH analysisruns"}


@faults(*REFUSALS)
def test_every_request_refused_for_minutes_is_made_up_for_within_a_minute(fault):
    async def story(world: World) -> None:
        operator = await given(world)
        await world.until_phase("web", "Healthy")
        before = spins(operator)
        fair_weather, world.weather = world.weather, Random(fault, 1.0)
        world.commit("web", 2)
        await asyncio.sleep(3 * MINUTE)
        assert spins(operator) <= max(before, 20)
        world.weather = fair_weather
        # the back-off grows to a minute, with jitter, and the watches come back sooner
        await world.until(lambda: world.status("web").get("canaryRevision"), 80)
        await rest_of_judged_life(world)

    assert run(story).picture() == fair(judged_life)


def test_answers_that_come_late_or_after_everybody_has_given_up_end_the_same():
    world = run(judged_life, Late())
    assert world.picture() == fair(judged_life)
    assert spins(world.operators[0]) <= MOST_A_MINUTE


def test_a_server_that_is_busy_is_asked_again_when_it_said_and_not_before():
    async def story(world: World) -> None:
        operator = await given(world)
        await world.until_phase("web", "Healthy")
        before, world.weather = len(operator.reconciles), Random(429, 1.0, retry_after=40)
        for version in (2, 3, 2, 3):
            world.commit("web", version)  # an event must not make it ask sooner
            await asyncio.sleep(MINUTE / 2)
        asked = [moment for moment, request, status in operator.kube.log if status == 429]
        tries = operator.reconciles[before:]
        assert len(tries) >= 2
        assert min(late - early for early, late in pairwise(tries)) >= 40
        assert len(asked) < 30

    run(story)
