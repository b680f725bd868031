"""A fresh, bounded copy of one branch, without a working tree.

What a repository holds is foreign: nothing of it is ever checked out, so no attribute, filter, hook, submodule or link
of it has an effect. Files are read as blobs, and written as trees.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.api.text import one_line
from controller.git.programs import MOST_OUTPUT, FailedError, run
from controller.git.remote import GitError, RefusedError, Remote, said_plainly
from controller.git.signing import SigningKey, signing
from controller.ports import Resolve

TIMEOUT_S = 120.0
"""Of one command."""
MOST_BLOB = 1 << 18
"""Bytes of one text, unless whoever opens the repository says otherwise."""
MOST_HELD = 32 << 20
"""Bytes of texts of one commit, and of those that are kept for the next one: most files are the same there."""
MOST_FILES = 2_000
"""Manifests under the path."""
DEPTHS = (200, 2_000, 20_000)
_PREFIX = "pointsman-git-"
_LEFT_AFTER_S = 1800.0
"""Nobody works in a copy for so long: the effect has five minutes."""
_OLDEST_GIT = (2, 37)
_MOST_SAID = 300
_LIMITS = "ulimit -f 524288; ulimit -v 262144; ulimit -t 120"
"""No file beyond 256 MiB, no more than 256 MiB of addresses, no command beyond two minutes of CPU."""
_MOST_REFS = 1 << 20
"""Bytes of a server's answer about one branch."""
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.packedGitLimit": "64m",
    "core.packedGitWindowSize": "16m",
    "core.attributesFile": "/dev/null",
    "core.bigFileThreshold": "1m",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "http.proxy": "",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "protocol.allow": "never",
}


@dataclass(frozen=True)
class File:
    mode: str
    blob: str


@dataclass(frozen=True)
class Author:
    name: str
    email: str


