"""What every cluster offers its workloads: names, a gateway, metrics. All are processes of the host."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.node import build
from hack.node.influx import InfluxDB
from hack.node.network import ADDRESS
from hack.node.process import Daemon

# The manifests name these ports too.
DNS_PORT = 10053
GATEWAY_PORT = 18080
GATEWAY_ADMIN_PORT = 18081
RETRYING_PORT = 18082
INFLUX_PORT = 18086
TELEGRAF_PORT = 18186
AWS_PORT = 18456
POSTGRES_PORT = 18432
DNS_HEALTH_PORT = 18053
_RESOLVERS = Path("/etc/resolv.conf")


@dataclass(frozen=True, kw_only=True)
class Names:
    """Where CoreDNS listens, on a port of its own."""

    address: str = ADDRESS
    health_port: int = DNS_HEALTH_PORT
    """Of 127.0.0.1."""

    @property
    def health(self) -> str:
        return f"http://127.0.0.1:{self.health_port}/health"


def telegraf_health(address: str) -> str:
    return f"http://{address}:{TELEGRAF_PORT}/api/v2/ready"


def traefik_health(gateway: "Gateway") -> str:
    return f"http://127.0.0.1:{gateway.admin_port}/ping"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """Where Traefik listens: each backend elsewhere, so that two clusters fit on one machine."""

    address: str = "127.0.0.1"
    admin_port: int = GATEWAY_ADMIN_PORT
    """Of 127.0.0.1."""

    @property
    def url(self) -> str:
        return f"http://{self.address}:{GATEWAY_PORT}"

    @property
    def retrying_url(self) -> str:
        return f"http://{self.address}:{RETRYING_PORT}"


def coredns(state: Path, kubeconfig: Path, names: Names = Names()) -> Daemon:
    upstream = any(line.startswith("nameserver") for line in _RESOLVERS.read_text().splitlines())
    corefile = state / "Corefile"
    corefile.write_text(dns_config(kubeconfig, names, upstream=_RESOLVERS if upstream else None))
    return Daemon(name="coredns", directory=state, command=[build.program("coredns"), "-conf", corefile])


def traefik(state: Path, kubeconfig: Path, influx: InfluxDB, gateway: Gateway) -> Daemon:
    config, middlewares = state / "traefik.yaml", state / "middlewares.yaml"
    middlewares.write_text(yaml.safe_dump(gateway_middlewares()))
    _private(config, yaml.safe_dump(gateway_config(influx.url, influx.token, middlewares, gateway)))
    return Daemon(
        name="traefik",
        directory=state,
        command=[build.program("traefik"), f"--configFile={config}"],
        env={"KUBECONFIG": str(kubeconfig)},
    )


def telegraf(state: Path, influx: InfluxDB, *, address: str) -> Daemon:
    config = state / "telegraf.conf"
    _private(config, telegraf_config(influx.url, influx.token, address=address))
    return Daemon(name="telegraf", directory=state, command=[build.program("telegraf"), "--config", config])


def dns_config(kubeconfig: Path, names: Names = Names(), *, upstream: Path | None) -> str:
    forward = f"forward . {upstream}" if upstream else ""
    return f"""\
.:{DNS_PORT} {{
    bind {names.address}
    errors
    health 127.0.0.1:{names.health_port}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    {forward}
    cache 5
    loadbalance
}}
"""


def gateway_middlewares() -> dict[str, Any]:
    """A connection that a server refuses is tried at another one: the request has reached nobody yet."""
    return {"http": {"middlewares": {"again": {"retry": {"attempts": 10, "initialInterval": "20ms"}}}}}


def gateway_config(influx_url: str, token: str, middlewares: Path, gateway: Gateway = Gateway()) -> dict[str, Any]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "entryPoints": {
            # A Gateway's listener finds its entry point by the port.
            "web": {"address": f"{gateway.address}:{GATEWAY_PORT}"},
            "retrying": {"address": f"{gateway.address}:{RETRYING_PORT}", "http": {"middlewares": ["again@file"]}},
            "traefik": {"address": f"127.0.0.1:{gateway.admin_port}"},
        },
        "api": {"insecure": True},  # on 127.0.0.1 only
        "ping": {},
        "providers": {
            "providersThrottleDuration": "200ms",  # of 2 s: tests wait for every change of weights
            "file": {"filename": str(middlewares)},
            "kubernetesGateway": {"throttleDuration": "100ms", "statusAddress": {"ip": gateway.address}},
            "kubernetesCRD": {"throttleDuration": "100ms"},
        },
        "metrics": {
            "influxDB2": {
                "address": influx_url,
                "token": token,
                "org": InfluxDB.org,
                "bucket": InfluxDB.bucket,
                "pushInterval": "1s",
                "addServicesLabels": True,
                "addEntryPointsLabels": True,
                "addRoutersLabels": False,
            }
        },
    }


def telegraf_config(influx_url: str, token: str, *, address: str = ADDRESS) -> str:
    return f"""\
[agent]
  flush_interval = "1s"
  flush_jitter = "0s"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true
  skip_processors_after_aggregators = true

[[inputs.influxdb_v2_listener]]
  service_address = "{address}:{TELEGRAF_PORT}"
  use_internal_statistics = true

[[outputs.influxdb_v2]]
  urls = ["{influx_url}"]
  token = "{token}"
  organization = "{InfluxDB.org}"
  bucket = "{InfluxDB.bucket}"
"""


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
