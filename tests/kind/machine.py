"""What a cluster on kind could leave on the machine, so that before and after can be compared.

A native cluster may come and go meanwhile; what is its own is left out.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from hack.node import cgroups, docker, network, paths

_PLACES = (
    "/etc/cni",
    "/etc/docker",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/docker",
    "/run/netns",
    "/run/pointsman-kind",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/postgresql/pointsman-kind",
)
_NATIVE_TABLES = {"pointsman", "kube-proxy"}


def traces() -> dict[str, set[str]]:
    return {
        "processes": _processes(),
        "links": _links(),
        "routes": _routes(),
        "firewall": _firewall(),
        "mounts": _mounts(),
        "control groups": _groups(),
        "files": {place for place in (*_PLACES, str(paths.STATE)) if Path(place).exists()},
    }


def _said(*command: str) -> Any:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout or "[]")


def _processes() -> set[str]:
    """Programs of the private engine, and all that runs in containers or in this checkout's state."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, folder = str((process / "exe").readlink()), str((process / "cwd").readlink())
            groups = (process / "cgroup").read_text()
        except (OSError, ProcessLookupError):
            continue
        if docker.CGROUP in groups or folder.startswith(str(paths.STATE)) or "/pointsman/debian/" in program:
            found.add(f"{process.name} {program}")
    return found


def _links() -> set[str]:
    return {link["ifname"] for link in _said("ip", "-j", "link") if link.get("master") != network.BRIDGE} - {
        network.BRIDGE
    }


def _routes() -> set[str]:
    return {f"{one['dst']} {one.get('dev')}" for one in _said("ip", "-j", "route") if one.get("dev") != network.BRIDGE}


def _firewall() -> set[str]:
    found = set()
    for entry in _said("nft", "-j", "list", "ruleset")["nftables"]:
        for kind in ("table", "chain"):
            if kind in entry and entry[kind].get("table", entry[kind]["name"]) not in _NATIVE_TABLES:
                found.add(f"{kind} {entry[kind]['family']} {entry[kind].get('table', '')} {entry[kind]['name']}")
    return found


def _mounts() -> set[str]:
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    elsewhere = (f"/{paths.STATE.name}/", "/pointsman/buildah")
    return {one for one in points if one.startswith(str(paths.STATE)) or not any(part in one for part in elsewhere)}


def _groups() -> set[str]:
    names = (docker.CGROUP, "docker")
    return {str(group) for hierarchy in cgroups.hierarchies() for name in names if (group := hierarchy / name).exists()}
