"""What every cluster offers its workloads: names, a gateway, metrics. All are processes of the host."""

from pathlib import Path
from typing import Any

import yaml

from hack.node import build
from hack.node.controlplane import ControlPlane
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
_DNS_HEALTH_PORT = 18053
COREDNS_HEALTH = f"http://127.0.0.1:{_DNS_HEALTH_PORT}/health"
TELEGRAF_HEALTH = f"http://{ADDRESS}:{TELEGRAF_PORT}/api/v2/ready"
TRAEFIK_HEALTH = f"http://127.0.0.1:{GATEWAY_ADMIN_PORT}/ping"
_RESOLVERS = Path("/etc/resolv.conf")


def coredns(state: Path, plane: ControlPlane) -> Daemon:
    upstream = any(line.startswith("nameserver") for line in _RESOLVERS.read_text().splitlines())
    corefile = state / "Corefile"
    corefile.write_text(dns_config(plane.kubeconfig, upstream=_RESOLVERS if upstream else None))
    return Daemon(name="coredns", directory=state, command=[build.program("coredns"), "-conf", corefile])


def traefik(state: Path, plane: ControlPlane, influx: InfluxDB) -> Daemon:
    config, middlewares = state / "traefik.yaml", state / "middlewares.yaml"
    middlewares.write_text(yaml.safe_dump(gateway_middlewares()))
    _private(config, yaml.safe_dump(gateway_config(influx.url, influx.token, middlewares)))
    return Daemon(
        name="traefik",
        directory=state,
        command=[build.program("traefik"), f"--configFile={config}"],
        env={"KUBECONFIG": str(plane.kubeconfig)},
    )


def telegraf(state: Path, influx: InfluxDB) -> Daemon:
    config = state / "telegraf.conf"
    _private(config, telegraf_config(influx.url, influx.token))
    return Daemon(name="telegraf", directory=state, command=[build.program("telegraf"), "--config", config])


def dns_config(kubeconfig: Path, *, upstream: Path | None) -> str:
    forward = f"forward . {upstream}" if upstream else ""
    return f"""\
.:{DNS_PORT} {{
    bind {ADDRESS}
    errors
    health 127.0.0.1:{_DNS_HEALTH_PORT}
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


def gateway_config(influx_url: str, token: str, middlewares: Path) -> dict[str, Any]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "entryPoints": {
            # A Gateway's listener finds its entry point by the port.
            "web": {"address": f"127.0.0.1:{GATEWAY_PORT}"},
            "retrying": {"address": f"127.0.0.1:{RETRYING_PORT}", "http": {"middlewares": ["again@file"]}},
            "traefik": {"address": f"127.0.0.1:{GATEWAY_ADMIN_PORT}"},
        },
        "api": {"insecure": True},  # on 127.0.0.1 only
        "ping": {},
        "providers": {
            "providersThrottleDuration": "200ms",  # of 2 s: tests wait for every change of weights
            "file": {"filename": str(middlewares)},
            "kubernetesGateway": {"throttleDuration": "100ms", "statusAddress": {"ip": "127.0.0.1"}},
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


def telegraf_config(influx_url: str, token: str) -> str:
    return f"""\
[agent]
  flush_interval = "1s"
  flush_jitter = "0s"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true
  skip_processors_after_aggregators = true

[[inputs.influxdb_v2_listener]]
  service_address = "{ADDRESS}:{TELEGRAF_PORT}"
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
