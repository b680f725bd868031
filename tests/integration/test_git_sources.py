"""A Release that somebody has applied from git, on a real API server: with the shipped rights, and without.

The kinds are reduced to their names: what is in them is the business of whoever writes them.
"""

import asyncio

import pytest

from controller.api.git_origin import GitAuthor, GitOrigin, Write
from controller.api.resources import CRDS, RELEASE_REPOSITORIES, RELEASES, Resource
from controller.effects.git_source import APPLICATIONS, GIT_REPOSITORIES, KUSTOMIZATIONS, source_of
from controller.git.remote import GitError
from controller.kube.client import KubeError, NotFoundError
from controller.kube.objects import Key
from tests.integration.operator_fixture import APPROVE, release
from tests.integration.rights_fixture import RBAC, bind, connected, control_plane, install

OWNER = Key("default", "web")
ORIGIN = GitOrigin("", "main", "", None, Write.PUSH, None, GitAuthor("P", "p@shop.qa"))
SHA = "9f31c07a52" * 4
READS_RELEASES = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "reads-releases"},
    "rules": [{"apiGroups": ["pointsman.dev"], "resources": ["releases"], "verbs": ["get"]}],
}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "default"}
TRACKED = {"argocd.argoproj.io/tracking-id": "default_web:pointsman.dev/Release:default/web"}
INVENTORY = {"entries": [{"id": "default_web_pointsman.dev_Release", "v": "v1alpha1"}]}
RESOURCES = [{"group": "pointsman.dev", "kind": "Release", "namespace": "default", "name": "web"}]


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "sources") as running:
        yield running


@pytest.fixture
async def admin(plane):
    """`may` has the role of gitops/install/sources, `may-not` has none of it."""
    async with connected(plane, "admin", group="system:masters") as admin:
        roles = Resource(RBAC, "v1", "clusterroles", "ClusterRole")
        await admin.create(roles, None, READS_RELEASES)
        await bind(admin, {"may": ["reads-releases"], "may-not": ["reads-releases"]})
        await install(admin, "sources/roles.yaml")
        await bind(admin, {"may": ["pointsman-operator-sources"]})
        yield admin


async def define_kind(admin, resource):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": resource.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": resource.plural, "singular": resource.kind.lower(), "kind": resource.kind}
    body = {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {"group": resource.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await admin.create(CRDS, None, body)
    async with asyncio.timeout(30):
        while True:
            try:
                await admin.find(resource, "default", "nobody")
                await admin.list(resource, "default")
            except KubeError:
                await asyncio.sleep(0.1)
            else:
                return


async def make(admin, resource, name, **body):
    kind = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
    await admin.create(resource, "default", {**kind, **body})


async def a_release(admin, **metadata):
    body = release(APPROVE)
    body["metadata"] |= metadata
    await admin.create(RELEASES, "default", body)


async def refusal(plane, user):
    async with connected(plane, user) as kube:
        with pytest.raises(GitError) as error:
            await source_of(kube, OWNER, ORIGIN)
    return str(error.value)


async def test_flux_with_the_shipped_rights_and_without(plane, admin):
    await a_release(admin, labels=FLUX)
    assert "does not exist" in await refusal(plane, "may"), "there is no such kind yet"
    for resource in (KUSTOMIZATIONS, GIT_REPOSITORIES):
        await define_kind(admin, resource)
    spec = {"path": "./apps", "sourceRef": {"kind": "GitRepository", "name": "shop"}}
    status = {"inventory": INVENTORY, "lastAppliedRevision": f"main@sha1:{SHA}"}
    await make(admin, KUSTOMIZATIONS, "apps", spec=spec, status=status)
    repository = {"url": "https://git.qa/shop.git", "ref": {"branch": "main"}, "secretRef": {"name": "shop-git"}}
    await make(admin, GIT_REPOSITORIES, "shop", spec=repository)
    async with connected(plane, "may") as kube:
        found = await source_of(kube, OWNER, ORIGIN)
    assert (found.origin.url, found.origin.branch, found.origin.path) == ("https://git.qa/shop.git", "main", "apps")
    assert found.origin.secret is not None
    assert found.commit == SHA
    assert "apply gitops/install/sources" in await refusal(plane, "may-not")


async def test_pointsman_sync_with_the_shipped_rights_and_without(plane, admin):
    await a_release(admin, labels={"pointsman.dev/repository": "default.shop"})
    spec = {"url": "https://git.qa/shop.git", "path": "apps", "serviceAccountName": "d", "secretRef": {"name": "git"}}
    await make(admin, RELEASE_REPOSITORIES, "shop", spec=spec)
    assert "says nothing of having applied" in await refusal(plane, "may")
    repository = await admin.get(RELEASE_REPOSITORIES, "default", "shop")
    inventory = ["pointsman.dev/Release/default/web v1alpha1 0f3a 1b2c"]
    repository["status"] = {"observedGeneration": 1, "appliedCommit": SHA, "inventory": inventory}
    await admin.replace(RELEASE_REPOSITORIES, repository, "status")
    async with connected(plane, "may") as kube:
        found = await source_of(kube, OWNER, ORIGIN)
    assert (found.origin.url, found.origin.branch, found.origin.path) == ("https://git.qa/shop.git", "main", "apps")
    assert found.origin.secret is not None
    assert found.commit == SHA
    assert "apply gitops/install/sources" in await refusal(plane, "may-not")


async def test_argo_cd_with_the_shipped_rights_and_without(plane, admin):
    await a_release(admin, annotations=TRACKED)
    await define_kind(admin, APPLICATIONS)
    spec = {
        "source": {"repoURL": "https://git.qa/shop.git", "path": "apps", "targetRevision": "HEAD"},
        "destination": {"name": "in-cluster", "namespace": "default"},
    }
    await make(admin, APPLICATIONS, "web", spec=spec, status={"resources": RESOURCES, "sync": {"revision": SHA}})
    async with connected(plane, "may") as kube:
        found = await source_of(kube, OWNER, ORIGIN)
        with pytest.raises(NotFoundError):
            await kube.get(APPLICATIONS, "default", "another")
    assert (found.origin.url, found.origin.branch, found.commit) == ("https://git.qa/shop.git", "main", SHA)
    assert "apply gitops/install/sources" in await refusal(plane, "may-not")
