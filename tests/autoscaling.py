"""Real autoscalers, as processes beside a cluster: metrics-server, and KEDA's operator and adapter.

HorizontalPodAutoscalers find what they serve at the API server, which asks them by a Service whose only endpoint is
this machine.
"""

import contextlib
import json
import shutil
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from hack.install import Kubectl
from hack.node import build
from hack.node.cluster import Cluster
from hack.node.pki import Authority
from hack.node.process import Daemon, ending_with_starter, free_port

_READY_S = 60.0


@contextlib.contextmanager
def metrics_server(cluster: Cluster, folder: Path, *, namespace: str) -> Iterator[Daemon]:
    """Serves metrics.k8s.io, as administrator. `namespace`: of its Service."""
    port = free_port()
    daemon = Daemon(
        name="metrics-server",
        directory=folder,
        command=[
            *ending_with_starter(),
            build.program("metrics-server"),
            *_serving(cluster, folder / "served", port),
            f"--kubeconfig={cluster.kubeconfig}",
            "--kubelet-insecure-tls",  # the kubelet signs its own certificate
            "--kubelet-use-node-status-port",
            "--kubelet-preferred-address-types=InternalIP",
            "--metric-resolution=10s",  # the shortest that it takes
            "--kubelet-request-timeout=5s",  # it has to be shorter
        ],
    )
    with (
        _running(daemon, f"https://{cluster.address}:{port}/livez"),
        _api(cluster, "metrics.k8s.io", port, namespace=namespace),
    ):
        yield daemon


@contextlib.contextmanager
def keda(cluster: Cluster, folder: Path, *, namespace: str, environment: Mapping[str, str]) -> Iterator[Daemon]:
    """KEDA for one namespace, as administrator: it serves external.metrics.k8s.io. `environment`: where AWS is."""
    port, asked, health = free_port(), f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    of_operator, of_adapter = _certificates(folder / "certificates")
    shared = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "WATCH_NAMESPACE": namespace,
        "POD_NAMESPACE": namespace,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": namespace,
    }
    operator = Daemon(
        name="keda-operator",
        directory=folder,
        command=[
            *ending_with_starter(),
            build.program("keda-operator"),
            "--leader-elect=false",
            "--enable-prometheus-metrics=false",
            f"--cert-dir={of_operator}",
            f"--health-probe-bind-address={health}",
            f"--metrics-service-bind-address={asked}",
        ],
        env={**shared, **environment},
    )
    adapter = Daemon(
        name="keda-adapter",
        directory=folder,
        command=[
            *ending_with_starter(),
            build.program("keda-adapter"),
            *_serving(cluster, of_adapter, port),
            f"--lister-kubeconfig={cluster.kubeconfig}",
            f"--metrics-service-address={asked}",
            f"--port={free_port()}",
        ],
        env=shared,
    )
    kubectl, definitions = Kubectl(cluster), build.program("keda-crds")
    kubectl.apply("-f", definitions)
    kubectl("wait", "--for=condition=Established", "-f", definitions, f"--timeout={_READY_S:.0f}s")
    with (
        _running(operator, f"http://{health}/readyz"),
        _running(adapter, f"https://{cluster.address}:{port}/livez"),
        _api(cluster, "external.metrics.k8s.io", port, namespace=namespace),
    ):
        yield operator


def _serving(cluster: Cluster, certificates: Path, port: int) -> tuple[str, ...]:
    """Of any API server. It signs a certificate of its own where `certificates` has no apiserver.crt."""
    return (
        f"--authentication-kubeconfig={cluster.kubeconfig}",
        f"--authorization-kubeconfig={cluster.kubeconfig}",
        f"--bind-address={cluster.address}",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
    )


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Folders with ca.crt, tls.crt and tls.key: KEDA's two programs know each other by them."""
    authority = Authority(folder)
    authority.create()
    operator = authority.server("operator", names=["localhost"], addresses=["127.0.0.1"])
    adapter = authority.client("adapter", user="keda-adapter")
    made = []
    for name, pair in (("for-operator", operator), ("for-adapter", adapter)):
        place = folder / name
        place.mkdir()
        for source, target in (
            (authority.pair.certificate, "ca.crt"),
            (pair.certificate, "tls.crt"),
            (pair.key, "tls.key"),
        ):
            shutil.copy(source, place / target)
        made.append(place)
    return made[0], made[1]


@contextlib.contextmanager
def _running(daemon: Daemon, health: str) -> Iterator[None]:
    daemon.start()
    try:
        daemon.wait_until(lambda: _healthy(health), seconds=_READY_S)
        yield
    finally:
        daemon.stop(seconds=5)


def _healthy(url: str) -> bool:
    """Forbidden, too, is an answer."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    try:
        return httpx.get(url, timeout=2, verify=unchecked, trust_env=False).status_code in {200, 401, 403}
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def _api(cluster: Cluster, group: str, port: int, *, namespace: str) -> Iterator[None]:
    """The API server has it, until this ends: one that nobody serves would keep every namespace from going."""
    kubectl, name = Kubectl(cluster), f"v1beta1.{group}"
    kubectl.apply(
        "-f",
        "-",
        text=json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects(cluster, group, port, namespace)}),
    )
    try:
        kubectl("wait", "--for=condition=Available", f"apiservice/{name}", f"--timeout={_READY_S:.0f}s")
        yield
    finally:
        kubectl("delete", "apiservice", name, "--ignore-not-found")


def _objects(cluster: Cluster, group: str, port: int, namespace: str) -> list[dict[str, Any]]:
    name = group.partition(".")[0]
    place = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"ports": [{"name": "https", "port": 443}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**place, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [cluster.address], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{group}"},
            "spec": {
                "group": group,
                "version": "v1beta1",
                "service": place,
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]
