"""Kubernetes as processes of this machine: no container engine, no registry, no download.

Everything it keeps lies in the checkout's state directory; what must lie
elsewhere (the bridge, firewall tables, control groups) bears its name, so `down`
finds it whatever was killed before.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import httpx

from hack.node import (
    build,
    cgroups,
    debian,
    hosted,
    images,
    kubelet,
    leftovers,
    mounts,
    network,
    paths,
    scratch_image,
    services,
)
from hack.node.backend import NATIVE as NAME
from hack.node.backend import Part, Status, keep
from hack.node.beside import beside
from hack.node.binaries import NATIVE
from hack.node.claim import NATIVE as CLAIM
from hack.node.claim import is_abandoned
from hack.node.cluster import Cluster, cluster_file, load_cluster
from hack.node.containers import PAUSE_IMAGE, Containers
from hack.node.controlplane import ControlPlane, Ports
from hack.node.hosted import Hosted
from hack.node.kubectl import Kubectl
from hack.node.process import record, running, stop
from hack.node.progress import stopwatch
from hack.node.trouble import TroubleError

__all__ = ["Native", "load_cluster"]

_APISERVER_PORT = 16443
_READY_SECONDS = 60
_POSTGRES = Path("/var/lib/postgresql/pointsman")  # not in the state directory: its user may not look there
_SOCKET_PATH = 107  # sun_path of unix(7) without its end
# Started in this order; stopped in the opposite one, so that nothing mends what is being taken down.
_PARTS = (
    "containerd",
    "influxd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "telegraf",
    "ministack",
    "postgres",
    "traefik",
)


class Native:
    def __init__(self, state: Path = paths.STATE) -> None:
        self.state = state.resolve()
        self.plane = ControlPlane(
            self.state,
            scheduler=True,
            bind="0.0.0.0",  # noqa: S104  (the firewall table keeps other machines out)
            advertise=network.ADDRESS,
            ports=Ports(apiserver=_APISERVER_PORT, etcd=12379, etcd_peer=12380),
        )
        self.containers = Containers(self.state)
        self.hosted = Hosted(
            self.state,
            address=network.ADDRESS,
            clients=network.POD_CIDR,
            database=_POSTGRES,
            kubeconfig=self.plane.kubeconfig,
            gateway=services.Gateway(),
        )

    def up(self) -> Cluster:
        self.check()
        with CLAIM.exclusive():
            # A machine without Debian's programs has no cluster that could be in the way.
            fresh = debian.missing(debian.CLUSTER_AND_BESIDE)
            with beside(build.ensure, *NATIVE) if fresh else nullcontext():
                debian.ensure(debian.CLUSTER_AND_BESIDE)
                self._take_machine()  # what belongs to whom is asked with programs of Debian's
            programs = build.ensure(*NATIVE)
            self._start()
            cluster = self.hosted.described(
                NAME, kubectl=programs["kubectl"], networks=(network.POD_CIDR, network.SERVICE_CIDR)
            )
            cluster.save(self.state)
            return cluster

    def down(self) -> None:
        _check_root()
        CLAIM.end(self.state, self._take_down)

    def status(self) -> Status:
        found = {name: running(record(self.state, name)) for name in _PARTS}
        parts = tuple(
            Part(name=name, pid=identity.pid if identity else None, log=self.logs()[name])
            for name, identity in found.items()
        )
        complete = cluster_file(self.state).exists() and all(found.values())
        return Status(parts=parts, ready=complete and self._node_ready())

    def logs(self) -> Mapping[str, Path]:
        return {name: self.state / "log" / f"{name}.log" for name in _PARTS}

    def load_image(self, archive: Path) -> None:
        load_cluster(self.state)  # tells if there is none
        with CLAIM.exclusive():
            if not images.names(archive).items() <= self.containers.images().items():
                self.containers.load(archive)

    def check(self) -> None:
        if sys.platform != "linux":
            raise TroubleError("the native cluster needs Linux: run hack/cluster within a Linux machine, as root.")
        _check_root()
        longest = self.state / "kubelet" / "pod-resources" / "kubelet.sock"
        if len(os.fsencode(longest)) > _SOCKET_PATH:
            raise TroubleError(f"{longest} is too long for a socket's name: move the checkout to a shorter path.")

    def _take_machine(self) -> None:
        owner = CLAIM.owner()
        if owner is None and network.foreign_proxy():
            raise TroubleError(
                "another Kubernetes keeps its Service rules on this machine (nft table kube-proxy): stop it."
            )
        if owner is not None and owner != self.state and is_abandoned(owner, _PARTS):
            Native(owner)._take_down()  # noqa: SLF001
        CLAIM.take(self.state)

    def _start(self) -> None:
        tell = stopwatch()
        keep(NAME, self.state)
        network.up(self.state, apiserver_port=_APISERVER_PORT)
        cgroups.create()
        self.containers.start()
        tell("containerd runs")
        self.hosted.influx.start()
        tell("InfluxDB is set up")
        self.plane.start()
        tell("the API server answers")
        self._load_pause()
        node = kubelet.kubelet(self.state, self.plane, runtime=self.containers.socket)
        proxy = kubelet.kube_proxy(self.state, self.plane)
        node.start()
        proxy.start()
        kubectl = Kubectl(self.plane.kubeconfig)
        kubectl.apply_defaults(influx_token=self.hosted.influx.token)
        tell("Gateway API and the cluster's own objects are there")
        dns = services.coredns(self.state, self.plane.kubeconfig)
        own = {node: kubelet.KUBELET_HEALTH, proxy: kubelet.PROXY_HEALTH, dns: services.Names().health}
        hosted.start(own | self.hosted.daemons())
        self.hosted.postgres.start()
        tell("DNS, Telegraf, Traefik, local AWS and PostgreSQL run")
        node.wait_until(self._node_ready, seconds=_READY_SECONDS)
        tell("the node is ready")
        kubectl("wait", "--for=condition=Programmed", "--timeout=30s", "--namespace=gateways", "gateway/public")
        tell("the gateway is ready")

    def _load_pause(self) -> None:
        if PAUSE_IMAGE not in self.containers.images():
            archive = self.state / "pause.tar"
            scratch_image.write(
                archive,
                name=PAUSE_IMAGE,
                files={"pause": build.program("pause")},
                entrypoint=["/pause"],
                user="65535:65535",
            )
            self.containers.load(archive)
            archive.unlink()

    def _node_ready(self) -> bool:
        try:
            with self.plane.http() as client:
                node = client.get(f"/api/v1/nodes/{kubelet.NODE}").json()
        except (httpx.TransportError, OSError):
            return False
        conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", ())}
        tainted = any(
            taint["key"].startswith("node.kubernetes.io/") for taint in node.get("spec", {}).get("taints", ())
        )
        return conditions.get("Ready") == "True" and not tainted

    def _take_down(self) -> None:
        tell = stopwatch()
        tell("the cluster is taken down")
        self.hosted.postgres.crash()  # it gives its shared memory back, which it cannot when it is killed
        for name in reversed(_PARTS):
            stop(record(self.state, name), seconds=0)  # at once: what it would still write goes too
        tell("the cluster's programs have ended")
        leftovers.end_processes(self.state, _POSTGRES)
        cgroups.destroy()
        tell("pods have ended")
        outside = leftovers.outside_files(self.state)
        mounts.unmount(self.state)
        self.hosted.postgres.remove()
        network.down(self.state)
        leftovers.remove(outside)
        leftovers.remove_folder(self.state)
        CLAIM.release(self.state)
        tell("network, mounts and files are gone")


def _check_root() -> None:
    if os.geteuid() != 0:
        raise TroubleError("the native cluster makes network interfaces and mounts: run hack/cluster as root.")
