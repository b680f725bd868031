"""Telegraf's configuration for nodes and pods, in the real program: a real kubelet answers it with the rights that come
with it, and the library's templates find what they read.
"""

from pathlib import Path

import pytest
import yaml

from controller.api.resources import Resource
from hack.install import Kubectl
from tests.e2e.patience import until
from tests.e2e.shop import NOT_JUDGED, weight
from tests.panels import asking
from tests.telegraf import FOLDER, telegraf

ACCOUNT, HOME = "telegraf", "monitoring"
SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Of a pod, which it is not here."""
NODES = Resource("", "v1", "nodes", "Node")
FIELDS = {"cpu_usage_core_nanoseconds", "restarts_total"}
"""What the templates `cpu-per-request` and `restarts` read."""


@pytest.fixture
def token(cluster, tmp_path):
    """A file with that of the ServiceAccount."""
    kubectl, rights = Kubectl(cluster), FOLDER / "node-rights.yaml"
    file = tmp_path / "token"
    try:
        kubectl.apply("-f", rights)
        file.write_text(kubectl("create", "token", ACCOUNT, f"--namespace={HOME}", "--duration=1h").strip())
        yield file
    finally:
        kubectl("delete", "-f", rights, "--ignore-not-found")


@pytest.fixture
async def daemon(cluster, kube, token, tmp_path):
    node = (await kube.list(NODES))[0]["status"]
    address = next(one["address"] for one in node["addresses"] if one["type"] == "InternalIP")
    here = {
        f'"{SECRETS}/token"': f'"{token}"',
        f'tls_ca = "{SECRETS}/ca.crt"': "insecure_skip_verify = true",  # as the file says: the kubelet signs its own
        "https://kubernetes.default.svc": _server(cluster.kubeconfig),
        "$HOSTIP:10250": f"$HOSTIP:{node['daemonEndpoints']['kubeletEndpoint']['Port']}",
    }
    async with telegraf("node", cluster.influx, here, tmp_path, environment={"HOSTIP": address}) as daemon:
        yield daemon


def _server(kubeconfig: Path) -> str:
    found: str = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return found


@pytest.mark.timeout(600)  # it may have to be built
async def test_the_pods_of_a_version_are_measured_with_its_labels(cluster, shop, daemon):
    stable = await shop.given(weight(20), analysis=NOT_JUDGED)
    measurements = f"""
        import "influxdata/influxdb/schema"
        schema.measurements(bucket: "{cluster.influx.bucket}", start: -1m)
    """
    query = f"""
        from(bucket: "{cluster.influx.bucket}")
          |> range(start: -5m)
          |> filter(fn: (r) => r._measurement == "kubernetes_pod_container" and r.namespace == "{shop.namespace}"
              and (r._field == "cpu_usage_core_nanoseconds" or r._field == "restarts_total"))
          |> last()
          |> group()
    """
    async with asking(cluster.influx) as database:

        async def measured():
            rows = await database.rows(query)
            return rows if {row["_field"] for row in rows} == FIELDS else []

        try:
            rows = await until(measured, "Telegraf has both counters of the pods", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{daemon.log.read_text()}") from error
        known = {row["_value"] for row in await database.rows(measurements)}
    assert all(row["pod_name"].startswith(f"{shop.name}-{stable}-") and row["container_name"] for row in rows)
    of_kubelet = [row for row in rows if row["_field"] == "cpu_usage_core_nanoseconds"]
    assert {row["pointsman.dev/revision"] for row in of_kubelet} == {stable}
    assert {row["pointsman.dev/release"] for row in of_kubelet} == {shop.name}
    assert all(row["_value"] > 0 for row in of_kubelet)
    assert known >= {"cpu", "mem", "kubernetes_node", "kubernetes_pod_network"}
