"""Branch `pointsman/state`: which version of each Release is healthy, for the day on which its cluster is built anew.

    CLUSTER/NAMESPACE/NAME.yaml

The branch has no history in common with the manifests: where Flux, Argo CD and CI look, there is nothing of it. Many
Releases write to it at once; each takes what is there, adds its own file, and pushes without force.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import yaml

from controller.api import times
from controller.api.text import one_line
from controller.backoff import delay_s
from controller.git.documents import UnreadableError, documents
from controller.git.history import MOST_COMMITS
from controller.git.manifests import Identity
from controller.git.order import NothingError
from controller.git.place import Place
from controller.git.remote import GitError
from controller.git.repository import DEPTHS, Author, Repository
from controller.git.threads import in_thread
from controller.git.version import Version
from controller.git.view import View

BRANCH = "pointsman/state"
TRIES = 10
"""Ten Releases may be promoted by one commit."""
_CONTENT = re.compile(r"[a-z2-7]{10}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Record:
    """A healthy version."""

    revision: str
    """Its name in its cluster."""
    content: str
    """What it is: the same in each cluster."""
    commit: str = ""
    """That brought it; empty: none is known."""
    since: float = 0.0
    """Seconds since the epoch."""

    def to_text(self, identity: Identity) -> str:
        fields = {
            "cluster": identity.cluster,
            "namespace": identity.namespace,
            "name": identity.name,
            "revision": self.revision,
            "content": self.content,
            "commit": self.commit,
            "since": times.to_seconds_text(self.since),
        }
        return "# Written by Pointsman after each promotion; a cluster that is built anew reads it.\n" + yaml.safe_dump(
            {key: value for key, value in fields.items() if value}, sort_keys=False
        )


async def read(repository: Repository, identity: Identity) -> Record | None:
    """That of this cluster; without one, the newest of a cluster that followed the same manifests. Raises GitError."""
    if not await repository.remote_commit(BRANCH):
        return None
    head = await repository.fetch(BRANCH, 1)
    files = await repository.files(head, [], lambda path: path.split("/")[1:] == _path(identity).split("/")[1:])
    texts = await repository.texts(file.blob for file in files.values())
    found = {name: record for name, file in files.items() if (record := await in_thread(_parsed, texts[file.blob]))}
    own = found.get(_path(identity))
    return own or max(found.values(), key=lambda record: record.since, default=None)


async def write(repository: Repository, identity: Identity, record: Record, author: Author) -> None:
    """Nothing is written where it says so already. Raises GitError."""
    path = _path(identity)
    for attempt in range(TRIES):
        head = ""
        if await repository.remote_commit(BRANCH):
            head = await repository.fetch(BRANCH, 1)
            files = await repository.files(head, [path], lambda _: True)
            texts = await repository.texts(file.blob for file in files.values())
            known = await in_thread(_parsed, texts[files[path].blob]) if path in files else None
            if known is not None and (known.revision, known.content) == (record.revision, record.content):
                return
        message = f"{identity} is healthy with {record.revision}\n"
        text = record.to_text(identity)
        commit = await repository.commit(head, {path: ("100644", text)}, message, author, record.since)
        if await repository.push(commit, BRANCH):
            return
        await asyncio.sleep(delay_s(attempt, first_s=0.1, longest_s=5.0))
    raise GitError(f"{BRANCH} took none of {TRIES} pushes: {repository.refusal}")


async def restored(where: Place, record: Record) -> Version:
    """The recorded version, from its commit. Raises NothingError, GitError."""
    if not record.commit:
        raise NothingError(f"the record of {record.revision} names no commit")
    problems = []
    views: tuple[View, ...] = (where.plain(), where.rendered())
    for view in views:
        try:
            await _check_is_of_the_branch(where, view, record.commit)
            version = await view.version(record.commit)
        except NothingError as error:
            problems.append(error)
            continue
        for found in (version, version.plain):
            if await in_thread(_content, found, where.identity) == record.content:
                return found
        problems.append(NothingError(f"{record.commit[:12]} does not hold the version that was recorded"))
    raise problems[0]


def _content(version: Version, identity: Identity) -> str:
    """Empty: it has none."""
    try:
        return version.content(identity)
    except (TypeError, KeyError, AttributeError, ValueError):  # a number of 5,000 digits is no JSON
        return ""


async def _check_is_of_the_branch(where: Place, view: View, commit: str) -> None:
    """A record may name anything; what is deployed has stood on the branch that the cluster follows."""
    repository = where.repository
    head = await repository.fetch(where.branch, DEPTHS[0])
    paths = await view.paths(head)
    for depth in DEPTHS:
        if depth != DEPTHS[0]:
            await repository.deepen(depth)
        commits = await repository.history(head, paths, MOST_COMMITS)
        if commit in commits:
            return
        if len(commits) >= MOST_COMMITS or not await repository.is_shallow():
            break
    raise NothingError(f"{commit[:12]} is not among the last {MOST_COMMITS} commits of {where.branch}")


def _path(identity: Identity) -> str:
    return f"{identity.cluster}/{identity.namespace}/{identity.name}.yaml"


def _parsed(text: str | None) -> Record | None:
    """None: it cannot be read. Whoever may push to the branch may write anything."""
    try:
        (document,) = documents(text or "")
        since = times.from_text(document.word("since"))
    except (UnreadableError, ValueError):
        return None
    revision, content, commit = (document.word(key) for key in ("revision", "content", "commit"))
    if not _CONTENT.fullmatch(content) or (commit and not _COMMIT.fullmatch(commit)):
        return None
    return Record(one_line(revision, 63), content, commit, since)
