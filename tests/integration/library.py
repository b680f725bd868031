"""The shipped templates, rendered as the operator renders them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from controller import registry
from controller.api.metrics import Context, bind, parse_template
from controller.ports import Query
from controller.providers.rendering import Renderer
from hack.node.influx import InfluxDB

GITOPS = Path(__file__).parents[2] / "gitops"
SHOP: dict[str, Any] = {
    "cluster": "c",
    "namespace": "shop",
    "service": "web",
    "of_source": {"bucket": InfluxDB.bucket},
}


async def template_query(
    renderer: Renderer,
    folder: str,
    name: str,
    stable: str,
    canary: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] = SHOP,
) -> Query:
    spec = yaml.safe_load((GITOPS / folder / f"{name}.yaml").read_text())["spec"]
    template = parse_template(spec, "spec", languages=registry.dialects(), kinds=registry.kinds())
    values = bind(template, parameters, "parameters")
    return await renderer.render(template, values, Context(stable=stable, canary=canary, **context))