@dataclass
class Repository:
    folder: Path
    remote: Remote
    _config: Mapping[str, str]
    _env: Mapping[str, str]
    is_signing: bool = False
    most_blob: int = MOST_BLOB
    most_memory: int | None = None
    """Bytes that each process of git may write; None: those that it may address."""
    refusal: str = ""
    """What was said to the last push that was not taken."""
    _blobs: OrderedDict[str, str | None] = field(default_factory=OrderedDict)
    """Those that were read last, at the end."""
    _sizes: dict[str, int | None] = field(default_factory=dict)
    """Of what is in the copy. None: it is too large to be read."""
    _fetched: tuple[str, ...] = ()
    _held: int = 0

    async def fetch(self, branch: str, depth: int) -> str:
        """The branch's newest commit. Raises GitError."""
        ref = f"refs/heads/{branch}"
        self._fetched = (f"+{ref}:{ref}",)
        await self._git("fetch", "--no-tags", "--filter=blob:none", f"--depth={depth}", "origin", f"+{ref}:{ref}")
        return await self.commit_of(ref)

    async def commit_of(self, name: str) -> str:
        return (await self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")).decode().strip()

    async def remote_commit(self, branch: str) -> str:
        """Empty: there is no such branch."""
        ref = f"refs/heads/{branch}"
        said = await self._git("ls-remote", "origin", ref, most=_MOST_REFS)
        # git compares the ends of names: refs/a/refs/heads/main comes, too, and more people may push that
        lines = (line.partition("\t") for line in said.decode(errors="replace").splitlines())
        return next((commit for commit, _, name in lines if name == ref), "")

    async def deepen(self, depth: int) -> None:
        """Of the branch that was fetched. What it holds may be newer afterwards; commits keep their names."""
        await self._git("fetch", "--no-tags", "--filter=blob:none", f"--depth={depth}", "origin", *self._fetched)

    async def is_shallow(self) -> bool:
        return (await self._git("rev-parse", "--is-shallow-repository")).strip() == b"true"

    async def history(self, commit: str, paths: str | Sequence[str], most: int) -> list[str]:
        """Commits that changed something under these paths, newest first, a merge as one change. No path: all."""
        found = await self._git(
            "log", "--first-parent", "--format=%H", f"--max-count={most}", commit, "--", *_listed(paths)
        )
        return found.decode().split()

    async def parent(self, commit: str) -> str:
        """Empty: there is none, or it was not fetched."""
        return (await self._git("log", "--max-count=1", "--format=%P", commit)).decode().partition(" ")[0].strip()

    async def with_trailers(self, commit: str, trailers: Mapping[str, str]) -> str:
        """The newest commit reachable from there that has them all; empty: none."""
        name, value = next(iter(trailers.items()))
        search = ("log", "--fixed-strings", f"--grep={name}: {value}", "--format=%H%x00%(trailers:only,unfold)%x01")
        for entry in (await self._git(*search, commit)).decode(errors="replace").split("\x01"):
            found, _, text = entry.strip().partition("\x00")
            if {f"{key}: {one}" for key, one in trailers.items()} <= {line.strip() for line in text.splitlines()}:
                return found
        return ""

    async def files(self, commit: str, paths: str | Sequence[str], wanted: Callable[[str], bool]) -> dict[str, File]:
        """Plain files under these paths: neither links nor submodules. No path: all. Raises GitError."""
        listed = await self._git("ls-tree", "-r", "-z", "--full-tree", commit, "--", *_listed(paths))
        return await asyncio.to_thread(_files, listed, wanted)

    async def texts(self, blobs: Iterable[str]) -> Mapping[str, str | None]:
        """Of each; None: it is too large, or not UTF-8. Raises GitError, RefusedError."""
        wanted = list(dict.fromkeys(blobs))
        unknown = [one for one in wanted if one not in self._sizes]
        if unknown:
            await self._get(unknown)
        small = {one: size for one in wanted if (size := self._sizes[one]) is not None}
        if sum(small.values()) > MOST_HELD:
            raise RefusedError(f"more than {MOST_HELD >> 20} MiB of manifests; name a smaller folder as path")
        await self._read([one for one in small if one not in self._blobs])
        for blob in small:
            self._blobs.move_to_end(blob)
        found = {one: self._blobs[one] if one in small else None for one in wanted}
        while self._held > MOST_HELD:
            oldest, _ = self._blobs.popitem(last=False)
            self._held -= self._sizes[oldest] or 0
        return found

    async def _get(self, blobs: Sequence[str]) -> None:
        """Into the copy."""
        lines = "".join(f"{one}\n" for one in blobs).encode()
        if list((self.folder / "objects" / "pack").glob("*.promisor")):
            # all at once; git itself would ask for one after the other
            how = ("-c", "fetch.negotiationAlgorithm=noop", "fetch", "origin", "--no-tags", "--no-write-fetch-head")
            await self._git(*how, "--filter=blob:none", "--stdin", said=lines)
        sizes = (await self._git("cat-file", "--batch-check=%(objectname) %(objectsize)", said=lines)).decode()
        for line in sizes.splitlines():
            blob, _, length = line.partition(" ")
            self._sizes[blob] = int(length) if length.isdecimal() and int(length) <= self.most_blob else None

    async def _read(self, blobs: Sequence[str]) -> None:
        for start in range(0, len(blobs), 50):
            some = blobs[start : start + 50]
            content = await self._git("cat-file", "--batch", said="".join(f"{one}\n" for one in some).encode())
            for blob in some:
                head, _, content = content.partition(b"\n")
                size = int(head.split(b" ")[2])
                self._blobs[blob] = _text(content[:size])
                self._held += size
                content = content[size + 1 :]

    async def commit(
        self, parent: str, files: Mapping[str, tuple[str, str]], message: str, author: Author, at: float
    ) -> str:
        """A commit on top of `parent` in which these files, by name, have that mode and text; empty: it is the first.

        The same call makes the same commit: its moment is `at`. Raises GitError.
        """
        index = {"GIT_INDEX_FILE": str(self.folder / "index")}
        await self._git("read-tree", parent or "--empty", env=index)
        for name, (mode, text) in files.items():
            blob = (await self._git("hash-object", "-w", "--stdin", said=text.encode())).decode().strip()
            entry = f"{mode} {blob}\t{name}\0".encode(errors="surrogateescape")
            await self._git("update-index", "-z", "--index-info", env=index, said=entry)
        tree = (await self._git("write-tree", "--missing-ok", env=index)).decode().strip()
        who = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", author.name), ("EMAIL", author.email), ("DATE", f"@{int(at)} +0000"))
        }
        made = await self._git(
            "commit-tree",
            "-S" if self.is_signing else "--no-gpg-sign",
            tree,
            *(("-p", parent) if parent else ()),
            env=who,
            said=message.encode(),
        )
        return made.decode().strip()

    async def push(self, commit: str, branch: str, *, instead_of: str | None = None) -> bool:
        """Whether the branch took it. `instead_of`: for branches of our own, what it holds now, which is lost; empty:
        there is none. One that holds another commit by now does not take it.
        """
        ref = f"refs/heads/{branch}"
        force = () if instead_of is None else (f"--force-with-lease={ref}:{instead_of}",)
        try:
            await self._git("push", "--quiet", "--no-verify", *force, "origin", f"{commit}:{ref}")
        except GitError as error:
            self.refusal = str(error)
            return False
        return True

    async def delete(self, commit: str, branch: str) -> bool:
        """Of a branch of ours: whether it went. One that holds another commit by now stays."""
        ref = f"refs/heads/{branch}"
        try:
            await self._git("push", "--quiet", "--no-verify", f"--force-with-lease={ref}:{commit}", "origin", f":{ref}")
        except GitError as error:
            self.refusal = str(error)
            return False
        return True

    async def _git(
        self, *arguments: str, env: Mapping[str, str] | None = None, said: bytes = b"", most: int = MOST_OUTPUT
    ) -> bytes:
        """What it answers, at `most` so many bytes. Raises GitError."""
        options = [part for name, value in self._config.items() for part in ("-c", f"{name}={value}")]
        command = ("--literal-pathspecs", "--git-dir", str(self.folder), *options, *arguments)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await run(
                    ("git", *command), {**self._env, **(env or {})}, said=said, limits=self._limits, most=most
                )
        except TimeoutError as error:
            raise GitError(f"git {_verb(arguments)} took longer than {TIMEOUT_S:g} s") from error
        except FailedError as error:
            raise GitError(f"git {_verb(arguments)}: {self._masked(error.said)}") from error

    @property
    def _limits(self) -> str:
        return _LIMITS if self.most_memory is None else f"{_LIMITS}; ulimit -d {self.most_memory >> 10}"

    def _masked(self, text: str) -> str:
        for secret in self.remote.credentials.secrets:
            text = text.replace(secret, "[masked]")
        # the same trouble has the same words each time: a new sentence is a write of the status
        text = re.sub(r" after \d+ m?s\b", "", said_plainly(text).replace(str(self.folder.parent), ""))
        return one_line(text, _MOST_SAID)


