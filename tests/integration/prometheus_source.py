"""What the tests write into a real Prometheus, and how they ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from controller.api.secret import SecretRef
from controller.ports import MetricProvider, NoData, Query, Samples, Window
from controller.providers import prometheus as provider_module
from hack.node.prometheus import PASSWORD, USER, Prometheus
from tests.integration.influx_server import LOOK, T0

__all__ = ["LOOK", "T0"]  # one moment for all, or what is written is beside what is asked
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"


def at(second: float) -> int:
    return round((T0.timestamp() + second) * 1000)


def points(
    name: str, samples: Mapping[int, float] | Mapping[float, float], **labels: str
) -> tuple[dict[str, str], list[tuple[int, float]]]:
    """`samples`: by seconds after the window's start."""
    return {"__name__": name, "revision": STABLE, **labels}, [(at(second), value) for second, value in samples.items()]


@asynccontextmanager
async def source(running: Prometheus, *, password: str = PASSWORD, **changes: Any) -> AsyncIterator[MetricProvider]:
    config = provider_module.Config(
        url=running.url,
        username=USER,
        password_secret=SecretRef("s", "password"),
        ca_secret=SecretRef("s", "ca"),
        timeout_s=10.0,
    )
    secrets = {"password": password, "certificates": running.certificates}
    provider = provider_module.create(replace(config, **changes), secrets, None)
    try:
        yield provider
    finally:
        await provider.close()


async def ask(running: Prometheus, query: Query, window: Window = LOOK, **changes: Any) -> Samples | NoData:
    async with source(running, **changes) as provider:
        return await provider.query(query, window)


def by_revision(result: Samples | NoData) -> dict[str, tuple[int, int]]:
    assert isinstance(result, Samples)
    return {row.revision: (row.bad, row.total) for row in result.rows}
