"""A test's InfluxDB as the MetricSource `default` of a namespace, and shipped templates beside it."""

import base64
from collections.abc import Iterable
from pathlib import Path

import yaml

from controller.api.resources import METRIC_SOURCES, METRIC_TEMPLATES, SECRETS
from controller.kube.client import KubeClient
from hack.node.influx import InfluxDB

_LIBRARY = Path(__file__).parents[2] / "gitops" / "library"
_SECRET = "influxdb"  # noqa: S105 - its name


async def offer(
    kube: KubeClient, namespace: str, influx: InfluxDB, templates: Iterable[str], *, patience: str = "1s"
) -> None:
    for name in templates:
        template = yaml.safe_load((_LIBRARY / f"{name}.yaml").read_text())
        await kube.create(METRIC_TEMPLATES, namespace, template)
    await set_token(kube, namespace, influx.token)
    where = {"url": influx.url, "org": influx.org, "bucket": influx.bucket, "timeout": patience}
    source = {
        "apiVersion": METRIC_SOURCES.api_version,
        "kind": METRIC_SOURCES.kind,
        "metadata": {"name": "default"},
        "spec": {"influxdb": {**where, "tokenSecretRef": {"name": _SECRET}}},
    }
    await kube.create(METRIC_SOURCES, namespace, source)


async def set_token(kube: KubeClient, namespace: str, token: str) -> None:
    data = {"token": base64.b64encode(token.encode()).decode()}
    if await kube.find(SECRETS, namespace, _SECRET) is None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET}, "data": data}
        await kube.create(SECRETS, namespace, body)
    else:
        await kube.patch(SECRETS, namespace, _SECRET, {"data": data})
