"""The workloads without Pointsman, by their READMEs' commands, in a namespace of the restricted standard."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.resources import DEPLOYMENTS, NAMESPACES, PODS
from controller.kube.client import KubeClient
from hack.database import new_secrets
from hack.node import build
from tests.e2e.patience import until
from workloads.image_worker import settings as image_worker
from workloads.invitations import settings as invitations

CHECKOUT = Path(__file__).resolve().parents[2]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
DEPLOYED = {"image-worker": {"image-worker"}, "invitations": {"invitations", "invitations-sender"}}
READ = {"image-worker": image_worker.read, "invitations": invitations.read}
_URL = {"DATABASE_URL": "postgresql://u:p@postgres.databases:5432/x"}
SECRETS = {"invitations": _URL | new_secrets(), "invitations-migration": _URL}
"""What `hack.database` makes; tests/integration/test_database_command.py compares them."""


def readme(workload: str) -> str:
    return (CHECKOUT / "workloads" / workload.replace("-", "_") / "README.md").read_text()


def folders(workload: str) -> list[Path]:
    """On the cluster of this checkout, what is applied first before what is applied then."""
    here = CHECKOUT / "gitops/demo/plain" / workload
    return [*(path.parent for path in sorted(here.glob("*/kustomization.yaml"))), here]


def kubectl(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [build.program("kubectl"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)


def rendered(folder: Path) -> list[dict[str, Any]]:
    done = kubectl("kustomize", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def comments(checkout: Path) -> dict[str, list[str]]:
    files = sorted((checkout / "gitops/workloads").rglob("*.yaml"))
    return {
        str(file.relative_to(checkout)): [
            line for line in file.read_text().splitlines() if line.lstrip().startswith("#")
        ]
        for file in files
    }


def used(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and name of each object that a pod cannot start without."""
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"]
    for container in pod["containers"]:
        entries = [each.get("valueFrom", {}) for each in container.get("env", ())]
        for source in [*container.get("envFrom", ()), *entries]:
            for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                for at in (source.get(f"{key}Ref"), source.get(f"{key}KeyRef")):
                    if at and not at.get("optional"):
                        yield kind, at["name"]


def cpus(pod: dict[str, Any]) -> int:
    """Thousandths of a core."""
    return sum(int(each["resources"]["requests"]["cpu"].removesuffix("m")) for each in pod["containers"])


@pytest.mark.parametrize("workload", DEPLOYED)
async def test_a_plain_workload_is_taken_as_the_readme_says_and_its_pods_are_let_in(
    api_server: Path, kube: KubeClient, namespace: str, workload: str, tmp_path: Path
) -> None:
    """The README's own commands, but those that need an image registry or a node."""
    await kube.patch(NAMESPACES, None, namespace, {"metadata": {"labels": RESTRICTED}})
    shutil.copytree(CHECKOUT / "gitops/workloads", tmp_path / "gitops/workloads")
    [commands] = re.findall(r"```\n(docker build.*?)```", readme(workload).split("**Without Pointsman**")[1], re.DOTALL)
    commands = re.sub(r"^(?:docker|kubectl (?:rollout|wait|create namespace)) .*\n", "", commands, flags=re.MULTILINE)
    commands = re.sub(r" -n \w+", f" -n {namespace}", commands).replace("apply ", "apply --validate=strict ")
    function = f'kubectl() {{ {build.program("kubectl")} --kubeconfig={api_server} "$@"; }}\n'
    command = ["bash", "-ec", function + commands]
    applied = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    assert comments(tmp_path) == comments(CHECKOUT), "none speaks of a placeholder"
    assert "Warning" not in applied.stderr, "the standard has nothing against the pods"
    changed = "".join(
        path.read_text() for path in (tmp_path / f"gitops/workloads/{workload}").glob("[bmp]*/[!k]*.yaml")
    )
    assert "kind: Deployment" in changed
    assert not re.search(r"REGISTRY|ACCOUNT|REGION\.|: REGION|: BUCKET|\.example\.com\b(?!/i)", changed)
    await has_pods_of(kube, namespace, DEPLOYED[workload])


