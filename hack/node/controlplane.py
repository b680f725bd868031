"""etcd, API server and, if wanted, controller manager and scheduler: a Kubernetes without nodes.

Needs no root, takes free ports and keeps everything in one directory, so many
may run side by side: tests start their own. The native cluster is this class
with fixed ports and the addresses of its node.
"""

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from hack.node import build
from hack.node.network import SERVICE_CIDR
from hack.node.pki import Authority
from hack.node.process import Daemon, free_port, record, stop

_API_SERVICE = "10.96.0.1"
_NAMES = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
]
# Reserved for documentation: an advertised address may not be the loopback one, and nothing dials it.
_NOWHERE = "192.0.2.1"
_READY_SECONDS = 60
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
# Two cores are shared with all else, and memory is not what is short: a quarter of the API server's work is collecting.
_COLLECT_SELDOM = {"GOGC": "400", "GOMEMLIMIT": str(_MEMORY // 2)}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Of 127.0.0.1; 0 takes a free one."""

    apiserver: int = 0
    etcd: int = 0
    etcd_peer: int = 0


class ControlPlane:
    """`start` and `stop` may be called again and again; state stays in `directory`.

    admission_off: admission plugins to leave out, such as "ServiceAccount".
    feature_gates: of API server and controller manager.
    advertise: the address of the Service `kubernetes`' only endpoint; none is kept without it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        controller_manager: bool = True,
        scheduler: bool = False,
        admission_off: Sequence[str] = (),
        feature_gates: Mapping[str, bool] | None = None,
        apiserver_flags: Sequence[str] = (),
        ports: Ports = Ports(),
        bind: str = "127.0.0.1",
        advertise: str | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self._with_controller_manager = controller_manager
        self._with_scheduler = scheduler
        self._admission_off = admission_off
        self._gates = ",".join(f"{name}={str(on).lower()}" for name, on in (feature_gates or {}).items())
        self._apiserver_flags = apiserver_flags
        self._bind = bind
        self._advertise = advertise
        self._etcd_url = f"http://127.0.0.1:{ports.etcd or free_port()}"
        self._etcd_peer_url = f"http://127.0.0.1:{ports.etcd_peer or free_port()}"
        self._port = ports.apiserver or free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self.authority = Authority(self.directory / "pki")
        self._front = Authority(self.directory / "pki" / "front-proxy")

    @property
    def kubeconfig(self) -> Path:
        """An administrator's."""
        return self.directory / "admin.kubeconfig"

    def start(self) -> None:
        self._write_credentials()
        apiserver, etcd = self._apiserver(), self._etcd()
        if etcd.identity() is None:
            apiserver.stop(seconds=0)  # one whose etcd has died ends by itself, in the middle of what follows
        etcd.start()
        apiserver.start()  # waits for etcd by itself
        apiserver.wait_until(self._ready, seconds=_READY_SECONDS)
        for daemon in self._clients():
            daemon.start()  # before the API server has its roles they would be refused, and back off
        if self._with_controller_manager:
            self._controller_manager().wait_until(self._accounts_are_made, seconds=_READY_SECONDS)

    def stop(self) -> None:
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver"):
            stop(self._record(name), seconds=0)  # all they know is in etcd
        stop(self._record("etcd"), seconds=10)

    def restart_apiserver(self) -> None:
        """As after a crash: killed, and started again on the same port."""
        stop(self._record("kube-apiserver"), seconds=0)
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # what did start would stay
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client_kubeconfig(self, name: str, *, user: str, group: str = "") -> Path:
        """For another user of the API server, kept as NAME.kubeconfig."""
        client = self.authority.client(name, user=user, group=group)
        path = self.directory / f"{name}.kubeconfig"
        return self.authority.kubeconfig(path, server=self.url, client=client)

    def http(self) -> httpx.Client:
        """An administrator's client of the bare API."""
        context = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        admin = self.authority.client("admin", user="admin", group="system:masters")
        context.load_cert_chain(admin.certificate, admin.key)
        return httpx.Client(base_url=self.url, verify=context, timeout=30, trust_env=False)

    def _record(self, name: str) -> Path:
        return record(self.directory, name)

    def _write_credentials(self) -> None:
        self.authority.create()
        self._front.create()
        self.client_kubeconfig("admin", user="admin", group="system:masters")
        if self._with_controller_manager:
            self.client_kubeconfig("controller-manager", user="system:kube-controller-manager")
        if self._with_scheduler:
            self.client_kubeconfig("scheduler", user="system:kube-scheduler")

    def _ready(self) -> bool:
        try:
            with self.http() as client:
                return client.get("/readyz").status_code == httpx.codes.OK
        except (httpx.TransportError, ssl.SSLError):
            return False

    def _accounts_are_made(self) -> bool:
        """Pods of a namespace are refused until the controller manager has given it a service account."""
        with self.http() as client:
            return client.get("/api/v1/namespaces/default/serviceaccounts/default").status_code == httpx.codes.OK

    def _etcd(self) -> Daemon:
        return Daemon(
            name="etcd",
            directory=self.directory,
            command=[
                build.program("etcd"),
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={self._etcd_url}",
                f"--advertise-client-urls={self._etcd_url}",
                f"--listen-peer-urls={self._etcd_peer_url}",
                f"--initial-advertise-peer-urls={self._etcd_peer_url}",
                f"--initial-cluster=default={self._etcd_peer_url}",
                "--unsafe-no-fsync",  # a power cut may take a test cluster with it
                "--logger=zap",
                "--log-level=warn",
            ],
            env=_COLLECT_SELDOM,
        )

    def _apiserver(self) -> Daemon:
        serving = self.authority.server(
            "apiserver", names=_NAMES, addresses=["127.0.0.1", _API_SERVICE, self._advertise or _NOWHERE]
        )
        kubelet = self.authority.client("apiserver-kubelet", user="apiserver-kubelet", group="system:masters")
        front = self._front.client("front-proxy-client", user="front-proxy-client")
        accounts = self.authority.signing_key("accounts")
        command: list[str | Path] = [
            build.program("kube-apiserver"),
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={self._bind}",
            f"--secure-port={self._port}",
            f"--advertise-address={self._advertise or _NOWHERE}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--client-ca-file={self.authority.pair.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            # other API servers, such as metrics-server, know by this certificate on whose behalf they are asked
            f"--requestheader-client-ca-file={self._front.pair.certificate}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={front.certificate}",
            f"--proxy-client-key-file={front.key}",
            # exec and logs would otherwise look the node's name up
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={accounts.certificate}",
            f"--service-account-signing-key-file={accounts.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--profiling=false",
            *self._apiserver_flags,
        ]
        if self._advertise is None:
            command.append("--endpoint-reconciler-type=none")
        if self._admission_off:
            command.append(f"--disable-admission-plugins={','.join(self._admission_off)}")
        if self._gates:
            command.append(f"--feature-gates={self._gates}")
        return Daemon(name="kube-apiserver", directory=self.directory, command=command, env=_COLLECT_SELDOM)

    def _clients(self) -> list[Daemon]:
        daemons = []
        if self._with_scheduler:
            daemons.append(self._scheduler())
        if self._with_controller_manager:
            daemons.append(self._controller_manager())
        return daemons

    def _controller_manager(self) -> Daemon:
        command: list[str | Path] = [
            build.program("kube-controller-manager"),
            f"--kubeconfig={self.directory / 'controller-manager.kubeconfig'}",
            f"--service-account-private-key-file={self.authority.signing_key('accounts').key}",
            f"--root-ca-file={self.authority.pair.certificate}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
            # The default of 20 requests a second makes it take 5 s to start instead of 1 s.
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
            "--horizontal-pod-autoscaler-sync-period=5s",  # of 15 s: tests wait for it
        ]
        if self._gates:
            command.append(f"--feature-gates={self._gates}")
        return Daemon(name="kube-controller-manager", directory=self.directory, command=command, env=_COLLECT_SELDOM)

    def _scheduler(self) -> Daemon:
        return Daemon(
            name="kube-scheduler",
            directory=self.directory,
            command=[
                build.program("kube-scheduler"),
                f"--kubeconfig={self.directory / 'scheduler.kubeconfig'}",
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false",
            ],
        )
