"""Where the manifest of a Release comes from, where its gitOrigin has no url: whoever applied it knows.

Labels are what anybody may write who may write the Release. So a source counts only where it says itself that it has
applied this Release: `pointsman sync` and Flux in their inventories, Argo CD in its list of resources. No Secret of
another namespace is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.api.git_origin import GitOrigin, GitSecret, parse_git_url
from controller.api.names import GROUP, REPOSITORY_LABEL
from controller.api.reading import SpecError
from controller.api.resources import RELEASE_REPOSITORIES, RELEASES, Resource
from controller.api.text import one_line
from controller.effects.carrier import Cluster, Owner
from controller.git.remote import GitError
from controller.kube.client import InvalidError, NotFoundError

KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
GIT_REPOSITORIES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
APPLICATIONS = Resource("argoproj.io", "v1alpha1", "applications", "Application")
ARGO_NAMESPACE = "argocd"
"""Of an Application that is named without one."""
_FLUX = "kustomize.toolkit.fluxcd.io"
_TRACKING, _INSTANCE = "argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance"
_HERE = ("https://kubernetes.default.svc", "in-cluster")
_COMMIT = re.compile(r"(?:^|[:/])([0-9a-f]{40}|[0-9a-f]{64})$")
_BRANCH = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]*(/[A-Za-z0-9][-._A-Za-z0-9]*)*")
_PATH = re.compile(r"[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*")
_WAY_OUT = "set gitOrigin.url"
_INVENTORY_PARTS, _DIGEST, _NO_DIGEST = 4, 2, "-"
"""Of a line of ReleaseRepository's status.inventory."""


@dataclass(frozen=True)
class Source:
    origin: GitOrigin
    """With its url."""
    commit: str = ""
    """That was applied last, where the source says so."""


