"""A Release as it stands in the files of one commit, and the name of the version that it asks for.

Read are plain YAML and, of kustomize, a namespace and `images`: what patches and generators make is not known here, so
a version that needs them is not found, and nothing is written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.api.configuration import references
from controller.api.fields import NO_KINDS, filled
from controller.api.names import GROUP
from controller.api.pod_template import POD_TEMPLATE
from controller.api.revision import first_revision_of, revision_of
from controller.git.documents import Document, UnreadableError, documents

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
VERSIONED = (("spec", "template"), ("spec", "service", "ports"))
"""What of a Release makes a version, apart from its ConfigMaps."""


@dataclass(frozen=True)
class Identity:
    """Of a Release."""

    cluster: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Manifest:
    """Where the Release stands, and the kustomization beside it that sets its images."""

    file: str
    document: Document
    images_file: str = ""
    images: Document | None = None
    problem: str = ""
    """Why its version is not known."""
    template: Mapping[str, Any] | None = None

    @property
    def image_names(self) -> frozenset[str]:
        """As the manifest has them, without tags: kustomize finds them by that."""
        template = self.document.value("spec", "template")
        return frozenset(_parts(one["image"])[0] for one in _containers(template)) if template else frozenset()


def is_manifest(path: str) -> bool:
    return path.endswith((".yaml", ".yml")) or posixpath.basename(path) in KUSTOMIZATIONS


def may_count(path: str, text: str, identity: Identity) -> bool:
    """Whether the file may hold the Release, or set its images; parsing takes time."""
    return ("Release" in text and identity.name in text) or posixpath.basename(path) in KUSTOMIZATIONS


def find(files: Mapping[str, str], identity: Identity) -> Manifest | None:
    """None: no file has it, or several have."""
    found = list(islice(_releases(files, identity), 2))
    if len(found) != 1:
        return None
    name, document = found[0]
    images_file, images = _kustomization(files, name)
    try:
        template = _rendered(document, images)
    except (UnreadableError, TypeError, KeyError, AttributeError, ValueError):
        return Manifest(name, document, images_file, images, problem=f"{name} cannot be read")
    return Manifest(name, document, images_file, images, template=template)


def unreadable(files: Mapping[str, str], identity: Identity) -> str:
    """Of a file that may hold the Release, if only it could be read; empty: there is none."""
    for name, text in files.items():
        if "Release" in text and identity.name in text:
            try:
                documents(text)
            except UnreadableError as error:
                return f"; {name} {error}"
    return ""


def revisions(manifest: Manifest, identity: Identity) -> frozenset[str]:
    """The names that its version may have; none where that cannot be said."""
    if manifest.template is None:
        return frozenset()
    where = (identity.cluster, identity.namespace, identity.name)
    try:
        ports = manifest.document.value("spec", "service", "ports") or []
        return frozenset({revision_of(*where, manifest.template, ports), first_revision_of(*where, manifest.template)})
    except (UnreadableError, TypeError, KeyError, AttributeError, ValueError):  # a number of 5,000 digits is no JSON
        return frozenset()


def has_configuration(manifest: Manifest) -> bool:
    """Whether its version depends on ConfigMaps, too."""
    if manifest.template is None or manifest.document.word("spec", "configRefs") == "None":
        return False
    return bool(references(manifest.template))


def _releases(files: Mapping[str, str], identity: Identity) -> Iterator[tuple[str, Document]]:
    for name, text in files.items():
        if "Release" not in text or identity.name not in text:
            continue
        try:
            found = documents(text)
        except UnreadableError:
            continue  # one bad file of fifty: the others count
        for document in found:
            if document.word("kind") != "Release" or not document.word("apiVersion").startswith(f"{GROUP}/"):
                continue
            if document.word("metadata", "name") != identity.name:
                continue
            if identity.namespace in (_namespaces(files, name, document) or {identity.namespace}):
                yield name, document


def _namespaces(files: Mapping[str, str], name: str, document: Document) -> set[str]:
    """In which of them a document may be; none: it does not say."""
    own = document.word("metadata", "namespace")
    if own:
        return {own}
    return {space for _, one in _upwards(files, name) if (space := one.word("namespace"))}


def _kustomization(files: Mapping[str, str], beside: str) -> tuple[str, Document | None]:
    """The nearest one upwards that sets images, as a base's overlay does."""
    return next((found for found in _upwards(files, beside) if found[1].at("images") is not None), ("", None))


def _upwards(files: Mapping[str, str], beside: str) -> Iterator[tuple[str, Document]]:
    """The kustomizations of a file's folder and those above it."""
    folder = posixpath.dirname(beside)
    while True:
        for name in KUSTOMIZATIONS:
            path = posixpath.join(folder, name)
            if path in files:
                try:
                    found = documents(files[path])
                except UnreadableError:
                    continue
                if len(found) == 1:
                    yield path, found[0]
        if not folder:
            return
        folder = posixpath.dirname(folder)


def _rendered(document: Document, images: Document | None) -> Mapping[str, Any] | None:
    template = document.value("spec", "template")
    if not isinstance(template, dict):
        return None
    set_images: Sequence[Mapping[str, Any]] = images.value("images") or () if images is not None else ()
    for container in _containers(template):
        for one in set_images:
            container["image"] = _with(container["image"], one)
    complete: dict[str, Any] = filled(POD_TEMPLATE.schema(NO_KINDS), template)
    return complete


def _containers(template: Any) -> Iterator[dict[str, Any]]:
    spec = template.get("spec") or {}
    for kind in ("initContainers", "containers"):
        yield from (one for one in spec.get(kind) or () if isinstance(one.get("image"), str))


def _parts(image: str) -> tuple[str, str]:
    """Name, and tag or digest with what separates it."""
    name, at, digest = image.partition("@")
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        return name[:colon], name[colon:] if not at else f"@{digest}"
    return name, f"@{digest}" if at else ""


def _with(image: str, wanted: Mapping[str, Any]) -> str:
    """As kustomize sets it."""
    name, version = _parts(image)
    if name != wanted.get("name"):
        return image
    name = str(wanted.get("newName") or name)
    if wanted.get("digest"):
        return f"{name}@{wanted['digest']}"
    return f"{name}:{wanted['newTag']}" if wanted.get("newTag") is not None else f"{name}{version}"
