"""Kubernetes as kind makes it: nodes are containers of a Docker engine, the machine's own or a private one.

What stands beside the cluster, and what a caller sees of it, is the same as with the native backend: programs of this
machine, at the address of the nodes' bridge. For that, pods and Services are routed through the nodes, so this backend
needs Linux and root also where an engine answers.
"""

import json
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hack.node import build, cgroups, debian, hosted, kind_network, leftovers, mounts, network, node_image, paths
from hack.node import docker as engines
from hack.node.backend import KIND as NAME
from hack.node.backend import Part, Status, keep
from hack.node.binaries import KIND as PROGRAMS
from hack.node.binaries import KIND_NODE
from hack.node.claim import KIND as CLAIM
from hack.node.claim import is_abandoned
from hack.node.cluster import Cluster, cluster_file, load_cluster
from hack.node.docker import Docker, PrivateEngine
from hack.node.hosted import Hosted
from hack.node.kind_nodes import NAME as CLUSTER
from hack.node.kind_nodes import KindNodes
from hack.node.kubectl import Kubectl
from hack.node.process import record, running, stop
from hack.node.progress import stopwatch
from hack.node.services import Gateway, Names, coredns
from hack.node.trouble import TroubleError

_NODE_IMAGE = "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
"""Of kind 0.33's release notes; POINTSMAN_NODE_IMAGE names another one."""
_DATABASE = Path("/var/lib/postgresql/pointsman-kind")
_GATEWAY = Gateway(address="127.0.0.2", admin_port=18091)  # load goes to loopback addresses only
_NAMES = Names(address=kind_network.ADDRESS, health_port=18063)
_IMPORT_SECONDS = 300


