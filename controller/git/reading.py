"""The commits of a branch as a Release sees them: which version each asks for, and which brought the bad one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from controller.git.manifests import Identity, Manifest, find, is_manifest, may_count, revisions, unreadable
from controller.git.repository import DEPTHS, MOST_FILES, File, Repository
from controller.git.threads import in_thread

MOST_COMMITS = 500
"""Of the path, in which the bad one and the last good one are looked for."""


class NothingError(Exception):
    """There is nothing to write; says why."""


@dataclass(frozen=True)
class Brought:
    """How the rejected version came: from `good` on, by `commits`, of which the last is `bad`."""

    good: str
    """The last commit that asked for stable; where none is found, the one before `bad`."""
    bad: str
    commits: tuple[str, ...]
    """Those that changed the version, oldest first."""


@dataclass
class Reader:
    repository: Repository
    identity: Identity
    branch: str
    path: str
    known: dict[tuple[tuple[str, str], ...], frozenset[str]] = field(default_factory=dict)
    """The revisions that are asked for, by the files that count: most commits change others. No manifest is kept: the
    nodes of one file may take 50 MiB."""

    @property
    def where(self) -> str:
        return self.path or "/"

    async def files(self, commit: str) -> tuple[Mapping[str, File], Mapping[str, str]]:
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

    async def manifest_now(self, head: str) -> Manifest:
        """The one that is edited. Raises NothingError, GitError."""
        counted = (await self._counted(head))[1]
        found = await in_thread(find, counted, self.identity)
        if found is None:
            why = await in_thread(unreadable, counted, self.identity)
            raise NothingError(f"no file under {self.where} of {self.branch} holds {self.identity}, or several do{why}")
        if found.problem:
            raise NothingError(found.problem)
        return found

    async def wanted(self, commit: str) -> frozenset[str]:
        """The names that the version in its manifests may have."""
        key, counted = await self._counted(commit)
        if key not in self.known:
            self.known[key] = await in_thread(revisions_in, counted, self.identity)
        return self.known[key]

    async def _counted(self, commit: str) -> tuple[tuple[tuple[str, str], ...], Mapping[str, str]]:
        files, texts = await self.files(commit)
        counted = {name: text for name, text in texts.items() if may_count(name, text, self.identity)}
        return tuple((name, files[name].blob) for name in counted), counted

    async def brought(self, head: str, rejected: str, stable: str) -> Brought:
        """Raises NothingError, GitError."""
        found = None
        for depth in DEPTHS:
            if depth != DEPTHS[0]:
                await self.repository.deepen(depth)
            commits = await self.repository.history(head, self.path, MOST_COMMITS)
            found = await self._bad_after_good(commits, rejected, stable)
            is_all = len(commits) >= MOST_COMMITS or not await self.repository.is_shallow()
            if is_all or (found is not None and stable in await self.wanted(found.good)):
                break
        if found is None:
            raise NothingError(f"no commit of the last {MOST_COMMITS} under {self.where} brought {rejected}")
        return found

    async def _bad_after_good(self, commits: Sequence[str], rejected: str, stable: str) -> Brought | None:
        """The bad commit is the oldest of the newest in a row that ask for the rejected version."""
        asking = None
        for index, commit in enumerate(commits):
            if rejected in await self.wanted(commit):
                asking = index
            elif asking is not None:
                break
        if asking is None:
            return None
        bad = commits[asking]
        parent = await self.repository.parent(bad)
        if not parent:
            return None
        if stable in await self.wanted(parent):
            return Brought(parent, bad, (bad,))
        older = commits[asking:]
        for index, commit in enumerate(older[1:], start=1):
            if stable in await self.wanted(commit):
                return Brought(commit, bad, await self._changing(older[: index + 1]))
        return Brought(parent, bad, (bad,))

    async def _changing(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of them, newest first with the good one at the end, that changed the version."""
        changing = [
            commit for commit, before in pairwise(commits) if await self.wanted(commit) != await self.wanted(before)
        ]
        return tuple(reversed(changing))


def revisions_in(files: Mapping[str, str], identity: Identity) -> frozenset[str]:
    found = find(files, identity)
    return frozenset() if found is None else revisions(found, identity)
