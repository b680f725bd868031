"""A tenant's own MetricSource, the token in its Secret, and leave for the operator to read that one Secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.resources import METRIC_SOURCES, SECRETS, Resource
from hack.install import OPERATOR_NAMESPACE
from tests.e2e.shop import Shop

_GROUP = "rbac.authorization.k8s.io"
_ROLES = Resource(_GROUP, "v1", "roles", "Role")
_BINDINGS = Resource(_GROUP, "v1", "rolebindings", "RoleBinding")
_NAME = "metrics"


async def offer(shop: Shop, kind: str, spec: Mapping[str, Any], *, token: str) -> None:
    """`spec`: of this kind of source, without its token. The library's templates are the operator's."""

    async def create(resource: Resource, name: str, **content: Any) -> None:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **content}
        await shop.kube.create(resource, shop.namespace, body)

    readers = [{"kind": "ServiceAccount", "name": "pointsman", "namespace": OPERATOR_NAMESPACE}]
    secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [_NAME], "verbs": ["get"]}
    role = {"apiGroup": _GROUP, "kind": "Role", "name": "pointsman"}
    await create(SECRETS, _NAME, stringData={"token": token})
    await create(_ROLES, "pointsman", rules=[secret])
    await create(_BINDINGS, "pointsman", subjects=readers, roleRef=role)
    await create(METRIC_SOURCES, "default", spec={kind: {**spec, "tokenSecretRef": {"name": _NAME}}})


async def offer_influxdb(shop: Shop) -> None:
    """The cluster's, asked directly."""
    influx = shop.cluster.influx
    where = {"url": shop.cluster.in_cluster.influx_url, "org": influx.org, "bucket": influx.bucket}
    await offer(shop, "influxdb", where, token=influx.token)
