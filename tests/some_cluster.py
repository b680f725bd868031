"""A cluster as `hack/cluster up` tells of it; none of its servers runs."""

from pathlib import Path

from hack.node.cluster import Cluster, InCluster, Influx

CLUSTER = Cluster(
    backend="native",
    kubeconfig=Path("/k"),
    kubectl=Path("/bin/kubectl"),
    gateway_url="http://127.0.0.1:18080",
    retrying_url="http://127.0.0.1:18082",
    influx=Influx(url="http://10.244.0.1:18086", token="not-known", org="pointsman", bucket="metrics"),  # noqa: S106
    aws_url="http://10.244.0.1:18456",
    postgres_url="postgresql://postgres@/postgres?host=%2Fnowhere&port=18432",
    in_cluster=InCluster(
        influx_url="http://influxdb.monitoring:8086",
        telegraf_url="http://telegraf.monitoring:8186",
        aws_url="http://aws.aws:4566",
        postgres="postgres.databases:5432",
    ),
    address="10.244.0.1",
    networks=("10.244.0.0/16", "10.96.0.0/16", "10.244.0.1"),
)
