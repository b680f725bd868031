"""What `kind create cluster` is given."""

from typing import Any

import yaml

from hack.node.kind_network import POD_CIDR, SERVICE_CIDR

_ETCD = {
    "kind": "ClusterConfiguration",
    # a power cut may take a test cluster with it
    "etcd": {"local": {"extraArgs": [{"name": "unsafe-no-fsync", "value": "true"}]}},
}
_NO_DNS = {"kind": "ClusterConfiguration", "dns": {"disabled": True}}
_CGROUP_V1 = {"kind": "KubeletConfiguration", "failCgroupV1": False}
_OOM_SCORE = """\
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
"""


def cluster_config(*, nodes: int, own_image: bool) -> str:
    """`own_image`: on a node image that was assembled here, which has no network plugin and no CoreDNS within, and on
    a machine that may lack CAP_SYS_RESOURCE and cgroup v2.
    """
    networking: dict[str, Any] = {
        "ipFamily": "ipv4",
        "apiServerAddress": "127.0.0.1",
        "podSubnet": POD_CIDR,
        "serviceSubnet": SERVICE_CIDR,
        "kubeProxyMode": "nftables",
        "disableDefaultCNI": own_image,
    }
    patches = [_ETCD, *([_NO_DNS, _CGROUP_V1] if own_image else [])]
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": networking,
        "kubeadmConfigPatches": [yaml.safe_dump(patch) for patch in patches],
        "nodes": [{"role": "control-plane"}, *({"role": "worker"} for _ in range(nodes - 1))],
    }
    if own_image:
        config["containerdConfigPatches"] = [_OOM_SCORE]
    return yaml.safe_dump(config, sort_keys=False)
