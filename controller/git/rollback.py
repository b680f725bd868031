"""After a rollback: the bad commit is undone by one commit of ours, or a pull request proposes that.

1. The commit that brought the rejected revision is looked for in the history of the path.
2. What it did to the Release is taken out, and nothing else (`undo.py`); the result has to be stable's revision.
3. One commit says why. It is pushed to the branch; where another was faster, all of it begins anew on what is there.
4. Where the branch does not take it, or must not be written, it goes to a branch of ours, for a pull request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.api.git_origin import Write
from controller.api.text import one_line
from controller.backoff import delay_s
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
)
from controller.git.remote import GitError
from controller.git.repository import DEPTHS, MOST_FILES, Author, File, Repository
from controller.git.undo import MovedOnError, undo

TRIES = 5
MOST_COMMITS = 500
"""Of the path, in which the bad one is looked for."""
_MOST_MESSAGE = 1000


@dataclass(frozen=True)
class Rollback:
    """What happened in the cluster, and where its manifests are."""

    identity: Identity
    rejected: str
    stable: str
    attempt: int
    at: float
    message: str
    evidence: str
    branch: str
    path: str
    write: Write
    author: Author

    @property
    def own_branch(self) -> str:
        return f"pointsman/rollback-{self.identity.name}-{self.rejected}"

    @property
    def subject(self) -> str:
        return f"Roll back {self.identity} to {self.stable}"

    @property
    def trailers(self) -> dict[str, str]:
        """Which it is found by: the same rollback never commits twice."""
        return {
            "Pointsman-Rejected-Revision": self.rejected,
            "Pointsman-Release": f"{self.identity.cluster}/{self.identity}",
            "Pointsman-Attempt": str(self.attempt),
        }


@dataclass(frozen=True)
class Written:
    """What came of it."""

    commit: str = ""
    """On the branch."""
    proposed: str = ""
    """A branch of ours that holds the commit."""
    pull_request: str = ""
    note: str = ""
    """Why nothing was written, or what is left to be done."""


@dataclass(frozen=True)
class Change:
    """Of files, by name: mode and text."""

    files: Mapping[str, tuple[str, str]]
    bad: str
    restored: str
    is_stable: bool


Propose = Callable[[str, str, str], Awaitable[str]]
"""Opens a pull request: branch, title, text; its url. Raises GitError."""


class _NothingError(Exception):
    """There is nothing to write; says why."""


async def roll_back(repository: Repository, rollback: Rollback, propose: Propose) -> Written:
    """Raises GitError."""
    refused = 0
    for attempt in range(TRIES):
        head = await repository.fetch(rollback.branch, DEPTHS[0])
        known = await repository.with_trailers(head, rollback.trailers)
        if known:
            return Written(commit=known)
        try:
            change = await _change(repository, rollback, head)
        except _NothingError as error:
            return Written(note=str(error))
        text = _text(rollback, change)
        commit = await repository.commit(head, change.files, text, rollback.author, rollback.at)
        if rollback.write is Write.PUSH and change.is_stable:
            if await repository.push(commit, rollback.branch):
                return Written(commit=commit)
            # another was faster, or the branch is protected; once it may have been the network
            refused += await repository.remote_commit(rollback.branch) == head
            if refused <= 1:
                await asyncio.sleep(delay_s(attempt, first_s=0.2, longest_s=5.0))
                continue
        return await _proposed(repository, rollback, commit, text, propose)
    raise GitError(f"{rollback.branch} took none of {TRIES} pushes: {repository.refusal}")


async def _proposed(repository: Repository, rollback: Rollback, commit: str, text: str, propose: Propose) -> Written:
    branch = rollback.own_branch
    refused = repository.refusal
    there = await repository.remote_commit(branch)
    known = there == commit or (there and await _holds(repository, rollback, branch))
    if not known and not await repository.push(commit, branch, force=True):
        raise GitError(repository.refusal or refused)
    title, _, body = text.partition("\n\n")
    url = await propose(branch, title, body)
    note = "" if url else f"open a pull request from {branch} to {rollback.branch}"
    return Written(proposed=branch, pull_request=url, note=note)


async def _holds(repository: Repository, rollback: Rollback, branch: str) -> bool:
    """Whether the branch of ours has this rollback already, and since then perhaps commits of people."""
    return bool(await repository.with_trailers(await repository.fetch(branch, DEPTHS[0]), rollback.trailers))


async def _change(repository: Repository, rollback: Rollback, head: str) -> Change:
    """Raises _NothingError, GitError."""
    reader = _Reader(repository, rollback)
    now = await reader.manifest(head)
    if now is None:
        raise _NothingError(
            f"no file under {rollback.path or '/'} of {rollback.branch} holds {rollback.identity}, or several do"
        )
    if now.problem:
        raise _NothingError(now.problem)
    if await asyncio.to_thread(has_configuration, now):
        raise _NothingError(
            "the version has configuration from ConfigMaps, which Pointsman does not take back in git yet; "
            "revert the commit by hand"
        )
    if rollback.stable in await asyncio.to_thread(revisions, now, rollback.identity):
        raise _NothingError(f"{rollback.branch} asks for {rollback.stable} already")
    bad, restored = await reader.bad_commit(head)
    brought, before = await reader.manifest(bad), await reader.manifest(restored)
    if brought is None or before is None:
        raise _NothingError(f"{bad[:10]} brought the Release; there is nothing to go back to")
    try:
        edited = await asyncio.to_thread(_edited, before, brought, now)
    except MovedOnError as error:
        raise _NothingError("somebody has changed it again since; nothing is touched") from error
    except LayoutError as error:
        raise _NothingError(f"{now.file} cannot be edited in place ({error}); revert {bad[:10]} by hand") from error
    if not edited:
        raise _NothingError("nothing is left of what the commit changed")
    files, texts = await reader.files(head)
    modes = {name: (files[name].mode, text) for name, text in edited.items()}
    is_stable = rollback.stable in await asyncio.to_thread(_wanted_by, {**texts, **edited}, rollback.identity)
    return Change(modes, bad, restored, is_stable)


def _wanted_by(files: Mapping[str, str], identity: Identity) -> frozenset[str]:
    found = find(files, identity)
    return frozenset() if found is None else revisions(found, identity)


def _edited(before: Manifest, bad: Manifest, now: Manifest) -> dict[str, str]:
    """Files that change. Raises MovedOnError, LayoutError."""
    edited = {now.file: undo(before.document, bad.document, now.document, VERSIONED)}
    if before.images is not None and bad.images is not None and now.images is not None:
        text = undo(before.images, bad.images, now.images, [("images",)], only=now.image_names | bad.image_names)
        if now.images_file not in edited:
            edited[now.images_file] = text
    was = {now.file: now.document.text, now.images_file: now.images.text if now.images is not None else ""}
    return {name: text for name, text in edited.items() if text != was[name]}


@dataclass
class _Reader:
    repository: Repository
    rollback: Rollback
    known: dict[tuple[tuple[str, str], ...], frozenset[str]] = field(default_factory=dict)
    """The revisions that are asked for, by the files that count: most commits change others. No manifest is kept: the
    nodes of one file may take 50 MiB."""

    async def files(self, commit: str) -> tuple[Mapping[str, File], Mapping[str, str]]:
        """Manifests, and the texts of those that can be read. Raises _NothingError, GitError."""
        files = await self.repository.files(commit, self.rollback.path, is_manifest)
        if len(files) > MOST_FILES:
            where = self.rollback.path or "/"
            raise _NothingError(f"{len(files)} manifests under {where}, maximum is {MOST_FILES}; set gitOrigin.path")
        texts = await self.repository.texts(file.blob for file in files.values())
        found = {name: text for name, file in files.items() if (text := texts[file.blob]) is not None}
        return files, found

    async def manifest(self, commit: str) -> Manifest | None:
        return await asyncio.to_thread(find, (await self._counted(commit))[1], self.rollback.identity)

    async def _wanted_by(self, commit: str) -> frozenset[str]:
        key, counted = await self._counted(commit)
        if key not in self.known:
            self.known[key] = await asyncio.to_thread(_wanted_by, counted, self.rollback.identity)
        return self.known[key]

    async def _counted(self, commit: str) -> tuple[tuple[tuple[str, str], ...], Mapping[str, str]]:
        files, texts = await self.files(commit)
        counted = {name: text for name, text in texts.items() if may_count(name, text, self.rollback.identity)}
        return tuple((name, files[name].blob) for name in counted), counted

    async def bad_commit(self, head: str) -> tuple[str, str]:
        """The one that brought the rejected revision, and the one before it. Raises _NothingError, GitError."""
        for depth in DEPTHS:
            if depth != DEPTHS[0]:
                await self.repository.deepen(depth)
            commits = await self.repository.history(head, self.rollback.path, MOST_COMMITS)
            bad = await self._brought_by(commits)
            parent = await self.repository.parent(bad) if bad else ""
            if bad and parent:
                return bad, parent
            if len(commits) >= MOST_COMMITS or not await self.repository.is_shallow():
                break
        raise _NothingError(
            f"no commit of the last {MOST_COMMITS} under {self.rollback.path or '/'} brought {self.rollback.rejected}"
        )

    async def _brought_by(self, commits: Sequence[str]) -> str:
        """The oldest of the newest commits in a row that ask for the rejected revision."""
        bad = ""
        for commit in commits:
            if self.rollback.rejected in await self._wanted_by(commit):
                bad = commit
            elif bad:
                break
        return bad


def _text(rollback: Rollback, change: Change) -> str:
    """The message of the commit, which is that of the pull request, too."""
    said = one_line(rollback.message, _MOST_MESSAGE)
    lines = [
        rollback.subject,
        "",
        f"{rollback.rejected} was rolled back: {said}",
        "",
        f"This takes back what {change.bad[:10]} changed in the Release; later edits stay.",
    ]
    if not change.is_stable:
        lines += ["", f"The result is not {rollback.stable}: other commits changed the version, too. Please check it."]
    trailers = {**rollback.trailers, "Pointsman-Restored-Commit": change.restored}
    if rollback.evidence:
        trailers["Pointsman-Evidence"] = one_line(rollback.evidence, _MOST_MESSAGE)
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in trailers.items()), ""])
