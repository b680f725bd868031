"""Who may ask for what: the shipped roles and admission policies on a real API server, with users of their own."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml

import crds
from controller.api.resources import RELEASE_ACTIONS, Resource
from controller.kube.client import InvalidError, KubeClient, UnavailableError
from hack.node.controlplane import ControlPlane
from tests.integration.cluster_fixture import define

INSTALL = Path(__file__).resolve().parents[2] / "gitops" / "install"
RBAC = "rbac.authorization.k8s.io"
KINDS = {
    "ClusterRole": Resource(RBAC, "v1", "clusterroles", "ClusterRole"),
    "RoleBinding": Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
    "ValidatingAdmissionPolicy": Resource(
        "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"
    ),
    "ValidatingAdmissionPolicyBinding": Resource(
        "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
    ),
    "MutatingAdmissionPolicy": Resource(
        "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"
    ),
    "MutatingAdmissionPolicyBinding": Resource(
        "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"
    ),
}
USERS = {
    "vera": ["view"],
    "olaf": ["operate"],
    "anna": ["approve"],
    "sara": ["operate", "approve"],
    "nora": [],
}
STOPPING = ("abort", "rollback", "pause", "resume", "retry")
LETTING = ("approve", "skip")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with ControlPlane(tmp_path_factory.mktemp("rights"), controller_manager=False) as running:
        with running.http() as http:
            define(http, crds.definitions())
        yield running


@pytest.fixture
async def admin(plane):
    async with _as(plane, "admin", group="system:masters") as kube:
        yield kube


@pytest.fixture
async def rights(plane, admin):
    """Roles and policies as they are shipped, bound in namespace default."""
    await _install(admin, INSTALL / "roles-people.yaml", INSTALL / "admission.yaml")
    for user, roles in USERS.items():
        for role in roles:
            reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"pointsman-{role}"}
            body = {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{user}-{role}", "namespace": "default"},
                "roleRef": reference,
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
            }
            await _once(admin, body)
    await _until_refused(admin)
    return plane


@asynccontextmanager
async def _as(plane, user, group=""):
    kube = await KubeClient.connect(str(plane.client_kubeconfig(user, user=user, group=group)))
    try:
        yield kube
    finally:
        await kube.close()


async def _install(admin, *files):
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            await _once(admin, document)


async def _once(admin, body):
    resource, metadata = KINDS[body["kind"]], body["metadata"]
    if await admin.find(resource, metadata.get("namespace"), metadata["name"]) is None:
        await admin.create(resource, metadata.get("namespace"), body)


async def _until_refused(admin):
    """A policy takes a moment until the API server has compiled it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await _ask(admin, "approve", by="somebody else", dry=True)
            except InvalidError:
                return
            await asyncio.sleep(0.1)


async def _ask(kube, action, *, by="", dry=True):
    spec = {"release": "web", "revision": "aaaaaaaaaa", "action": action, "reason": "why not"}
    body = {
        "apiVersion": RELEASE_ACTIONS.api_version,
        "kind": RELEASE_ACTIONS.kind,
        "metadata": {"generateName": "try-"},
        "spec": spec | ({"requestedBy": by} if by else {}),
    }
    query = {"dryRun": "All"} if dry else {}
    return await kube.request("POST", RELEASE_ACTIONS.path("default"), body=body, query=query)


async def _may(plane, user, actions):
    async with _as(plane, user) as kube:
        allowed = set()
        for action in actions:
            with suppress(InvalidError):
                await _ask(kube, action, by=user)
                allowed.add(action)
        return allowed


async def test_each_role_may_ask_for_what_it_is_for(rights):
    everything = {*STOPPING, *LETTING, "promote"}
    assert await _may(rights, "vera", everything) == set()
    assert await _may(rights, "nora", everything) == set()
    assert await _may(rights, "olaf", everything) == set(STOPPING)
    assert await _may(rights, "anna", everything) == set(LETTING)
    assert await _may(rights, "sara", everything) == everything


async def test_a_refusal_names_the_right_that_is_missing(rights):
    async with _as(rights, "olaf") as kube:
        with pytest.raises(InvalidError, match=r"olaf may not approve web: it needs the verb approve") as refused:
            await _ask(kube, "approve", by="olaf")
        assert "ClusterRole pointsman-approve" in str(refused.value)


@pytest.mark.parametrize("by", ["anna", "system:admin"])
async def test_nobody_speaks_for_somebody_else(rights, by):
    async with _as(rights, "sara") as kube:
        with pytest.raises(InvalidError, match=r"spec\.requestedBy has to be sara, who asks"):
            await _ask(kube, "pause", by=by)


async def test_a_right_in_one_namespace_is_none_in_another(rights):
    async with _as(rights, "sara") as kube:
        with pytest.raises(InvalidError, match="forbidden"):
            await kube.create(RELEASE_ACTIONS, "kube-public", {"metadata": {"name": "x"}, "spec": {}})


async def test_approving_gives_no_right_to_edit_a_release(rights):
    async with _as(rights, "anna") as kube:
        with pytest.raises(InvalidError, match="cannot create resource"):
            await kube.request("POST", "/apis/pointsman.dev/v1alpha1/namespaces/default/releases", body={})


async def test_the_author_is_filled_in_where_the_cluster_can(rights, admin):
    async with _as(rights, "sara") as kube:
        with pytest.raises(InvalidError, match="has to be sara"):
            await _ask(kube, "pause")
        await _install(admin, INSTALL / "author" / "policy.yaml")
        async with asyncio.timeout(30):
            while True:
                try:
                    made = await _ask(kube, "pause")
                except (InvalidError, UnavailableError):  # its plugin may not have heard of the kind yet
                    await asyncio.sleep(0.1)
                else:
                    break
        assert made["spec"]["requestedBy"] == "sara"
        with pytest.raises(InvalidError, match="has to be sara"):
            await _ask(kube, "pause", by="anna")
