"""What stands beside Kubernetes on the machine, whatever the backend: router, metrics, AWS and a database.

Pods reach these programs at one address of the machine, by Services whose endpoints `kubectl.apply_defaults` writes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from hack.node import services
from hack.node.aws import LocalAws
from hack.node.cluster import Cluster, InCluster, Influx
from hack.node.influx import InfluxDB
from hack.node.postgres import Listening, Postgres
from hack.node.process import Daemon
from hack.node.services import Gateway

_READY_SECONDS = 60


class Hosted:
    PARTS = ("influxd", "telegraf", "ministack", "postgres", "traefik")

    def __init__(
        self, state: Path, *, address: str, clients: str, database: Path, kubeconfig: Path, gateway: Gateway
    ) -> None:
        """`clients`: the network from which pods come to the database. `database`: its folder, not in `state`."""
        self._state = state
        self._address = address
        self._kubeconfig = kubeconfig
        self._gateway = gateway
        self.influx = InfluxDB(state, address=address, port=services.INFLUX_PORT)
        self.aws = LocalAws(state, address=address, port=services.AWS_PORT)
        self.postgres = Postgres(
            database, log_in=state, listening=Listening(address, services.POSTGRES_PORT, clients=clients)
        )

    def daemons(self) -> dict[Daemon, str]:
        """All that need the API server or InfluxDB, or nothing; and where each says that it is well."""
        return {
            services.telegraf(self._state, self.influx, address=self._address): services.telegraf_health(self._address),
            services.traefik(self._state, self._kubeconfig, self.influx, self._gateway): services.traefik_health(
                self._gateway
            ),
            self.aws.daemon(): self.aws.health,
        }

    def described(self, backend: str, *, kubectl: Path, networks: Sequence[str]) -> Cluster:
        return Cluster(
            backend=backend,
            kubeconfig=self._kubeconfig,
            kubectl=kubectl,
            gateway_url=self._gateway.url,
            retrying_url=self._gateway.retrying_url,
            influx=Influx(url=self.influx.url, token=self.influx.token, org=self.influx.org, bucket=self.influx.bucket),
            aws_url=self.aws.url,
            postgres_url=self.postgres.url(),
            in_cluster=InCluster(
                influx_url="http://influxdb.monitoring:8086",
                telegraf_url="http://telegraf.monitoring:8186",
                aws_url="http://aws.aws:4566",
                postgres="postgres.databases:5432",
            ),
            address=self._address,
            networks=(*networks, self._address),
        )


def start(daemons: Mapping[Daemon, str]) -> None:
    """At once, and waits until all of them answer."""
    for daemon in daemons:
        daemon.start()
    for daemon, url in daemons.items():
        daemon.wait_until(lambda url=url: _answers(url), seconds=_READY_SECONDS)  # type: ignore[misc]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
