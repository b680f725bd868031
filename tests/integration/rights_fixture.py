"""A real API server of a test file's own, with the shipped roles and policies, and users to whom they are bound."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import yaml

import crds
from controller.api.resources import Resource
from controller.kube.client import KubeClient
from hack.node.controlplane import ControlPlane
from tests.integration.cluster_fixture import define

INSTALL = Path(__file__).resolve().parents[2] / "gitops" / "install"
RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
KINDS = {
    resource.kind: resource
    for resource in (
        Resource(RBAC, "v1", "clusterroles", "ClusterRole"),
        Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
        Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding"),
        Resource(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
        Resource(ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
        Resource(ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
        Resource(ADMISSION, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
    )
}
_POINTSMAN = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "pointsman"


@contextmanager
def control_plane(directory: Path) -> Iterator[ControlPlane]:
    """With the controller manager: it is what puts an aggregated role together."""
    with ControlPlane(directory) as running:
        with running.http() as http:
            define(http, crds.definitions())
        yield running


@asynccontextmanager
async def connected(plane: ControlPlane, user: str, *, group: str = "") -> AsyncIterator[KubeClient]:
    kube = await KubeClient.connect(str(plane.client_kubeconfig(user, user=user, group=group)))
    try:
        yield kube
    finally:
        await kube.close()


async def install(admin: KubeClient, *files: str) -> None:
    """Files of gitops/install."""
    for file in files:
        for document in yaml.safe_load_all((INSTALL / file).read_text()):
            await _once(admin, document)


async def bind(admin: KubeClient, users: Mapping[str, Iterable[str]], *, namespace: str = "default") -> None:
    """ClusterRoles to each user."""
    for user, roles in users.items():
        for role in roles:
            body = {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{user}-{role}", "namespace": namespace},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
            }
            await _once(admin, body)


async def command(plane: ControlPlane, user: str, *arguments: str) -> tuple[int, str]:
    """Runs `pointsman ARGUMENTS` as somebody: its exit code and what it printed."""
    kubeconfig = plane.client_kubeconfig(user, user=user)
    process = await asyncio.create_subprocess_exec(
        str(_POINTSMAN), *arguments,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": "400"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def _once(admin: KubeClient, body: dict[str, Any]) -> None:
    resource, metadata = KINDS[body["kind"]], body["metadata"]
    if await admin.find(resource, metadata.get("namespace"), metadata["name"]) is None:
        await admin.create(resource, metadata.get("namespace"), body)
