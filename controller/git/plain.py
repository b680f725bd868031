"""Plain manifests, and of kustomize what sets images: no program runs, and each edit stays within the Release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.git.documents import UnreadableError
from controller.git.editing import LayoutError
from controller.git.manifests import (
    VERSIONED,
    Identity,
    Manifest,
    find,
    has_configuration,
    is_manifest,
    may_count,
    revisions,
    unreadable,
)
from controller.git.order import NothingError, UnseenError
from controller.git.repository import MOST_FILES, File, Repository
from controller.git.threads import in_thread
from controller.git.undo import MovedOnError, undo
from controller.git.version import Version


@dataclass
class PlainView:
    repository: Repository
    identity: Identity
    branch: str
    path: str
    known: dict[tuple[tuple[str, str], ...], frozenset[str]] = field(default_factory=dict)
    """The versions that are asked for, by the files that count: most commits change others. No manifest is kept: the
    nodes of one file may take 50 MiB."""

    @property
    def where(self) -> str:
        return self.path or "/"

    async def check(self, head: str) -> None:
        counted = (await self._counted(head))[1]
        found = await in_thread(find, counted, self.identity)
        if found is None:
            why = await in_thread(unreadable, counted, self.identity)
            raise UnseenError(f"no file under {self.where} of {self.branch} holds {self.identity}, or several do{why}")
        if found.problem:
            raise UnseenError(found.problem)
        if await in_thread(has_configuration, found):
            raise UnseenError("the version has configuration from ConfigMaps", is_configured=True)

    async def paths(self, head: str) -> Sequence[str]:
        del head
        return [self.path] if self.path else []

    async def wanted(self, commit: str) -> frozenset[str]:
        key, counted = await self._counted(commit)
        if key not in self.known:
            self.known[key] = await in_thread(revisions_in, counted, self.identity)
        return self.known[key]

    async def undone(self, good: str, bad: str, head: str, *, wanted: str) -> Mapping[str, tuple[str, str]]:
        del wanted
        before, brought, now = await self.manifest(good), await self.manifest(bad), await self.manifest(head)
        if before is None or brought is None or now is None:
            raise NothingError(f"{bad[:10]} brought the Release; there is nothing to go back to")
        try:
            edited = await in_thread(_edited, before, brought, now)
        except MovedOnError as error:
            raise NothingError("somebody has changed it again since; nothing is touched") from error
        except LayoutError as error:
            raise NothingError(f"{now.file} cannot be edited in place ({error}); revert {bad[:10]} by hand") from error
        files = (await self._files(head))[0]
        return {name: (files[name].mode, text) for name, text in edited.items()}

    async def wanted_with(self, head: str, files: Mapping[str, tuple[str, str]]) -> frozenset[str]:
        texts = (await self._files(head))[1]
        changed = {name: text for name, (_, text) in files.items()}
        return await in_thread(revisions_in, {**texts, **changed}, self.identity)

    async def _files(self, commit: str) -> tuple[Mapping[str, File], Mapping[str, str]]:
        """Manifests, and the texts of those that can be read. Raises NothingError, GitError."""
        files = await self.repository.files(commit, self.path, is_manifest)
        if len(files) > MOST_FILES:
            raise NothingError(
                f"{len(files)} manifests under {self.where}, maximum is {MOST_FILES}; set gitOrigin.path"
            )
        texts = await self.repository.texts(file.blob for file in files.values())
        found = {name: text for name, file in files.items() if (text := texts[file.blob]) is not None}
        return files, found

    async def manifest(self, commit: str) -> Manifest | None:
        return await in_thread(find, (await self._counted(commit))[1], self.identity)

    async def version(self, commit: str) -> Version:
        """Without what its ConfigMaps hold. Raises NothingError, GitError."""
        found = await self.manifest(commit)
        if found is None or found.template is None:
            raise NothingError(f"{commit[:12]} does not hold {self.identity}")
        return Version(found.template, await in_thread(_ports, found, self.identity))

    async def _counted(self, commit: str) -> tuple[tuple[tuple[str, str], ...], Mapping[str, str]]:
        files, texts = await self._files(commit)
        counted = {name: text for name, text in texts.items() if may_count(name, text, self.identity)}
        return tuple((name, files[name].blob) for name in counted), counted


def revisions_in(files: Mapping[str, str], identity: Identity) -> frozenset[str]:
    found = find(files, identity)
    return frozenset() if found is None else revisions(found, identity)


def _ports(manifest: Manifest, identity: Identity) -> Sequence[Mapping[str, Any]]:
    """Raises NothingError."""
    try:
        return manifest.document.value("spec", "service", "ports") or []
    except (UnreadableError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise NothingError(f"the ports of {identity} in {manifest.file} cannot be read") from error


def _edited(before: Manifest, bad: Manifest, now: Manifest) -> dict[str, str]:
    """Files that change. Raises MovedOnError, LayoutError."""
    edited = {now.file: undo(before.document, bad.document, now.document, VERSIONED)}
    if before.images is not None and bad.images is not None and now.images is not None:
        text = undo(before.images, bad.images, now.images, [("images",)], only=now.image_names | bad.image_names)
        if now.images_file not in edited:
            edited[now.images_file] = text
    was = {now.file: now.document.text, now.images_file: now.images.text if now.images is not None else ""}
    return {name: text for name, text in edited.items() if text != was[name]}
