"""A Release that somebody has applied from git: where it comes from, and what its labels alone do not open."""

import copy

import pytest

from controller.api.git_origin import GitAuthor, GitOrigin, GitSecret, Write
from controller.api.resources import RELEASE_REPOSITORIES, RELEASES
from controller.effects.git_source import APPLICATIONS, GIT_REPOSITORIES, KUSTOMIZATIONS, source_of
from controller.git.remote import GitError
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.objects import Key
from tests.unit.effects.calling import NoPods

OWNER = Key("shop", "web")
SHA = "9f31c07a52" * 4
ORIGIN = GitOrigin("", "main", "", None, Write.PUSH, None, GitAuthor("P", "p@shop.qa"))
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
KUSTOMIZATION = {
    "spec": {"path": "./apps/web", "sourceRef": {"kind": "GitRepository", "name": "shop"}},
    "status": {
        "lastAppliedRevision": f"release/1@sha1:{SHA}",
        "inventory": {"entries": [{"id": "shop_web_pointsman.dev_Release", "v": "v1alpha1"}]},
    },
}
REPOSITORY = {
    "spec": {
        "url": "https://git.qa/team/shop.git",
        "ref": {"branch": "release/1"},
        "secretRef": {"name": "flux-git"},
    }
}
APPLICATION = {
    "spec": {
        "source": {"repoURL": "https://git.qa/team/shop.git", "path": "apps/web", "targetRevision": "release/1"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
    },
    "status": {
        "sync": {"revision": SHA},
        "resources": [{"group": "pointsman.dev", "kind": "Release", "namespace": "shop", "name": "web"}],
    },
}


class Cluster(NoPods):
    def __init__(self, *, labels=None, annotations=None, objects=None):
        self.metadata = {"labels": labels or {}, "annotations": annotations or {}}
        self.objects, self.error, self.read = copy.deepcopy(objects or {}), None, []

    async def find(self, resource, namespace, name):
        assert (resource, namespace, name) == (RELEASES, "shop", "web")
        return {"metadata": self.metadata}

    async def get(self, resource, namespace, name):
        self.read.append((resource.kind, namespace, name))
        if self.error is not None:
            raise self.error
        found = self.objects.get((resource, namespace, name))
        if found is None:
            raise NotFoundError(404, "NotFound", "no")
        return found


def flux(namespace="flux-system"):
    objects = {
        (KUSTOMIZATIONS, namespace, "apps"): KUSTOMIZATION,
        (GIT_REPOSITORIES, namespace, "shop"): REPOSITORY,
    }
    return Cluster(labels={**FLUX, "kustomize.toolkit.fluxcd.io/namespace": namespace}, objects=objects)


def argo(**metadata):
    metadata = metadata or {"annotations": {"argocd.argoproj.io/tracking-id": "web:pointsman.dev/Release:shop/web"}}
    return Cluster(**metadata, objects={(APPLICATIONS, "argocd", "web"): APPLICATION})


SYNCED = {
    "spec": {
        "url": "https://git.qa/team/shop.git",
        "branch": "release/1",
        "path": "apps/web",
        "secretRef": {"name": "sync-git"},
        "serviceAccountName": "deployer",
    },
    "status": {
        "appliedCommit": SHA,
        "inventory": ["/ConfigMap/shop/web v1 a b", "pointsman.dev/Release/shop/web v1alpha1 0f3a 1b2c"],
    },
}


def sync(namespace="shop"):
    objects = {(RELEASE_REPOSITORIES, namespace, "apps.web"): SYNCED}
    return Cluster(labels={"pointsman.dev/repository": f"{namespace}.apps.web"}, objects=objects)


def where(source):
    return source.origin.url, source.origin.branch, source.origin.path, source.commit


WANTED = ("https://git.qa/team/shop.git", "release/1", "apps/web", SHA)


async def test_flux_says_where_a_release_comes_from():
    assert where(await source_of(flux(), OWNER, ORIGIN)) == WANTED


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"argocd.argoproj.io/tracking-id": "web:pointsman.dev/Release:shop/web"}},
        {"annotations": {"argocd.argoproj.io/tracking-id": "argocd_web:pointsman.dev/Release:shop/web"}},
        {"labels": {"app.kubernetes.io/instance": "web"}},
    ],
)
async def test_argo_cd_says_where_a_release_comes_from(metadata):
    assert where(await source_of(argo(**metadata), OWNER, ORIGIN)) == WANTED


async def test_pointsman_sync_says_where_a_release_comes_from():
    found = await source_of(sync(), OWNER, ORIGIN)
    assert where(found) == WANTED
    assert found.origin.secret == GitSecret("sync-git")
    assert (await source_of(sync("platform"), OWNER, ORIGIN)).origin.secret is None, "it lies in another namespace"


async def test_what_the_spec_gives_in_whole_is_not_looked_up():
    cluster = flux()
    given = GitOrigin("https://git.qa/other.git", "main", "x", None, Write.PUSH, None, ORIGIN.author)
    assert (await source_of(cluster, OWNER, given)).origin == given
    assert cluster.read == []


async def test_the_secret_of_another_namespace_is_not_used():
    assert (await source_of(flux(), OWNER, ORIGIN)).origin.secret is None
    assert (await source_of(flux("shop"), OWNER, ORIGIN)).origin.secret == GitSecret("flux-git")


async def test_writing_stays_what_the_spec_says():
    assert (await source_of(flux(), OWNER, ORIGIN)).origin.write is Write.PUSH


