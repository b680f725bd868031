"""What an installation can set about the operator: by option, or by environment in a pod."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.decision_log.sinks import NOWHERE, SinkSettings
from controller.outward.addresses import Network
from controller.runtime.reachability import NETWORK_S

_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Settings:
    namespace: str
    """The operator's own: its Lease and the shared library of metric templates live there."""
    identity: str
    """Who holds the Lease; new for each process."""
    pod: str
    """The pod this process runs in; empty outside a cluster."""
    address: str
    port: int
    """Of health and metrics."""
    ledger_port: int
    workers: int
    only: str | None
    """The one namespace whose Releases are worked on; None: all."""
    lease_s: float
    """How long a Lease that is not renewed keeps others from leading."""
    network_s: float = NETWORK_S
    """How long a version's first ready pod may take to be reached from every node."""
    source_networks: tuple[Network, ...] = ()
    """Where MetricSources of tenants may be, besides the internet."""
    sinks: SinkSettings = NOWHERE


def settings(
    *,
    namespace: str | None = None,
    address: str = "0.0.0.0",  # noqa: S104 - the kubelet probes the pod's address
    port: int = 8081,
    ledger_port: int = 8082,
    workers: int = 8,
    only: str | None = None,
    lease_s: float = 15.0,
    network_s: float = NETWORK_S,
    source_networks: Iterable[Network] = (),
    sinks: SinkSettings = NOWHERE,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    own = namespace or environ.get("POD_NAMESPACE")
    if own is None and _SERVICE_ACCOUNT_NAMESPACE.exists():
        own = _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    pod = environ.get("POD_NAME", "")
    return Settings(
        namespace=own or "pointsman-system",
        identity=f"{pod or socket.gethostname()}_{secrets.token_hex(4)}",
        pod=pod,
        address=address,
        port=port,
        ledger_port=ledger_port,
        workers=workers,
        only=only,
        lease_s=lease_s,
        network_s=network_s,
        source_networks=tuple(source_networks),
        sinks=sinks,
    )
