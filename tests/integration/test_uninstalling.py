"""Uninstalling, by the command, from a real API server: once no Release is left, and nothing of others."""

import json

import pytest
import yaml

from controller.api.names import GROUP
from controller.api.resources import CRDS, NAMESPACES, RELEASES
from controller.cli._installed import places
from hack.node.controlplane import ControlPlane
from tests.integration.operator_fixture import release, weight
from tests.integration.rights_fixture import INSTALL, command, connected, control_plane

KNOWN = {resource.kind: resource for resource, _, _ in places("pointsman-system")} | {"Namespace": NAMESPACES}
SYNC = INSTALL.parent / "sync"


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("uninstalling")) as running:
        yield running


async def _install(admin) -> None:
    files = [INSTALL / "namespace.yaml", *sorted(set(INSTALL.rglob("*.yaml")) - {INSTALL / "namespace.yaml"})]
    for file in [*files, *sorted(SYNC.glob("*.yaml"))]:
        for item in yaml.safe_load_all(file.read_text()):
            if item["kind"] != "Kustomization":
                await admin.create(KNOWN[item["kind"]], item["metadata"].get("namespace"), item)


async def _left(admin) -> list[str]:
    found = [(place, await admin.find(*place)) for place in places("pointsman-system")]
    return [f"{resource.kind} {name}" for (resource, _, name), item in found if item is not None]


async def _uninstall(plane: ControlPlane, *options: str) -> tuple[int, str]:
    return await command(plane, "root", "uninstall", *options)


async def test_it_waits_for_the_last_release_takes_all_of_it_and_is_done_once(plane: ControlPlane):
    async with connected(plane, "admin", group="system:masters") as admin:
        await _install(admin)
        await _bind_root(admin)
        await admin.create(RELEASES, "default", release(weight(10), traffic={"replicas": {}}))
        before = await _left(admin)
        code, text = await _uninstall(plane, "--yes")
        assert (code, "pointsman eject web -n default" in text) == (1, True), text
        assert await _left(admin) == before
        await admin.delete(RELEASES, "default", "web")
        code, text = await _uninstall(plane)
        assert (code, "Nothing is changed" in text) == (0, True), text
        assert await _left(admin) == before
        code, text = await _uninstall(plane, "--crds", "--yes", "--json")
        assert code == 0, text
        told = json.loads(text)
        assert (told["applied"], told["namespace"], len(told["goes"])) == (True, "pointsman-system", len(before))
        assert await _left(admin) == []
        assert await admin.find(NAMESPACES, None, "pointsman-system") is not None
        code, text = await _uninstall(plane, "--crds", "--yes")
        assert code == 0, text
        assert not [one for one in await admin.list(CRDS) if one["spec"]["group"] == GROUP]


async def _bind_root(admin) -> None:
    """The one who uninstalls may do everything, and is of no group that tests give out."""
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "root"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "root"}],
    }
    await admin.create(KNOWN["ClusterRoleBinding"], None, body)
