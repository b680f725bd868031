"""A Release as it is rendered, with its ConfigMaps: by kustomize where the path has a kustomization, else as it stands.

A version depends on more files here: bases, patches, generators, and the ConfigMaps that the template names. So what
the bad commits changed is taken back in parts, as far as the rendered result needs it to be stable's revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.configuration import LIVE, content_of, digest_of, is_live, references
from controller.api.fields import NO_KINDS, filled
from controller.api.names import GROUP
from controller.api.pod_template import POD_TEMPLATE
from controller.api.revision import configured_revision_of, first_revision_of, revision_of
from controller.git.documents import Document, UnreadableError, documents
from controller.git.kustomize import CannotBuildError, Folder, build, gather, kustomization_in
from controller.git.manifests import Identity, is_manifest
from controller.git.order import NothingError
from controller.git.repository import MOST_FILES, Repository
from controller.git.threads import in_thread
from controller.git.units import taken_back, units

MOST_RENDERED = 150
"""Each takes a tenth of a second and a process."""
MOST_RENDERING_S = 120.0
"""In all: a folder that takes long would be begun anew for days."""
_MOST_DROPPED = 20
"""Changes of which it is found out whether they are needed."""


@dataclass
class RenderedView:
    repository: Repository
    identity: Identity
    branch: str
    path: str
    known: dict[tuple[tuple[str, str], ...], frozenset[str]] = field(default_factory=dict)
    rendered: int = 0
    spent_s: float = 0.0

    @property
    def where(self) -> str:
        return self.path or "/"

    async def is_kustomized(self, head: str) -> bool:
        return bool(kustomization_in(await self.repository.files(head, self.path, is_manifest), self.path))

    async def check(self, head: str) -> None:
        try:
            folder = await self._folder(head)
            problem = (await self._read(folder.texts))[1]
        except CannotBuildError as error:
            raise NothingError(f"{self.where} of {self.branch} cannot be rendered: {error}") from error
        if problem:
            raise NothingError(f"{self.where} of {self.branch}: {problem}")

    async def paths(self, head: str) -> Sequence[str]:
        roots = (await self._folder(head)).roots
        return [] if "" in roots else roots

    async def wanted(self, commit: str) -> frozenset[str]:
        try:
            folder = await self._folder(commit)
            key = tuple((name, file.blob) for name, file in sorted(folder.files.items()))
            if key not in self.known:
                self.known[key] = (await self._read(folder.texts))[0]
        except CannotBuildError:
            return frozenset()
        return self.known[key]

    async def undone(self, good: str, bad: str, head: str, *, wanted: str) -> Mapping[str, tuple[str, str]]:
        try:
            before, brought, now = [await self._folder(commit) for commit in (good, bad, head)]
        except CannotBuildError as error:
            raise NothingError(f"{good[:10]} cannot be rendered: {error}") from error
        found = await in_thread(units, before.texts, brought.texts, now.texts)
        changed, done, problems = await in_thread(taken_back, now.texts, found)
        if not changed and problems:
            raise NothingError(f"{problems[0]}; nothing is touched")
        if wanted in await self._asks_for(now, changed):
            # twice: a file can be left out once the list that names it is
            for unit in [*done[:_MOST_DROPPED], *done[:_MOST_DROPPED]]:
                fewer = [one for one in done if one is not unit]
                if len(fewer) == len(done):
                    continue
                less, _, _ = await in_thread(taken_back, now.texts, fewer)
                if wanted in await self._asks_for(now, less):
                    changed, done = less, fewer
        elif problems:
            raise NothingError(f"{problems[0]}; nothing is touched")
        modes = {**before.files, **now.files}
        return {name: (modes[name].mode, text) for name, text in changed.items()}

    async def wanted_with(self, head: str, files: Mapping[str, tuple[str, str]]) -> frozenset[str]:
        return await self._asks_for(await self._folder(head), {name: text for name, (_, text) in files.items()})

    async def _asks_for(self, folder: Folder, changed: Mapping[str, str]) -> frozenset[str]:
        try:
            return (await self._read({**folder.texts, **changed}))[0]
        except CannotBuildError:
            return frozenset()

    async def _folder(self, commit: str) -> Folder:
        """Raises CannotBuildError, NothingError, GitError."""
        listed = await self.repository.files(commit, self.path, is_manifest)
        if kustomization_in(listed, self.path):
            return await gather(self.repository, commit, self.path)
        if len(listed) > MOST_FILES:
            raise NothingError(
                f"{len(listed)} manifests under {self.where}, maximum is {MOST_FILES}; set gitOrigin.path"
            )
        texts = await self.repository.texts(file.blob for file in listed.values())
        counted = {
            name: text
            for name, file in listed.items()
            if (text := texts[file.blob]) is not None and ("ConfigMap" in text or self.identity.name in text)
        }
        return Folder({name: listed[name] for name in counted}, counted, (self.path,))

    async def _read(self, texts: Mapping[str, str]) -> tuple[frozenset[str], str]:
        """The names that the version may have, and why there is none. Raises CannotBuildError, NothingError."""
        if not kustomization_in(texts, self.path):
            return await in_thread(versions, list(texts.values()), self.identity)
        self.rendered += 1
        if self.rendered > MOST_RENDERED:
            raise NothingError(f"more than {MOST_RENDERED} kustomizations would have to be rendered; revert by hand")
        if self.spent_s > MOST_RENDERING_S:
            raise NothingError(f"kustomize took longer than {MOST_RENDERING_S:g} s in all; revert by hand")
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            said = await build(texts, self.path)
        finally:
            self.spent_s += clock() - began
        return await in_thread(versions, said.split("\n---\n"), self.identity)


def versions(texts: Sequence[str], identity: Identity) -> tuple[frozenset[str], str]:
    """The names that the Release's version may have, of these files or documents, and why there is none."""
    releases, config_maps = [], {}
    for text in texts:
        if "Release" not in text and "ConfigMap" not in text:
            continue
        try:
            found = documents(text)
        except UnreadableError:
            continue
        for document in found:
            if document.word("metadata", "namespace") not in ("", identity.namespace):
                continue
            if document.word("kind") == "ConfigMap":
                config_maps[document.word("metadata", "name")] = document
            elif document.word("kind") == "Release" and document.word("metadata", "name") == identity.name:
                releases.append(document)
    releases = [one for one in releases if one.word("apiVersion").startswith(f"{GROUP}/")]
    if len(releases) != 1:
        return frozenset(), f"it does not have {identity} once"
    try:
        return _names(releases[0], config_maps, identity)
    except (UnreadableError, TypeError, KeyError, AttributeError, ValueError):
        return frozenset(), f"{identity} cannot be read"


def _names(release: Document, config_maps: Mapping[str, Document], identity: Identity) -> tuple[frozenset[str], str]:
    where = (identity.cluster, identity.namespace, identity.name)
    template: dict[str, Any] = filled(POD_TEMPLATE.schema(NO_KINDS), release.value("spec", "template"))
    ports = release.value("spec", "service", "ports") or []
    named = () if release.word("spec", "configRefs") == "None" else references(template)
    if not named:
        return frozenset({revision_of(*where, template, ports), first_revision_of(*where, template)}), ""
    configuration = {}
    for one in named:
        if one.name in config_maps:
            raw = config_maps[one.name].value()
            configuration[one.name] = LIVE if is_live(raw) else digest_of(content_of(raw, one.keys))
        elif one.needed:
            return frozenset(), f"ConfigMap {one.name}, on which the version depends, is not in git"
    return frozenset({configured_revision_of(*where, template, ports, configuration)}), ""
