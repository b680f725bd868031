"""The workloads without Pointsman, by their READMEs' commands, in a namespace of the restricted standard."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from controller.api.resources import DEPLOYMENTS, NAMESPACES, PODS
from controller.kube.client import KubeClient
from hack.node import build
from tests.e2e.patience import until

CHECKOUT = Path(__file__).resolve().parents[2]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
DEPLOYED = {"image-worker": {"image-worker"}, "invitations": {"invitations", "invitations-sender"}}


@pytest.mark.parametrize("workload", DEPLOYED)
async def test_a_plain_workload_is_taken_as_the_readme_says_and_its_pods_are_let_in(
    api_server: Path, kube: KubeClient, namespace: str, workload: str, tmp_path: Path
) -> None:
    """The README's own commands, but those that need an image registry or a node."""
    await kube.patch(NAMESPACES, None, namespace, {"metadata": {"labels": RESTRICTED}})
    shutil.copytree(CHECKOUT / "gitops/workloads", tmp_path / "gitops/workloads")
    readme = (CHECKOUT / "workloads" / workload.replace("-", "_") / "README.md").read_text()
    [commands] = re.findall(r"```\n(docker build.*?)```", readme.split("**Without Pointsman**")[1], re.DOTALL)
    commands = re.sub(r"^(?:docker|kubectl (?:rollout|wait|create namespace)) .*\n", "", commands, flags=re.MULTILINE)
    commands = re.sub(r" -n \w+", f" -n {namespace}", commands).replace("apply ", "apply --validate=strict ")
    kubectl = f'kubectl() {{ {build.program("kubectl")} --kubeconfig={api_server} "$@"; }}\n'
    command = ["bash", "-ec", kubectl + commands]
    applied = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    assert "Warning" not in applied.stderr, "the standard has nothing against the pods"
    changed = "".join(
        path.read_text() for path in (tmp_path / f"gitops/workloads/{workload}").glob("[bmp]*/[!k]*.yaml")
    )
    assert "kind: Deployment" in changed
    assert not re.search(r"REGISTRY|ACCOUNT|REGION\.|: REGION|: BUCKET|\.example\.com\b(?!/i)", changed)
    found = await kube.list(DEPLOYMENTS, namespace)
    assert {each["metadata"]["name"] for each in found} == DEPLOYED[workload]

    async def has_pods() -> bool:
        pods = await kube.list(PODS, namespace)
        names = {pod["metadata"]["labels"].get("app.kubernetes.io/name") for pod in pods}
        return names - {None} == DEPLOYED[workload]  # a Job's pod may have none

    await until(has_pods, "each Deployment has a pod", seconds=60)
