"""Installs Pointsman and the demo's subject on the cluster that `hack/cluster up` made, from gitops/ alone."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from hack.node import images
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

CHECKOUT = Path(__file__).resolve().parents[1]
OPERATOR_NAMESPACE = "pointsman-system"
_OPERATOR, _SUBJECT = "localhost/pointsman:dev", "localhost/subject:dev"
_ROLLOUT = "180s"

Say = Callable[[str], None]


class Kubectl:
    """As a person would use it, with one sentence where it fails."""

    def __init__(self, cluster: Cluster) -> None:
        self._base = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}"]

    def __call__(self, *arguments: str | Path, text: str | None = None, seconds: float = 200) -> str:
        command = [*self._base, *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=seconds)
        if done.returncode:
            raise TroubleError(f"`kubectl {' '.join(command[2:])}` failed: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *arguments: str | Path, text: str | None = None) -> None:
        self("apply", "--server-side", "--force-conflicts", *arguments, text=text)


def build_images(say: Say) -> str:
    """Builds what has changed and loads it; returns the operator image's content name."""
    backend = choose()
    say("building the images of operator and subject (from the cache when nothing changed)")
    operator = images.build(_OPERATOR, dockerfile=CHECKOUT / "controller" / "Dockerfile", context=CHECKOUT)
    subject = images.build(_SUBJECT, dockerfile=CHECKOUT / "workloads" / "subject" / "Dockerfile", context=CHECKOUT)
    for archive in (operator, subject):
        backend.load_image(archive)
    return operator.name


def install(cluster: Cluster, say: Say) -> None:
    """CRDs, operator, metric library and metric source; harmless when they are there already."""
    built = build_images(say)
    kubectl = Kubectl(cluster)
    say("installing Pointsman from crds/ and gitops/")
    kubectl.apply("-f", CHECKOUT / "crds")
    kubectl("wait", "--for=condition=Established", "-f", CHECKOUT / "crds", "--timeout=30s")
    kubectl.apply("-k", CHECKOUT / "gitops" / "install")
    kubectl.apply("-n", OPERATOR_NAMESPACE, "-k", CHECKOUT / "gitops" / "library")
    _copy_token(kubectl, cluster)
    kubectl.apply("-f", CHECKOUT / "gitops" / "demo" / "namespace.yaml")
    kubectl.apply("-f", CHECKOUT / "gitops" / "demo" / "metricsource.yaml")
    # the tag stays the same, so the content has to say that there is something new to run
    patch = {"spec": {"template": {"metadata": {"annotations": {"pointsman.dev/built": built}}}}}
    kubectl("-n", OPERATOR_NAMESPACE, "patch", "deployment", "pointsman", "--patch", json.dumps(patch))
    say("waiting for the operator")
    kubectl("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/pointsman", f"--timeout={_ROLLOUT}")


def _copy_token(kubectl: Kubectl, cluster: Cluster) -> None:
    """A token never lies in git; on an own cluster a person, or a secret operator, makes this Secret."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "influxdb", "namespace": OPERATOR_NAMESPACE},
        "stringData": {"token": cluster.influx.token},
    }
    kubectl.apply("-f", "-", text=json.dumps(secret))
