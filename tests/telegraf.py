"""The real Telegraf with a configuration that ships, which says the tests' addresses in place of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from hack.node import build
from hack.node.process import Daemon
from tests.panels import Influx

FOLDER = Path(__file__).parents[1] / "gitops/telegraf"
_SOONER = {'interval = "10s"': 'interval = "2s"', 'flush_interval = "5s"': 'flush_interval = "1s"'}


@contextlib.asynccontextmanager
async def telegraf(
    name: str, influx: Influx, here: Mapping[str, str], directory: Path, *, environment: Mapping[str, str]
) -> AsyncIterator[Daemon]:
    """`name`: of the configuration. `here`: what stands in the place of what is in it, which has to be there."""
    program = await asyncio.to_thread(build.program, "telegraf-node")
    text = (FOLDER / f"{name}.conf").read_text()
    of_influx = {
        "http://influxdb.monitoring:8086": influx.url,
        'organization = "example"': f'organization = "{influx.org}"',
        'bucket = "metrics"': f'bucket = "{influx.bucket}"',
    }
    for shipped, own in {**here, **of_influx, **_SOONER}.items():
        assert shipped in text, shipped
        text = text.replace(shipped, own)
    config = directory / f"{name}.conf"
    config.write_text(text)
    daemon = Daemon(
        name="telegraf-node",
        directory=directory,
        command=[program, "--config", config],
        env={"INFLUX_TOKEN": influx.token, **environment},
    )
    daemon.start()
    try:
        yield daemon
    finally:
        await asyncio.to_thread(daemon.stop)