@pytest.mark.parametrize("entries", [[], [{"id": "other_web_pointsman.dev_Release"}], [{"id": 7}, None]])
async def test_labels_that_name_a_kustomization_of_somebody_else_open_nothing(entries):
    cluster = flux()
    cluster.objects[KUSTOMIZATIONS, "flux-system", "apps"]["status"]["inventory"]["entries"] = entries
    with pytest.raises(GitError, match="says nothing of having applied this Release") as other:
        await source_of(cluster, OWNER, ORIGIN)
    cluster.objects.clear()
    with pytest.raises(GitError) as missing:
        await source_of(cluster, OWNER, ORIGIN)
    assert str(missing.value) == str(other.value), "nobody learns which there are"
    assert not any(kind == "GitRepository" for kind, _, _ in cluster.read)


@pytest.mark.parametrize(
    "inventory",
    [
        [],
        ["pointsman.dev/Release/other/web v1alpha1 0f3a 1b2c"],
        ["pointsman.dev/Release/shop/web v1alpha1 - -"],  # it is to be applied, and was not
        ["pointsman.dev/Release/shop/web v1alpha1", 7, None],
    ],
)
async def test_a_label_that_names_a_repository_of_somebody_else_opens_nothing(inventory):
    cluster = sync("other")
    cluster.objects[RELEASE_REPOSITORIES, "other", "apps.web"]["status"]["inventory"] = inventory
    with pytest.raises(GitError, match="says nothing of having applied this Release") as other:
        await source_of(cluster, OWNER, ORIGIN)
    cluster.objects.clear()
    with pytest.raises(GitError) as missing:
        await source_of(cluster, OWNER, ORIGIN)
    assert str(missing.value) == str(other.value), "nobody learns which there are"


@pytest.mark.parametrize("label", ["", "shop", ".", "a.b.c"])
async def test_a_label_that_names_nothing_is_a_sentence(label):
    cluster = sync()
    cluster.metadata["labels"] = {"pointsman.dev/repository": label}
    with pytest.raises(GitError, match=r"set gitOrigin\.url"):
        await source_of(cluster, OWNER, ORIGIN)


async def test_annotations_that_name_an_application_of_somebody_else_open_nothing():
    cluster = argo()
    cluster.objects[APPLICATIONS, "argocd", "web"]["status"]["resources"][0]["namespace"] = "other"
    with pytest.raises(GitError, match="says nothing of having applied this Release"):
        await source_of(cluster, OWNER, ORIGIN)


@pytest.mark.parametrize("make", [sync, flux, argo])
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidError(403, "Forbidden", "no"), "apply gitops/install/sources, or set gitOrigin.url"),
        (NotFoundError(404, "NotFound", "no such kind"), "does not exist"),
    ],
)
async def test_missing_rights_and_kinds_are_a_sentence(make, error, sentence):
    cluster = make()
    cluster.error = error
    with pytest.raises(GitError, match=sentence):
        await source_of(cluster, OWNER, ORIGIN)


async def test_a_release_that_nobody_has_labelled_says_so():
    with pytest.raises(GitError, match="neither `pointsman sync` nor Flux nor Argo CD"):
        await source_of(Cluster(), OWNER, ORIGIN)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ref": {"tag": "v1"}}, "follows no branch"),
        ({"ref": {"semver": "1.x"}}, "follows no branch"),
        ({"url": "http://git.qa/x.git"}, "is not an https or ssh url"),
        ({"url": "https://u:secret@git.qa/x.git"}, "is not an https or ssh url"),
        ({"ref": {"branch": "--upload-pack=x"}}, "cannot be used"),
        ({"url": 7}, "is not an https or ssh url"),
    ],
)
async def test_a_source_that_cannot_be_written_to_is_a_sentence(change, sentence):
    cluster = flux()
    cluster.objects[GIT_REPOSITORIES, "flux-system", "shop"]["spec"].update(change)
    with pytest.raises(GitError, match=sentence) as error:
        await source_of(cluster, OWNER, ORIGIN)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("path", ["../../etc", "apps/../..", "apps/$(id)", "-x"])
async def test_a_path_that_leads_elsewhere_is_refused(path):
    cluster = flux()
    cluster.objects[KUSTOMIZATIONS, "flux-system", "apps"]["spec"]["path"] = path
    with pytest.raises(GitError, match="cannot be used"):
        await source_of(cluster, OWNER, ORIGIN)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("destination", {"server": "https://10.0.0.1"}, "another cluster"),
        ("source", {"repoURL": "https://charts.qa", "chart": "web"}, "not one git repository"),
        ("sources", [{"repoURL": "https://git.qa/a.git"}], "not one git repository"),
    ],
)
async def test_an_application_that_is_no_single_repository_here_is_a_sentence(key, value, sentence):
    cluster = argo()
    cluster.objects[APPLICATIONS, "argocd", "web"]["spec"][key] = value
    with pytest.raises(GitError, match=sentence):
        await source_of(cluster, OWNER, ORIGIN)


@pytest.mark.parametrize("foreign", [None, 7, "text", [], {"spec": [], "status": "no"}])
async def test_objects_of_any_shape_end_in_a_sentence(foreign):
    for cluster, kind in ((flux(), KUSTOMIZATIONS), (argo(), APPLICATIONS)):
        for resource, namespace, name in list(cluster.objects):
            if resource == kind:
                cluster.objects[resource, namespace, name] = foreign if isinstance(foreign, dict) else {"spec": foreign}
        with pytest.raises(GitError):
            await source_of(cluster, OWNER, ORIGIN)