def _listed(paths: str | Sequence[str]) -> Sequence[str]:
    return ([paths] if paths else []) if isinstance(paths, str) else paths


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _files(listed: bytes, wanted: Callable[[str], bool]) -> dict[str, File]:
    found: dict[str, File] = {}
    at = 0
    while (end := listed.find(b"\0", at)) >= 0:  # one by one: a million at once takes the operator's memory
        about, _, name = listed[at:end].decode(errors="surrogateescape").partition("\t")
        at = end + 1
        if about.startswith("100") and wanted(name):
            mode, _, blob = about.split(" ")
            found[name] = File(mode, blob)
    return found


def _verb(arguments: Sequence[str]) -> str:
    return next((one for one in arguments if one.isalpha()), arguments[0]) if arguments[0] == "-c" else arguments[0]


def _clear_left() -> None:
    """Copies, with their secrets, that a killed operator left: /tmp outlives its container."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if found.st_uid == os.getuid() and found.st_mtime < time.time() - _LEFT_AFTER_S:
                shutil.rmtree(path, ignore_errors=True)


async def _check_git() -> None:
    """Raises GitError. An older one passes over http.curloptResolve, and calls whatever address it finds."""
    if shutil.which("git") is None:
        raise GitError("the operator's image has no git; use one that has it, 2.37 or later")
    said = await run(("git", "version"), {"PATH": os.environ.get("PATH", os.defpath)}, limits=_LIMITS)
    found = re.search(rb"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_GIT:
        raise GitError(f"the operator's image has {one_line(said.decode(errors='replace'), 50)}; use 2.37 or later")


@asynccontextmanager
async def opened(
    remote: Remote,
    resolve: Resolve,
    *,
    signed: SigningKey | None = None,
    most_blob: int = MOST_BLOB,
    most_memory: int | None = None,
) -> AsyncIterator[Repository]:
    """In a temporary directory that is gone afterwards. Raises GitError, RefusedError, and what `resolve` raises."""
    await _check_git()
    await asyncio.to_thread(_clear_left)
    async with AsyncExitStack() as ends:
        name = ends.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True))
        secrets, folder = Path(name) / "secrets", Path(name) / "repository"
        secrets.mkdir(mode=0o700)
        config, env = await remote.settings(secrets, resolve)
        signs, signing_env = await ends.enter_async_context(signing(secrets, signed))
        base = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(secrets),
            "LC_ALL": "C",
            "TMPDIR": name,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **signing_env,
        }
        allowed = {f"protocol.{remote.scheme}.allow": "always"}
        settings = {**_CONFIG, **allowed, **config, **signs}
        repository = Repository(folder, remote, settings, {**base, **env}, signed is not None, most_blob, most_memory)
        await repository._git("init", "--quiet", "--bare")  # noqa: SLF001 - it is made here
        for key, value in (("url", remote.url), ("promisor", "true"), ("partialclonefilter", "blob:none")):
            await repository._git("config", f"remote.origin.{key}", value)  # noqa: SLF001
        yield repository
