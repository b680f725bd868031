"""Installs Pointsman and what the demos release on the cluster that `hack/cluster up` made, from gitops/ alone."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from hack.node import aws, images
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

CHECKOUT = Path(__file__).resolve().parents[1]
OPERATOR_NAMESPACE = "pointsman-system"
SUBJECT, IMAGE_WORKER, INVITATIONS = (
    Path("workloads/subject"),
    Path("workloads/image_worker"),
    Path("workloads/invitations"),
)
OPERATOR = Path("controller")
_TAGS = {
    OPERATOR: "localhost/pointsman:dev",
    SUBJECT: "localhost/subject:dev",
    IMAGE_WORKER: "localhost/image-worker:dev",
    INVITATIONS: "localhost/invitations:dev",
}
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


def load_images(say: Say, *folders: Path) -> list[str]:
    """Builds what has changed and loads it; answers the content name of each, by the folder of its Dockerfile."""
    say(f"building the images of {', '.join(folder.name for folder in folders)} (from the cache when nothing changed)")
    backend = choose()
    archives = build_images(*folders)
    for archive in archives:
        backend.load_image(archive)
    return [archive.name for archive in archives]


def build_images(*folders: Path) -> list[Path]:
    """Their archives, by the folder of each one's Dockerfile."""
    return [
        images.build(_TAGS[folder], dockerfile=CHECKOUT / folder / "Dockerfile", context=CHECKOUT) for folder in folders
    ]


def install(cluster: Cluster, say: Say, *workloads: Path, sync: bool = False, replicas: int = 1) -> None:
    """CRDs, operator, metric library and metric source, and images; harmless when they are there already.

    `sync`: `pointsman sync`, too. `replicas` of the operator: on one node, a second is lost with the first.
    """
    built, *_ = load_images(say, OPERATOR, *workloads)
    kubectl = Kubectl(cluster)
    say("installing Pointsman from crds/ and gitops/")
    kubectl.apply("-f", CHECKOUT / "crds")
    kubectl("wait", "--for=condition=Established", "-f", CHECKOUT / "crds", "--timeout=30s")
    kubectl.apply("-f", CHECKOUT / "gitops" / "install" / "namespace.yaml")
    # the Secrets first: the operator reads `aws` and `decisions` as it starts, and starts without them
    make_secret(kubectl, "influxdb", OPERATOR_NAMESPACE, token=cluster.influx.token)
    make_secret(kubectl, "aws", OPERATOR_NAMESPACE, **aws.environment(cluster.in_cluster.aws_url))
    make_secret(kubectl, "decisions", OPERATOR_NAMESPACE, **decisions(cluster))
    # tenants' InfluxDBs may be in the cluster and on its machine, which are its owner's
    networks = [f"--source-network={one}" for one in cluster.networks]
    kubectl.apply("-f", "-", text=_of(kubectl, "install", built, *networks, replicas=replicas))
    if sync:
        kubectl.apply("-f", "-", text=_of(kubectl, "sync", built))
    kubectl.apply("-n", OPERATOR_NAMESPACE, "-k", CHECKOUT / "gitops" / "library")
    kubectl.apply("-f", CHECKOUT / "gitops" / "demo" / "metricsource.yaml")
    say("waiting for the operator")
    for name in ("pointsman", *(("pointsman-sync",) if sync else ())):
        kubectl("-n", OPERATOR_NAMESPACE, "rollout", "status", f"deployment/{name}", f"--timeout={_ROLLOUT}")


def decisions(cluster: Cluster) -> dict[str, str]:
    """Where the operator writes what it decides, for the dashboards."""
    return {
        "POINTSMAN_DECISIONS_URL": cluster.in_cluster.influx_url,
        "POINTSMAN_DECISIONS_ORG": cluster.influx.org,
        "POINTSMAN_DECISIONS_BUCKET": cluster.influx.bucket,
        "POINTSMAN_DECISIONS_TOKEN": cluster.influx.token,
    }


def _of(kubectl: Kubectl, folder: str, built: str, *arguments: str, replicas: int = 1) -> str:
    """A folder of gitops/ with one Deployment of Pointsman's, for this cluster."""
    objects = list(yaml.safe_load_all(kubectl("kustomize", CHECKOUT / "gitops" / folder)))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    deployment["spec"]["replicas"] = replicas
    template = deployment["spec"]["template"]
    # the tag stays the same, so the content has to say that there is something new to run
    template["metadata"].setdefault("annotations", {})["pointsman.dev/built"] = built
    (container,) = template["spec"]["containers"]
    container["args"] += arguments
    return yaml.safe_dump_all(objects)


def make_secret(kubectl: Kubectl, name: str, namespace: str, **values: str) -> None:
    """None lies in git; on an own cluster a person, or a secret operator, makes them."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }
    kubectl.apply("-f", "-", text=json.dumps(secret))
