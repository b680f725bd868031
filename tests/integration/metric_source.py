"""A MetricSource `default` of a namespace, shipped templates beside it, and a Release that is judged by them."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from controller.api.resources import METRIC_SOURCES, METRIC_TEMPLATES, SECRETS
from controller.kube.client import KubeClient
from hack.node.influx import InfluxDB
from tests.integration.operator_fixture import release

_LIBRARY = Path(__file__).parents[2] / "gitops" / "library"
_SECRET = "metrics"  # noqa: S105 - its name
ERRORS = {"name": "errors", "template": "http-errors"}


def judged(*steps: dict[str, Any], drain: dict[str, str] | None = None, **analysis: Any) -> dict[str, Any]:
    """A Release that compares errors once a second; `analysis` replaces fields."""
    settings = {"interval": "1s", "metrics": [ERRORS], "advanced": {"settle": "700ms", "minUnits": 10}, **analysis}
    return release(*steps, analysis=settings, **({"drain": drain} if drain else {}))


async def offer(
    kube: KubeClient, namespace: str, influx: InfluxDB, templates: Iterable[str], *, patience: str = "1s"
) -> None:
    where = {"url": influx.url, "org": influx.org, "bucket": influx.bucket, "timeout": patience}
    await offer_source(kube, namespace, {"influxdb": where}, token=influx.token, templates=templates)


async def offer_source(
    kube: KubeClient, namespace: str, spec: Mapping[str, Mapping[str, Any]], *, token: str, templates: Iterable[str]
) -> None:
    """`spec`: the MetricSource's, of one kind, without its token."""
    for name in templates:
        template = yaml.safe_load((_LIBRARY / f"{name}.yaml").read_text())
        await kube.create(METRIC_TEMPLATES, namespace, template)
    await set_token(kube, namespace, token)
    source = {
        "apiVersion": METRIC_SOURCES.api_version,
        "kind": METRIC_SOURCES.kind,
        "metadata": {"name": "default"},
        "spec": {kind: {**config, "tokenSecretRef": {"name": _SECRET}} for kind, config in spec.items()},
    }
    await kube.create(METRIC_SOURCES, namespace, source)


async def set_token(kube: KubeClient, namespace: str, token: str) -> None:
    data = {"token": base64.b64encode(token.encode()).decode()}
    if await kube.find(SECRETS, namespace, _SECRET) is None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET}, "data": data}
        await kube.create(SECRETS, namespace, body)
    else:
        await kube.patch(SECRETS, namespace, _SECRET, {"data": data})
