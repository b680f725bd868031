"""Applies the objects that every cluster starts with."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hack.node import build, network, paths
from hack.node.kubelet import CLUSTER_DNS
from hack.node.trouble import TroubleError

_USED_HERE = [
    *(f"crd/{kind}.gateway.networking.k8s.io" for kind in ("gatewayclasses", "gateways", "httproutes")),
    "crd/traefikservices.traefik.io",
]
_MANIFESTS = paths.NODE / "manifests"


class Kubectl:
    def __init__(self, kubeconfig: Path) -> None:
        self._base = [str(build.program("kubectl")), f"--kubeconfig={kubeconfig}"]

    def __call__(self, *arguments: str | Path, text: str | None = None, seconds: float = 60) -> str:
        command = [*self._base, *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=seconds)
        if done.returncode:
            raise TroubleError(f"`kubectl {' '.join(command[2:])}` failed: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *files: Path) -> None:
        self("apply", *self._apply, *(f"--filename={file}" for file in files))

    def apply_object(self, content: dict[str, Any]) -> None:
        self("apply", *self._apply, "--filename=-", text=json.dumps(content))

    def apply_defaults(
        self, *, influx_token: str, address: str = network.ADDRESS, name_server: str = CLUSTER_DNS
    ) -> None:
        """`address`: of the programs beside the cluster. `name_server`: the address of the Service that leads pods to
        CoreDNS there; empty where the cluster has its own.
        """
        crds = build.program("gateway-api")
        traefiks = build.program("traefik-crds") / "kubernetes-crd-definition-v1.yml"
        self.apply(crds, traefiks, _MANIFESTS / "namespaces.yaml")
        self("wait", "--for=condition=Established", "--timeout=30s", *_USED_HERE)
        names = ["monitoring", "aws", "databases", "gateway", *(["dns"] if name_server else [])]
        texts = [(_MANIFESTS / f"{name}.yaml").read_text() for name in names]
        text = "\n---\n".join(texts).replace(f'"{network.ADDRESS}"', f'"{address}"').replace(CLUSTER_DNS, name_server)
        self("apply", *self._apply, "--filename=-", text=text)
        self.apply_object(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "influxdb", "namespace": "monitoring"},
                "stringData": {"token": influx_token},
            }
        )

    _apply: Sequence[str] = ("--server-side", "--force-conflicts", "--field-manager=pointsman-cluster")