class Kind:
    def __init__(self, state: Path = paths.STATE, *, nodes: int | None = None) -> None:
        self.state = state.resolve()
        self._wanted = nodes
        self.private = PrivateEngine(self.state)
        self.hosted = Hosted(
            self.state,
            address=kind_network.ADDRESS,
            clients=kind_network.NODE_CIDR,
            database=_DATABASE,
            kubeconfig=self.state / "admin.kubeconfig",
            gateway=_GATEWAY,
        )

    def check(self) -> None:
        _check_machine()

    def up(self) -> Cluster:
        self.check()
        with CLAIM.exclusive():
            debian.ensure(debian.CLUSTER_AND_BESIDE)
            self._take_machine()
            keep(NAME, self.state)
            self._choose_engine()
            beside = ["coredns", *KIND_NODE[:-1]] if self._is_private() else []
            programs = build.ensure(*PROGRAMS, *beside)  # all at once: two builds share the cores
            self._start()
            cluster = self.hosted.described(
                NAME, kubectl=programs["kubectl"], networks=(kind_network.POD_CIDR, kind_network.SERVICE_CIDR)
            )
            cluster.save(self.state)
            return cluster

    def down(self) -> None:
        _check_machine()
        CLAIM.end(self.state, self._take_down)

    def status(self) -> Status:
        found = {name: running(record(self.state, name)) for name in self._parts()}
        pids = {name: identity.pid if identity else None for name, identity in found.items()} | self._node_processes()
        parts = tuple(Part(name=name, pid=pid, log=self._log(name)) for name, pid in pids.items())
        complete = cluster_file(self.state).exists() and all(pids.values())
        return Status(parts=parts, ready=complete and self.nodes.are_ready())

    def logs(self) -> Mapping[str, Path]:
        return {name: self._log(name) for name in (*self._parts(), *self._node_processes())}

    def load_image(self, archive: Path) -> None:
        load_cluster(self.state)  # tells if there is none
        with CLAIM.exclusive():
            self.nodes.load(archive)

    @cached_property
    def nodes(self) -> KindNodes:
        private = self._is_private()
        return KindNodes(self.state, self.private.docker if private else Docker(), own_image=private)

    def _take_machine(self) -> None:
        owner = CLAIM.owner()
        if owner is not None and owner != self.state and is_abandoned(owner, Kind(owner)._parts()):  # noqa: SLF001
            Kind(owner)._take_down()  # noqa: SLF001
        CLAIM.take(self.state)

    @property
    def _engine_file(self) -> Path:
        return self.state / "engine"

    def _choose_engine(self) -> None:
        if not self._engine_file.exists():
            self._engine_file.write_text("machine" if engines.machines_own() else "private")

    def _is_private(self) -> bool:
        return not self._engine_file.exists() or self._engine_file.read_text() == "private"

    def _start(self) -> None:
        archive = node_image.ensure() if self._is_private() else None
        tell = stopwatch()
        network.remember(self.state)
        network.forward()
        if archive:
            self.private.start()
            tell("a Docker engine of our own runs")
            image = self._import(archive)
            tell("it has the node image")
        else:
            image = os.environ.get("POINTSMAN_NODE_IMAGE", _NODE_IMAGE)
        self.nodes.up(image, wanted=self._wanted)
        tell("kind has made the nodes")
        self.nodes.connect()
        self.hosted.influx.start()
        kubectl = Kubectl(self.nodes.kubeconfig)
        kubectl.apply_defaults(
            influx_token=self.hosted.influx.token,
            address=kind_network.ADDRESS,
            name_server=kind_network.CLUSTER_DNS if archive else "",
        )
        tell("InfluxDB, Gateway API and the cluster's own objects are there")
        own = {coredns(self.state, self.nodes.kubeconfig, _NAMES): _NAMES.health} if archive else {}
        hosted.start(own | self.hosted.daemons())
        self.hosted.postgres.start()
        tell("Telegraf, Traefik, local AWS and PostgreSQL run")
        self.nodes.wait_ready()
        tell("the nodes are ready")
        kubectl("wait", "--for=condition=Programmed", "--timeout=30s", "--namespace=gateways", "gateway/public")
        tell("the gateway is ready")

    def _import(self, archive: Path) -> str:
        image, docker = node_image.name(), self.nodes.docker
        if not docker("image", "ls", "--quiet", image):
            entrypoint = json.dumps(node_image.ENTRYPOINT)
            changes = ("ENV container=docker", f"ENTRYPOINT {entrypoint}")
            docker("import", *(f"--change={change}" for change in changes), archive, image, seconds=_IMPORT_SECONDS)
        return image

    def _parts(self) -> tuple[str, ...]:
        own = (*self.private.parts, "coredns") if self._is_private() else ()
        return (*own, *Hosted.PARTS)

    def _node_processes(self) -> dict[str, int | None]:
        if not self._engine_file.exists():
            return {}
        try:
            return self.nodes.processes()
        except (TroubleError, FileNotFoundError):  # the engine does not run
            return {}

    def _log(self, name: str) -> Path:
        return self.state / "log" / f"{name}.log"

    def _take_down(self) -> None:
        tell = stopwatch()
        tell("the cluster is taken down")
        self.hosted.postgres.crash()  # it gives its shared memory back, which it cannot when it is killed
        followers = [file.stem for file in (self.state / "run").glob(f"{CLUSTER}-*.process")]
        for name in (*followers, *reversed(self._parts())):
            stop(record(self.state, name), seconds=0)  # at once: what it would still write goes too
        sockets, places = self.private.sockets(), self.private.places()
        if not self._is_private():
            self.nodes.delete()
        tell("the cluster's programs have ended")
        leftovers.end_processes(self.state, _DATABASE)
        cgroups.destroy(engines.CGROUP)
        tell("nodes and pods have ended")
        mounts.unmount(self.state)
        kind_network.down()
        self.hosted.postgres.remove()
        network.restore(self.state)
        leftovers.remove(sockets)
        for folder in (*places, self.state):
            leftovers.remove_folder(folder)
        CLAIM.release(self.state)
        tell("network, mounts and files are gone")


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise TroubleError(
            "a cluster on kind routes this machine to its pods, which needs Linux and root: run hack/cluster as root, "
            "on Linux or within a Linux machine."
        )
