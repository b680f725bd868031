"""The node's bridge, its firewall rules and the kernel settings it needs; `down` puts everything back.

All rules are in one nft table of our own, so that undoing them is one command
and no rule of the machine is ever touched; the CNI plugins' own masquerading,
which writes iptables chains per pod, is off.
"""

import ipaddress
import json
import shutil
import subprocess
from pathlib import Path

from hack.node.trouble import TroubleError

BRIDGE = "pointsman0"
ADDRESS = "10.244.0.1"
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
_TABLE = "pointsman"
_PREFIX = ipaddress.ip_network(POD_CIDR).prefixlen
_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))

# Set by us (forwarding), by kubelet or by kube-proxy. What was there before is kept in the state directory.
_SETTINGS = (
    "net.ipv4.ip_forward",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)


def up(state: Path, *, apiserver_port: int) -> None:
    remember(state)
    forward()
    if not _exists():
        ip("link", "add", BRIDGE, "type", "bridge")
    ip("address", "replace", f"{ADDRESS}/{_PREFIX}", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    nft("-f", "-", text=_rules(apiserver_port))


def down(state: Path) -> None:
    delete_table("inet", _TABLE)
    for family, table in _PROXY_TABLES:
        delete_table(family, table)
    for interface in pod_interfaces():
        ip("link", "delete", interface)
    if _exists():
        ip("link", "delete", BRIDGE)
        forget_connections(POD_CIDR, SERVICE_CIDR)
    restore(state)


def forward() -> None:
    _setting("net.ipv4.ip_forward").write_text("1")


def foreign_proxy() -> bool:
    """Whether another Kubernetes has its Service rules here, which ours would overwrite."""
    return any(_has_table(family, table) for family, table in _PROXY_TABLES) and not _exists()


def pod_interfaces() -> list[str]:
    """The host's ends of the pods' cables; they are members of the bridge."""
    members = Path(f"/sys/class/net/{BRIDGE}/brif")
    return sorted(port.name for port in members.iterdir()) if members.exists() else []


def _exists() -> bool:
    return Path(f"/sys/class/net/{BRIDGE}").exists()


def _rules(apiserver_port: int) -> str:
    return f"""\
table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat - 5
        ip saddr {POD_CIDR} ip daddr != {POD_CIDR} masquerade
        # A Service's answer must come back this way although both pods hang on one bridge.
        ip saddr {POD_CIDR} ip daddr {POD_CIDR} ct status dnat masquerade
    }}
    chain input {{
        type filter hook input priority filter
        # The API server listens everywhere; it is for this machine and its pods alone.
        tcp dport {apiserver_port} iifname != {{ "lo", "{BRIDGE}" }} drop
    }}
}}
"""


def forget_connections(*networks: str) -> None:
    """Otherwise the kernel would remember established ones for days."""
    for option in ("--src", "--dst"):
        for addresses in networks:
            # Fails when there are none.
            subprocess.run(["conntrack", "--delete", option, addresses], capture_output=True, check=False)


def remember(state: Path) -> None:
    """Keeps the kernel settings that a node changes."""
    file = state / "settings.json"
    if not file.exists():
        before = {name: _setting(name).read_text().strip() for name in _SETTINGS if _setting(name).exists()}
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(before, indent=2))
        temporary.rename(file)


def restore(state: Path) -> None:
    file = state / "settings.json"
    if file.exists():
        for name, value in json.loads(file.read_text()).items():
            _setting(name).write_text(value)


def _setting(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _has_table(family: str, table: str) -> bool:
    if shutil.which("nft") is None:
        return False  # `down` where nothing was ever brought up
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return f"table {family} {table}" in done.stdout.splitlines()


def delete_table(family: str, table: str) -> None:
    if _has_table(family, table):
        nft("delete", "table", family, table)


def ip(*arguments: str) -> None:
    _checked(["ip", *arguments])


def nft(*arguments: str, text: str | None = None) -> None:
    _checked(["nft", *arguments], text=text)


def _checked(command: list[str], *, text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TroubleError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