@pytest.mark.parametrize("workload", DEPLOYED)
async def test_a_plain_workload_is_taken_by_a_cluster_of_this_checkout_and_its_pods_are_let_in(
    api_server: Path, kube: KubeClient, namespace: str, workload: str
) -> None:
    await kube.patch(NAMESPACES, None, namespace, {"metadata": {"labels": RESTRICTED}})
    objects = [each for folder in folders(workload) for each in rendered(folder) if each["kind"] != "Namespace"]
    assert len({each["metadata"]["namespace"] for each in objects}) == 1
    for each in objects:
        each["metadata"]["namespace"] = namespace
    applied = await asyncio.to_thread(
        kubectl, f"--kubeconfig={api_server}", "apply", "--validate=strict", "-f", "-", text=yaml.safe_dump_all(objects)
    )
    assert (applied.returncode, applied.stderr) == (0, "")
    await has_pods_of(kube, namespace, DEPLOYED[workload])


@pytest.mark.parametrize("workload", DEPLOYED)
def test_all_that_a_plain_workload_names_on_a_cluster_of_this_checkout_is_made(workload: str) -> None:
    objects = [each for folder in folders(workload) for each in rendered(folder)]
    text = yaml.safe_dump_all(objects)
    assert not re.search(r"REGISTRY|ACCOUNT|REGION\b(?<!_REGION)|\bBUCKET: BUCKET|example\.com|arn:", text)
    assert not {each["kind"] for each in objects} & {"HorizontalPodAutoscaler", "NetworkPolicy"}
    [section] = readme(workload).split("### Without Pointsman, on the cluster of this checkout")[1:]
    built = set(re.findall(r"^hack/cluster image (\S+) --dockerfile", section, re.MULTILINE))
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    made |= {("Secret", name) for name in SECRETS if "hack.database up" in section}
    pods = [(each, each["spec"]["template"]["spec"]) for each in objects if each["kind"] in {"Deployment", "Job"}]
    assert {each["metadata"]["name"] for each, _ in pods if each["kind"] == "Deployment"} == DEPLOYED[workload]
    assert {container["image"] for _, pod in pods for container in pod["containers"]} == built
    named = {one for _, pod in pods for one in used(pod)}
    assert named <= made, named - made
    assert sum(each["spec"].get("replicas", 1) * cpus(pod) for each, pod in pods) <= 300, "thousandths of two cores"
    [config] = [each["data"] for each in objects if each["kind"] == "ConfigMap"]
    for each, pod in pods:
        if each["kind"] == "Deployment":
            [container] = pod["containers"]
            own = {entry["name"]: entry.get("value", "x") for entry in container["env"]}
            READ[workload]({**config, **SECRETS["invitations"], **own})
        elif "setup" in each["metadata"]["name"]:
            [container] = pod["containers"]
            name = container["command"][-1]
            assert config["QUEUE_URL"] == f"{config['AWS_ENDPOINT_URL']}/000000000000/{name}"
            assert config["DEAD_LETTER_QUEUE_URL"] == f"{config['QUEUE_URL']}-dead-letters"
            assert config["JOBS_TABLE"] == f"{name}-jobs"
            assert (config.get("NEAR_TABLE", f"{name}-near"), config.get("BUCKET", name)) == (f"{name}-near", name)


async def has_pods_of(kube: KubeClient, namespace: str, deployments: set[str]) -> None:
    found = await kube.list(DEPLOYMENTS, namespace)
    assert {each["metadata"]["name"] for each in found} == deployments

    async def has_pods() -> bool:
        pods = await kube.list(PODS, namespace)
        names = {pod["metadata"]["labels"].get("app.kubernetes.io/name") for pod in pods}
        return names - {None} == deployments  # a Job's pod may have none

    await until(has_pods, "each Deployment has a pod", seconds=60)