async def source_of(kube: Cluster, owner: Owner, origin: GitOrigin) -> Source:
    """Raises GitError, KubeError."""
    if origin.url:
        return Source(origin)
    release = await kube.find(RELEASES, owner.namespace, owner.name)
    metadata = {} if release is None else release["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if REPOSITORY_LABEL in labels:
        return await _of_sync(kube, owner, origin, labels[REPOSITORY_LABEL])
    if f"{_FLUX}/name" in labels:
        name, namespace = labels[f"{_FLUX}/name"], labels.get(f"{_FLUX}/namespace") or owner.namespace
        return await _of_flux(kube, owner, origin, namespace, name)
    application = annotations.get(_TRACKING, "").partition(":")[0] or labels.get(_INSTANCE, "")
    if application:
        return await _of_argo(kube, owner, origin, application)
    raise GitError(
        f"neither `pointsman sync` nor Flux nor Argo CD has labelled the Release, and gitOrigin has no url; {_WAY_OUT}"
    )


async def _of_sync(kube: Cluster, owner: Owner, origin: GitOrigin, label: str) -> Source:
    namespace, _, name = label.partition(".")
    repository = await _read(kube, RELEASE_REPOSITORIES, namespace, name or namespace)
    spec, status = _mapping(repository, "spec"), _mapping(repository, "status")
    applied = f"{GROUP}/{RELEASES.kind}/{owner.namespace}/{owner.name}"
    if not any(_is_applied(line, applied) for line in status.get("inventory") or ()):
        raise _not_applied(RELEASE_REPOSITORIES, namespace, name)
    secret = _text(_mapping(spec, "secretRef"), "name") if namespace == owner.namespace else ""
    branch = _text(spec, "branch") or origin.branch
    found = _completed(origin, _text(spec, "url"), branch, _text(spec, "path"), secret=secret)
    return Source(found, _commit(status.get("appliedCommit")))


def _is_applied(line: object, name: str) -> bool:
    """A line without a digest is of an object that was to be applied, and may belong to somebody else."""
    parts = line.split(" ") if isinstance(line, str) else []
    return len(parts) == _INVENTORY_PARTS and parts[0] == name and parts[_DIGEST] != _NO_DIGEST


async def _of_flux(kube: Cluster, owner: Owner, origin: GitOrigin, namespace: str, name: str) -> Source:
    kustomization = await _read(kube, KUSTOMIZATIONS, namespace, name)
    spec, status = _mapping(kustomization, "spec"), _mapping(kustomization, "status")
    applied = f"{owner.namespace}_{owner.name}_{GROUP}_{RELEASES.kind}"
    entries = _mapping(status, "inventory").get("entries") or ()
    if not any(_text(one, "id") == applied for one in entries):
        raise _not_applied(KUSTOMIZATIONS, namespace, name)
    ref = _mapping(spec, "sourceRef")
    if ref.get("kind") != GIT_REPOSITORIES.kind:
        raise GitError(f"Kustomization {namespace}/{name} has no GitRepository as its source; {_WAY_OUT}")
    where = _text(ref, "namespace") or namespace
    repository = _mapping(await _read(kube, GIT_REPOSITORIES, where, _text(ref, "name")), "spec")
    wanted = _mapping(repository, "ref")
    if any(_text(wanted, key) for key in ("tag", "semver", "commit", "name")):
        raise GitError(f"GitRepository {where}/{_text(ref, 'name')} follows no branch; {_WAY_OUT}")
    secret = _text(_mapping(repository, "secretRef"), "name") if where == owner.namespace else ""
    found = _completed(
        origin, _text(repository, "url"), _text(wanted, "branch") or "master", _text(spec, "path"), secret=secret
    )
    return Source(found, _commit(status.get("lastAppliedRevision")))


async def _of_argo(kube: Cluster, owner: Owner, origin: GitOrigin, application: str) -> Source:
    namespace, _, name = application.rpartition("_")  # no name of Kubernetes has that character
    namespace = namespace or ARGO_NAMESPACE
    found = await _read(kube, APPLICATIONS, namespace, name)
    spec, status = _mapping(found, "spec"), _mapping(found, "status")
    applied = (GROUP, RELEASES.kind, owner.namespace, owner.name)
    if not any(
        tuple(_text(one, key) for key in ("group", "kind", "namespace", "name")) == applied
        for one in status.get("resources") or ()
    ):
        raise _not_applied(APPLICATIONS, namespace, name)
    destination = _mapping(spec, "destination")
    if (_text(destination, "server") or _text(destination, "name")) not in _HERE:
        raise GitError(f"Application {namespace}/{name} is for another cluster; {_WAY_OUT}")
    source = _mapping(spec, "source")
    if not _text(source, "repoURL") or _text(source, "chart") or spec.get("sources"):
        raise GitError(f"Application {namespace}/{name} has not one git repository as its source; {_WAY_OUT}")
    branch = _text(source, "targetRevision")
    revision = _commit(_mapping(status, "sync").get("revision"))
    branch = origin.branch if branch in ("", "HEAD") else branch.removeprefix("refs/heads/")
    return Source(_completed(origin, _text(source, "repoURL"), branch, _text(source, "path"), secret=""), revision)


async def _read(kube: Cluster, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
    """Raises GitError, KubeError."""
    what = f"{resource.kind} {one_line(namespace, 63)}/{one_line(name, 253)}"
    try:
        return await kube.get(resource, namespace, name)
    except InvalidError as error:
        way = f"apply gitops/install/sources, or {_WAY_OUT}"
        raise GitError(f"{what} may not be read, from which gitOrigin would get its url; {way}") from error
    except NotFoundError as error:
        raise _not_applied(resource, namespace, name) from error


def _not_applied(resource: Resource, namespace: str, name: str) -> GitError:
    """The same words for one that does not exist: nobody has to learn what other namespaces hold."""
    what = f"{resource.kind} {one_line(namespace, 63)}/{one_line(name, 253)}"
    return GitError(f"{what} does not exist, or says nothing of having applied this Release; {_WAY_OUT}")


def _completed(origin: GitOrigin, url: str, branch: str, path: str, *, secret: str) -> GitOrigin:
    """Raises GitError."""
    try:
        parse_git_url(url, "url")
    except SpecError as error:
        raise GitError(f"the url of the source {error.args[0]}; {_WAY_OUT}") from error
    folder = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not _BRANCH.fullmatch(branch) or (folder and not _PATH.fullmatch(folder)):
        raise GitError(f"the branch or the path of the source cannot be used; {_WAY_OUT}")
    secret_ref = origin.secret or (GitSecret(secret) if secret else None)
    return replace(origin, url=url, branch=branch, path=folder, secret=secret_ref)


def _commit(revision: object) -> str:
    """Flux says `main@sha1:9f31…`, Argo CD `9f31…`; empty: neither."""
    found = _COMMIT.search(revision) if isinstance(revision, str) else None
    return found[1] if found else ""


def _mapping(owner: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = owner.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(owner: Any, key: str) -> str:
    found = owner.get(key) if isinstance(owner, Mapping) else None
    return found if isinstance(found, str) else ""
