"""The node itself: kubelet and kube-proxy."""

from pathlib import Path
from typing import Any

import yaml

from hack.node import build, cgroups
from hack.node.controlplane import ControlPlane
from hack.node.network import ADDRESS, POD_CIDR
from hack.node.process import Daemon

NODE = "pointsman"
CLUSTER_DNS = "10.96.0.10"
_KUBELET_PORT = 18250
_KUBELET_HEALTH_PORT = 18248
_PROXY_HEALTH_PORT = 18256
_PROXY_METRICS_PORT = 18249
KUBELET_HEALTH = f"http://127.0.0.1:{_KUBELET_HEALTH_PORT}/healthz"
PROXY_HEALTH = f"http://127.0.0.1:{_PROXY_HEALTH_PORT}/livez"


def kubelet(state: Path, plane: ControlPlane, *, runtime: Path) -> Daemon:
    kubeconfig = plane.client_kubeconfig("kubelet", user=f"system:node:{NODE}", group="system:nodes")
    root = state / "kubelet"
    config = _written(root / "config.yaml", kubelet_config(root, plane.authority.pair.certificate, runtime=runtime))
    return Daemon(
        name="kubelet",
        directory=state,
        command=[
            build.program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={root}",
            f"--cert-dir={root / 'pki'}",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
        ],
    )


def kube_proxy(state: Path, plane: ControlPlane) -> Daemon:
    kubeconfig = plane.client_kubeconfig("kube-proxy", user="system:kube-proxy")
    config = _written(state / "kube-proxy" / "config.yaml", proxy_config(kubeconfig))
    return Daemon(name="kube-proxy", directory=state, command=[build.program("kube-proxy"), f"--config={config}"])


def kubelet_config(root: Path, authority: Path, *, runtime: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "port": _KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": _KUBELET_HEALTH_PORT,
        "authentication": {"x509": {"clientCAFile": str(authority)}, "anonymous": {"enabled": False}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{runtime}",
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        # Small: a developer's nearly full disk is no reason to evict. Positive: 0 turns nothing off.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 99,  # there is no registry to get an image back from
        "imageGCLowThresholdPercent": 98,
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(root / "pod-logs"),
        "volumePluginDir": str(root / "volume-plugins"),
        "serializeImagePulls": False,
    }


def proxy_config(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "healthzBindAddress": f"127.0.0.1:{_PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{_PROXY_METRICS_PORT}",
        "nodePortAddresses": [f"{ADDRESS}/32"],
        # 0 leaves the machine's own settings of connection tracking alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    }


def _written(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content)
    if not path.exists() or path.read_text() != text:  # kube-proxy ends itself when its file is touched
        path.write_text(text)
    return path
