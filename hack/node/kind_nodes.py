"""The nodes of a cluster on kind: containers of a Docker engine, with their network and images."""

import json
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hack.node import build, images, kind_network
from hack.node.docker import Docker
from hack.node.kind_config import cluster_config
from hack.node.kind_network import Node
from hack.node.kubectl import Kubectl
from hack.node.pki import Authority
from hack.node.process import Daemon
from hack.node.trouble import TroubleError

NAME = "pointsman"
"""Of the cluster; each node's begins with it."""
_CREATE_SECONDS = 300
_READY_SECONDS = 120


@dataclass(frozen=True)
class KindNodes:
    """`own_image`: they run an image that was assembled here, with no network plugin within."""

    state: Path
    docker: Docker
    own_image: bool

    @property
    def kubeconfig(self) -> Path:
        return self.state / "admin.kubeconfig"

    @property
    def _own_kubeconfig(self) -> Path:
        return self.state / "kind.kubeconfig"

    def _write_kubeconfig(self) -> None:
        """For the user that is the administrator of every backend; kubeadm's has another name."""
        folder = self.state / "pki"
        folder.mkdir(mode=0o700, exist_ok=True)
        for file in ("ca.crt", "ca.key"):
            text = self.docker("exec", self.names()[0], "cat", f"/etc/kubernetes/pki/{file}")
            (folder / file).touch(mode=0o600)
            (folder / file).write_text(text)
        authority = Authority(folder)
        admin = authority.client("admin", user="admin", group="system:masters")
        (cluster,) = yaml.safe_load(self._own_kubeconfig.read_text())["clusters"]
        authority.kubeconfig(self.kubeconfig, server=cluster["cluster"]["server"], client=admin)

    @cached_property
    def _kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    def names(self) -> list[str]:
        """The control plane first."""
        label = f"--filter=label=io.x-k8s.kind.cluster={NAME}"
        return sorted(self.docker("ps", "--all", label, "--format={{.Names}}").split())

    def processes(self) -> dict[str, int | None]:
        """Process ids by name; a paused node counts as down."""
        found: dict[str, int | None] = {}
        for node in self.names():
            state, pid = self.docker("inspect", "--format={{.State.Status}} {{.State.Pid}}", node).split()
            found[node] = int(pid) if state == "running" else None
        return found

    def up(self, image: str, *, wanted: int | None) -> None:
        """Makes them, or wakes those there are."""
        self._make_network()
        present = self.names()
        if present and wanted not in {None, len(present)}:
            raise TroubleError(f"the cluster has {len(present)} nodes, not {wanted}: run `hack/cluster down` first.")
        for node in present:
            self.wake(node)
        if not present:
            config = self.state / "kind.yaml"
            config.write_text(cluster_config(nodes=wanted or 1, own_image=self.own_image))
            self._own_kubeconfig.touch(mode=0o600)
            own = f"--kubeconfig={self._own_kubeconfig}"
            self.kind("create", "cluster", f"--config={config}", f"--image={image}", own)
        self._write_kubeconfig()

    def wake(self, node: str) -> None:
        """A test that was killed leaves some asleep; a machine that was started again leaves them stopped."""
        state = self.docker("inspect", "--format={{.State.Status}}", node).strip()
        if state == "paused":
            self.docker("unpause", node)
        elif state != "running":
            self.docker("start", node)

    def _make_network(self) -> None:
        if self.own_image:
            kind_network.masquerade()
        if not self._has_network():
            self.docker(
                "network", "create", "--driver=bridge",
                f"--subnet={kind_network.NODE_CIDR}", f"--gateway={kind_network.ADDRESS}",
                f"--opt=com.docker.network.bridge.name={kind_network.NAME}", kind_network.NAME,
            )  # fmt: skip

    def _has_network(self) -> bool:
        return kind_network.NAME in self.docker("network", "ls", "--format={{.Name}}").split()

    def connect(self) -> None:
        """Pods of all nodes reach each other, and this machine reaches them and Services. Logs become files."""
        nodes = self._placed()
        for node in nodes:
            if self.own_image:
                others = [other for other in nodes if other is not node]
                self.docker("exec", "--interactive", node.name, "sh", text=kind_network.node_script(node, others))
            follow = [self.docker.program, "exec", node.name, "journalctl", "--follow", "--lines=all"]
            Daemon(name=node.name, directory=self.state, command=follow, env=self.docker.env).start()
        kind_network.route(nodes, services=nodes[0])

    def _placed(self) -> list[Node]:
        """Once each has its share of the pods' addresses."""
        deadline = time.monotonic() + _READY_SECONDS
        wanted = self.names()
        while True:
            listed = json.loads(self._kubectl("get", "nodes", "--output=json"))["items"]
            found = {node.name: node for node in map(_node, listed) if node}
            if found.keys() == set(wanted):
                return [found[name] for name in wanted]
            if time.monotonic() > deadline:
                raise TroubleError(f"not all nodes have pod addresses: {found}; see `hack/cluster logs`.")
            time.sleep(0.2)

    def wait_ready(self) -> None:
        wait = ("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={_READY_SECONDS}s")
        self._kubectl(*wait, seconds=_READY_SECONDS + 9)

    def are_ready(self) -> bool:
        try:
            listed = json.loads(self._kubectl("get", "nodes", "--output=json"))["items"]
        except (TroubleError, subprocess.TimeoutExpired):
            return False
        return all(_is_ready(item) for item in listed)

    def load(self, archive: Path) -> None:
        """Makes the images of an archive known to all nodes that do not have them."""
        wanted = images.names(archive)
        lacking = [node for node in self.names() if not wanted.items() <= self._images(node).items()]
        if lacking:
            self.kind("load", "image-archive", archive, f"--nodes={','.join(lacking)}")

    def _images(self, node: str) -> dict[str, str]:
        """Digest by name."""
        said = self.docker("exec", node, "ctr", "--namespace=k8s.io", "images", "list")
        rows = [line.split() for line in said.splitlines()[1:]]
        return {row[0]: row[2] for row in rows}

    def delete(self) -> None:
        """From an engine that stays."""
        self.kind("delete", "cluster")
        if self._has_network():
            self.docker("network", "rm", kind_network.NAME)

    def kind(self, *arguments: str | Path) -> None:
        command = [str(build.program("kind")), *map(str, arguments), f"--name={NAME}"]
        env = {
            **self.docker.env,
            "KIND_EXPERIMENTAL_PROVIDER": "docker",
            "KIND_EXPERIMENTAL_DOCKER_NETWORK": kind_network.NAME,
        }
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_CREATE_SECONDS)
        if done.returncode:
            raise TroubleError(f"`kind {' '.join(command[1:])}` failed: {done.stderr.strip()}")


def _node(item: dict[str, Any]) -> Node | None:
    addresses = [one["address"] for one in item["status"].get("addresses", ()) if one["type"] == "InternalIP"]
    if not addresses or "podCIDR" not in item["spec"]:
        return None
    return Node(name=item["metadata"]["name"], address=addresses[0], pods=item["spec"]["podCIDR"])


def _is_ready(item: dict[str, Any]) -> bool:
    conditions = item["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
