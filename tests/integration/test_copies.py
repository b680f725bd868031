"""Copies of requests, as a real Traefik makes them: who counts them, and for whom."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from controller.api.metrics import Context, bind, parse_template
from controller.ports import NoData, Samples, Window
from controller.providers.rendering import Renderer
from controller.registry import kinds
from controller.rollout.preview import Preview, Reach
from hack.node.influx import InfluxDB
from tests.integration.influx_server import LANGUAGES, Server, by_revision
from tests.integration.traefik_fixture import CANARY, DEADLINE_S, STABLE, Mall, counted_mall

__all__ = ["counted_mall"]

pytest_plugins = ["tests.integration.influx_fixture"]
LIBRARY = Path(__file__).parents[2] / "gitops" / "library"
REQUESTS = 60


async def http_errors(running: Server, renderer: Renderer, mall: Mall, window: Window) -> Samples | NoData:
    spec = yaml.safe_load((LIBRARY / "http-errors.yaml").read_text())["spec"]
    template = parse_template(spec, "spec", languages=LANGUAGES, kinds=kinds())
    context = Context(
        cluster="c",
        namespace=mall.namespace,
        service="web",
        stable=STABLE,
        canary=CANARY,
        of_source={"bucket": InfluxDB.bucket},
    )
    query = await renderer.render(template, bind(template, {}, "parameters"), context)
    return await running.ask(query, window)


async def test_the_router_counts_a_copy_for_the_canary_with_its_own_code_and_not_for_stable(
    counted_mall: Mall, running: Server, renderer: Renderer
) -> None:
    mall = counted_mall
    await mall.ensure("traefik", {STABLE: 100.0})
    await mall.until_served(STABLE)
    mall.versions[CANARY].code = 500
    await mall.show("traefik", Preview(CANARY, Reach(mirror=50.0)))
    copied, served = (mall.versions[one].requests for one in (CANARY, STABLE))
    async with asyncio.timeout(DEADLINE_S):
        while not copied.total():
            await mall.ask()
    for _ in range(REQUESTS):
        answer = await mall.ask()
        assert (answer.status_code, answer.text) == (200, STABLE), "whoever asks gets stable's answer"
    window = Window(datetime.now(UTC) - timedelta(minutes=10), datetime.now(UTC) + timedelta(minutes=1))
    found: dict[str, tuple[int, int]] = {}
    async with asyncio.timeout(DEADLINE_S):
        while found.get(CANARY) != (copied.total(), copied.total()) or found.get(STABLE) != (0, served.total()):
            await asyncio.sleep(0.5)  # it pushes once a second
            found = by_revision(await http_errors(running, renderer, mall, window))
    assert copied.total() >= REQUESTS // 2
