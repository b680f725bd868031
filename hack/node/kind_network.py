"""The network of kind's nodes: a bridge of the machine, routes to their pods, and the pods' way out.

No range is one of the native cluster's, so that both fit on one machine.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from hack.node import network
from hack.node.trouble import TroubleError

NAME = "pointsman-kind"
"""Of the engine's network, of its bridge and of the firewall table."""
ADDRESS = "10.247.0.1"
NODE_CIDR = "10.247.0.0/16"
POD_CIDR = "10.245.0.0/16"
SERVICE_CIDR = "10.97.0.0/16"
CLUSTER_DNS = "10.97.0.10"


@dataclass(frozen=True, kw_only=True)
class Node:
    name: str
    address: str
    pods: str
    """Its share of POD_CIDR."""


def masquerade() -> None:
    """The nodes' way out of the machine, where the engine writes no rules."""
    network.nft(
        "-f",
        "-",
        text=f"""\
table inet {NAME}
delete table inet {NAME}
table inet {NAME} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat - 5
        ip saddr {NODE_CIDR} oifname != "{NAME}" masquerade
    }}
}}
""",
    )


def route(nodes: list[Node], *, services: Node) -> None:
    """From the machine to pods and, by one node, to Services: router and callers stand outside of the nodes."""
    for node in nodes:
        network.ip("route", "replace", node.pods, "via", node.address, "dev", NAME)
    network.ip("route", "replace", SERVICE_CIDR, "via", services.address, "dev", NAME)


def down() -> None:
    """Its routes go with the bridge."""
    network.delete_table("inet", NAME)
    bridge = Path("/sys/class/net") / NAME
    if bridge.exists():
        for port in sorted((bridge / "brif").iterdir()):
            _delete_link(port.name)
        network.ip("link", "delete", NAME)
        network.forget_connections(NODE_CIDR, POD_CIDR, SERVICE_CIDR)


def _delete_link(name: str) -> None:
    """It may be going by itself, with the container that has ended."""
    try:
        network.ip("link", "delete", name)
    except TroubleError:
        if (Path("/sys/class/net") / name).exists():
            raise


def node_script(node: Node, others: list[Node]) -> str:
    """Run on a node of our own image: what kind's network plugin does on the official one."""
    routes = "\n".join(f"ip route replace {other.pods} via {other.address}" for other in others)
    return f"""\
set -eu
sysctl -qw net.ipv4.ip_forward=1
{routes}
nft -f - <<'END'
table ip pointsman
delete table ip pointsman
table ip pointsman {{
    chain postrouting {{
        type nat hook postrouting priority srcnat - 5
        ip saddr {node.pods} ip daddr != {POD_CIDR} masquerade
    }}
}}
END
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/new <<'END'
{cni(node)}
END
mv /etc/cni/net.d/new /etc/cni/net.d/10-pointsman.conflist
"""


def cni(node: Node) -> str:
    """Each pod on a cable of its own: a Service's answer between two pods of a node must pass the node."""
    cable = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-addresses",
            "ranges": [[{"subnet": str(ipaddress.ip_network(node.pods))}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "pointsman", "plugins": [cable, ports]}, indent=2)
