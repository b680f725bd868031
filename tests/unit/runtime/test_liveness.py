"""`/healthz` answers for each queue whether it makes progress."""

import asyncio

from aiohttp import ClientSession

from controller.api.resources import RELEASES
from controller.kube.objects import Key
from controller.runtime.controller import Request
from controller.runtime.http import Liveness, Telemetry, serve
from controller.runtime.operator import Operator
from controller.workqueue import WorkQueue
from tests.unit.runtime.fault_world import HOME, World, run

WEB = Request(RELEASES.kind, "shop", "web")


def stuck(operator: Operator) -> list[str]:
    return [liveness.queue for liveness in operator.liveness if liveness.is_stuck]


async def assembled(world: World) -> Operator:
    return await Operator.assemble(world.start().kube, HOME)


def test_a_measurement_that_ends_does_not_hide_a_stuck_queue_of_releases():
    async def story(world: World) -> None:
        operator = await assembled(world)
        operator.event_router.queues[WEB.kind].add(WEB)
        await operator.event_router.queues[WEB.kind].get()
        await asyncio.sleep(160)
        measured = operator.analysis._queue
        measured.add(WEB.key)
        measured.finish(await measured.get())
        assert stuck(operator) == ["Release"]
        operator.event_router.queues[WEB.kind].finish(WEB)
        assert stuck(operator) == []

    run(story)


def test_the_first_pass_after_a_long_rest_is_not_taken_for_a_stuck_one():
    async def story(world: World) -> None:
        operator = await assembled(world)
        await asyncio.sleep(1000)
        operator.event_router.queues[WEB.kind].add(WEB)
        await operator.event_router.queues[WEB.kind].get()
        assert stuck(operator) == []
        await asyncio.sleep(60)
        assert stuck(operator) == [], "a pass may take a minute"
        await asyncio.sleep(100)
        assert stuck(operator) == ["Release"]

    run(story)


def test_an_analysis_that_begins_nothing_is_stuck_and_one_whose_sources_hang_is_not():
    async def story(world: World) -> None:
        operator = await assembled(world)
        analysis = operator.analysis._queue
        analysis.add(WEB.key)
        assert await analysis.get() == WEB.key
        await asyncio.sleep(1000)
        assert stuck(operator) == []
        analysis.add(Key("shop", "api"))
        await asyncio.sleep(160)
        assert stuck(operator) == ["analysis"]

    run(story)


async def test_healthz_names_the_queue_that_is_stuck():
    queue, now = WorkQueue[str](), asyncio.get_running_loop().time()
    queues = [Liveness("Release", lambda: now - 200), Liveness("analysis", lambda: queue.untaken_since)]
    async with (
        serve(Telemetry(), "127.0.0.1", 0, queues=queues, ready=lambda: True) as port,
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert (answer.status, await answer.text()) == (503, "no progress for 150 s: Release\n")
