"""After a rollback: the bad commit is undone by one commit of ours, or a pull request proposes that.

1. The commit that brought the rejected revision is looked for in the history of the path (`reading.py`), with those
   that were pushed together with it.
2. What they did to the Release is taken out, and nothing else (`undo.py`); the result has to be stable's revision.
3. One commit says why. It is pushed to the branch; where another was faster, all of it begins anew on what is there.
4. Where the branch does not take it, or must not be written, it goes to a branch of ours, for a pull request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from controller.api.git_origin import Write
from controller.api.text import one_line
from controller.backoff import delay_s
from controller.git.editing import LayoutError
from controller.git.manifests import VERSIONED, Identity, Manifest, has_configuration, revisions
from controller.git.reading import Brought, NothingError, Reader, revisions_in
from controller.git.remote import GitError
from controller.git.repository import DEPTHS, Author, Repository
from controller.git.threads import in_thread
from controller.git.undo import MovedOnError, undo

TRIES = 5
_MOST_MESSAGE = 1000
_MOST_NAMED = 20
"""Commits that the message names."""


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
    brought: Brought
    is_stable: bool


Propose = Callable[[str, str, str], Awaitable[str]]
"""Opens a pull request: branch, title, text; its url. Raises GitError."""


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
        except NothingError as error:
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
    """Raises NothingError, GitError."""
    reader = Reader(repository, rollback.identity, rollback.branch, rollback.path)
    now = await reader.manifest_now(head)
    if await in_thread(has_configuration, now):
        raise NothingError(
            "the version has configuration from ConfigMaps, which Pointsman does not take back in git yet; "
            "revert the commit by hand"
        )
    if rollback.stable in await in_thread(revisions, now, rollback.identity):
        raise NothingError(f"{rollback.branch} asks for {rollback.stable} already")
    found = await reader.brought(head, rollback.rejected, rollback.stable)
    bad, before = await reader.manifest(found.bad), await reader.manifest(found.good)
    if bad is None or before is None:
        raise NothingError(f"{found.bad[:10]} brought the Release; there is nothing to go back to")
    try:
        edited = await in_thread(_edited, before, bad, now)
    except MovedOnError as error:
        raise NothingError("somebody has changed it again since; nothing is touched") from error
    except LayoutError as error:
        raise NothingError(f"{now.file} cannot be edited in place ({error}); revert {_names(found)} by hand") from error
    if not edited:
        raise NothingError("nothing is left of what the commit changed")
    files, texts = await reader.files(head)
    modes = {name: (files[name].mode, text) for name, text in edited.items()}
    is_stable = rollback.stable in await in_thread(revisions_in, {**texts, **edited}, rollback.identity)
    return Change(modes, found, is_stable)


def _edited(before: Manifest, bad: Manifest, now: Manifest) -> dict[str, str]:
    """Files that change. Raises MovedOnError, LayoutError."""
    edited = {now.file: undo(before.document, bad.document, now.document, VERSIONED)}
    if before.images is not None and bad.images is not None and now.images is not None:
        text = undo(before.images, bad.images, now.images, [("images",)], only=now.image_names | bad.image_names)
        if now.images_file not in edited:
            edited[now.images_file] = text
    was = {now.file: now.document.text, now.images_file: now.images.text if now.images is not None else ""}
    return {name: text for name, text in edited.items() if text != was[name]}


def _names(brought: Brought) -> str:
    """Of its commits, oldest first."""
    names = [commit[:10] for commit in brought.commits[-_MOST_NAMED:]]
    left_out = len(brought.commits) - len(names)
    if left_out:
        names.insert(0, f"{left_out} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _text(rollback: Rollback, change: Change) -> str:
    """The message of the commit, which is that of the pull request, too."""
    said = one_line(rollback.message, _MOST_MESSAGE)
    lines = [
        rollback.subject,
        "",
        f"{rollback.rejected} was rolled back: {said}",
        "",
        f"This takes back what {_names(change.brought)} changed in the Release; later edits stay.",
    ]
    if not change.is_stable:
        lines += ["", f"The result is not {rollback.stable}: other commits changed the version, too. Please check it."]
    trailers = {**rollback.trailers, "Pointsman-Restored-Commit": change.brought.good}
    if rollback.evidence:
        trailers["Pointsman-Evidence"] = one_line(rollback.evidence, _MOST_MESSAGE)
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in trailers.items()), ""])
