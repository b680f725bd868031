"""The shipped templates, as a look sends them to InfluxDB."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from controller import registry
from controller.api.metrics import Context, bind, parse_template
from controller.ports import NoData, Samples, Window
from controller.providers.rendering import Renderer
from hack.node.influx import InfluxDB
from tests.integration.influx_server import LANGUAGES, LOOK, T0, Server

LIBRARY = Path(__file__).parents[2] / "gitops" / "library"


def between(stable: str, canary: str) -> Context:
    return Context(
        cluster="c",
        namespace="shop",
        service="web",
        stable=stable,
        canary=canary,
        of_source={"bucket": InfluxDB.bucket},
    )


async def ask(
    running: Server,
    renderer: Renderer,
    name: str,
    context: Context,
    *,
    parameters: dict[str, Any] | None = None,
    window: Window = LOOK,
) -> Samples | NoData:
    spec = yaml.safe_load((LIBRARY / f"{name}.yaml").read_text())["spec"]
    template = parse_template(spec, "spec", languages=LANGUAGES, kinds=registry.kinds())
    query = await renderer.render(template, bind(template, parameters, "parameters"), context)
    return await running.ask(query, window)


def seconds(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def requests(revision: str, count: int) -> str:
    return f"http.server.requests,service=web,revision={revision},pod=p,route=/,code=200 count={count}i"
