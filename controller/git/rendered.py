"""A Release as it is rendered, with its ConfigMaps: by kustomize where the path has a kustomization, else as it stands.

A version depends on more files here: bases, patches, generators, and the ConfigMaps that the template names. So what
the bad commits changed is taken back in parts, as far as the rendered result needs it to be stable's revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.configuration import (
    LIVE,
    MOST_CONTENT,
    MOST_REFERENCES,
    Content,
    KeptConfiguration,
    content_of,
    digest_of,
    is_live,
    references,
    size_of,
)
from controller.api.fields import NO_KINDS, filled
from controller.api.names import GROUP
from controller.api.pod_template import POD_TEMPLATE
from controller.git.documents import Document, UnreadableError, documents
from controller.git.kustomize import CannotBuildError, Folder, build, gather, kustomization_in
from controller.git.manifests import Identity, is_manifest
from controller.git.order import NothingError
from controller.git.repository import MOST_FILES, Repository
from controller.git.threads import in_thread
from controller.git.units import MOST_UNITS, taken_back, units
from controller.git.version import Version

MOST_RENDERED = 150
"""Each takes a tenth of a second and a process."""
MOST_RENDERING_S = 120.0
"""In all: a folder that takes long would be begun anew for days."""
_MOST_DROPPED = 20
"""Changes of which it is found out whether they are needed."""
_ODD = (UnreadableError, TypeError, KeyError, AttributeError, ValueError)
"""What comes of manifests that are not shaped like one; a number of 5,000 digits is no JSON."""


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
        try:
            roots = (await self._folder(head)).roots
        except CannotBuildError as error:
            raise NothingError(f"{self.where} of {self.branch} cannot be rendered: {error}") from error
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

    async def version(self, commit: str) -> Version:
        """Raises NothingError, GitError."""
        try:
            found, problem = await in_thread(
                version_in, await self._documents((await self._folder(commit)).texts), self.identity
            )
        except CannotBuildError as error:
            raise NothingError(f"{commit[:12]} cannot be rendered: {error}") from error
        if found is None:
            raise NothingError(f"{commit[:12]}: {problem}")
        return found

    async def undone(self, good: str, bad: str, head: str, *, wanted: str) -> Mapping[str, tuple[str, str]]:
        try:
            before, brought, now = [await self._folder(commit) for commit in (good, bad, head)]
        except CannotBuildError as error:
            raise NothingError(f"{good[:10]} cannot be rendered: {error}") from error
        found = await in_thread(units, before.texts, brought.texts, now.texts)
        if len(found) > MOST_UNITS:
            raise NothingError(
                f"{bad[:10]} changed {len(found)} places that may count, maximum is {MOST_UNITS}; revert it by hand"
            )
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
        return await in_thread(versions, await self._documents(texts), self.identity)

    async def _documents(self, texts: Mapping[str, str]) -> Sequence[str]:
        """Raises CannotBuildError, NothingError."""
        if not kustomization_in(texts, self.path):
            return list(texts.values())
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
        return said.split("\n---\n")


def versions(texts: Sequence[str], identity: Identity) -> tuple[frozenset[str], str]:
    """The names that the Release's version may have, of these files or documents, and why there is none."""
    found, problem = version_in(texts, identity)
    try:
        return frozenset() if found is None else found.names(identity), problem
    except _ODD:
        return frozenset(), f"{identity} cannot be read"


def version_in(texts: Sequence[str], identity: Identity) -> tuple[Version | None, str]:
    """That of the Release, of these files or documents, and why there is none."""
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
        return None, f"it does not have {identity} once"
    try:
        return _version(releases[0], config_maps)
    except _ODD:
        return None, f"{identity} cannot be read"


def _version(release: Document, config_maps: Mapping[str, Document]) -> tuple[Version | None, str]:
    template: dict[str, Any] = filled(POD_TEMPLATE.schema(NO_KINDS), release.value("spec", "template"))
    ports = release.value("spec", "service", "ports") or []
    named = () if release.word("spec", "configRefs") == "None" else references(template)
    if not named:
        return Version(template, ports), ""
    if len(named) > MOST_REFERENCES:
        return None, f"it names {len(named)} ConfigMaps, maximum is {MOST_REFERENCES}"
    configuration, contents = dict[str, str](), dict[str, Content]()
    for one in named:
        if one.name in config_maps:
            raw = config_maps[one.name].value()
            if is_live(raw):
                configuration[one.name] = LIVE
                continue
            contents[one.name] = content_of(raw, one.keys)
            configuration[one.name] = digest_of(contents[one.name])
        elif one.needed:
            return None, f"ConfigMap {one.name}, on which the version depends, is not in git"
    if sum(map(size_of, contents.values())) > MOST_CONTENT:
        return None, f"its ConfigMaps have more than {MOST_CONTENT} bytes"
    return Version(template, ports, KeptConfiguration(configuration, contents)), ""
