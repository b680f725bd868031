"""What kustomize makes of a folder, by the real program and from nothing but the repository.

`kubectl kustomize` runs in a directory that holds the files which the kustomization names, and nothing else: it has no
git, no network worth the name, no plugins, and bounded time and memory. What would be loaded from elsewhere is refused
before (`kustomization.py`), because kustomize itself would fetch it.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from controller.git.documents import Document, children
from controller.git.kustomization import CannotBuildError, kustomization_of, missing
from controller.git.manifests import KUSTOMIZATIONS
from controller.git.order import NothingError
from controller.git.programs import FailedError, TooMuchError, run
from controller.git.repository import MOST_FILES, File, Repository
from controller.git.threads import in_thread

__all__ = ["CannotBuildError", "Folder", "build", "gather", "kustomization_in"]
TIMEOUT_S = 20.0
_NOWHERE = "http://127.0.0.1:9"
_OF_GIT = frozenset({"", ".", "..", ".git"})
"""A tree may hold any name, and a copy may not."""


@dataclass(frozen=True)
class Bounds:
    """Of one kustomization, with all that belongs to it."""

    folders: int
    files: int
    seconds: float
    memory: int
    """Bytes that kubectl may write. It is a Go program: it reserves far more addresses than it uses."""
    output: int
    """Bytes."""

    @property
    def limits(self) -> str:
        return f"ulimit -d {self.memory >> 10}; ulimit -f {self.output >> 9}; ulimit -t {max(1, int(self.seconds))}"


def _of_a_rollback() -> Bounds:
    """256 MiB, which a folder of some hundred objects does not take by far."""
    return Bounds(folders=30, files=MOST_FILES, seconds=TIMEOUT_S, memory=256 << 20, output=64 << 20)


@dataclass(frozen=True)
class Folder:
    """All that a kustomization needs of one commit."""

    files: Mapping[str, File]
    texts: Mapping[str, str]
    roots: tuple[str, ...]
    """Its folder, and those beyond it that it names."""


def program() -> str | None:
    """`kubectl`, beside the interpreter or in PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("kubectl", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def kustomization_in(files: Mapping[str, File] | Mapping[str, str], folder: str) -> str:
    """Empty: the folder has none."""
    return next((path for name in KUSTOMIZATIONS if (path := posixpath.join(folder, name)) in files), "")


async def gather(repository: Repository, commit: str, folder: str, bounds: Bounds | None = None) -> Folder:
    """Raises CannotBuildError, NothingError, GitError."""
    found = _Gathering(repository, commit, bounds or _of_a_rollback())
    await found.reach(folder)
    await found.add(folder)
    return Folder({name: found.listed[name] for name in found.texts}, found.texts, tuple(found.roots))


@dataclass
class _Gathering:
    repository: Repository
    commit: str
    bounds: Bounds
    listed: dict[str, File] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    _added: set[str] = field(default_factory=set)

    async def reach(self, path: str) -> None:
        if not any(not root or path == root or path.startswith(f"{root}/") for root in self.roots):
            self.roots.append(path)
            self.listed |= await self.repository.files(self.commit, path, _is_sound)
            most = 50 * self.bounds.files
            if len(self.listed) > most:
                raise NothingError(f"more than {most} files under {path or '/'}; name a smaller folder as path")

    async def add(self, folder: str) -> None:
        """A kustomization, and what it names. Raises CannotBuildError, NothingError, GitError."""
        if folder in self._added:
            return
        self._added.add(folder)
        if len(self._added) > self.bounds.folders:
            raise CannotBuildError(f"more than {self.bounds.folders} folders belong to it")
        name = kustomization_in(self.listed, folder)
        if not name:
            raise CannotBuildError(f"{folder or '/'} has no kustomization.yaml")
        await self._read([name])
        found = await in_thread(kustomization_of, name, self.texts[name])
        for entry in found.entries:
            await self._follow(name, entry)
        await self._read(_named(found.document, folder, self.listed))

    async def _follow(self, name: str, path: str) -> None:
        if path not in self.listed:
            await self.reach(path)
        if path in self.listed:
            return
        if not kustomization_in(self.listed, path):
            raise missing(name, path)
        await self.add(path)

    async def _read(self, names: list[str]) -> None:
        new = [name for name in names if name not in self.texts]
        if len(new) + len(self.texts) > self.bounds.files:
            raise CannotBuildError(f"more than {self.bounds.files} files belong to it")
        texts = await self.repository.texts(self.listed[name].blob for name in new)
        for name in new:
            text = texts[self.listed[name].blob]
            if text is None:
                raise CannotBuildError(f"{name} is longer than {self.repository.most_blob >> 10} KiB, or no UTF-8")
            self.texts[name] = text


def _is_sound(name: str) -> bool:
    return _OF_GIT.isdisjoint(name.split("/"))


def _scalars(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        yield str(node.value)
    for child in children(node):
        yield from _scalars(child)


def _named(document: Document, folder: str, listed: Mapping[str, File]) -> list[str]:
    """Files of the folder that any word of the kustomization names."""
    found = set()
    for word in _scalars(document.root):
        if "\n" not in word:
            for one in (word, word.partition("=")[2]):
                path = posixpath.normpath(posixpath.join(folder, one)) if one else ""
                if path in listed:
                    found.add(path)
    return sorted(found)


async def build(texts: Mapping[str, str], folder: str, bounds: Bounds | None = None) -> str:
    """What kustomize writes. Raises CannotBuildError, NothingError, OSError."""
    bounds = bounds or _of_a_rollback()
    kubectl = program()
    if kubectl is None:
        raise NothingError("the image has no kubectl, which renders kustomizations; add it, or keep plain manifests")
    with tempfile.TemporaryDirectory(prefix="pointsman-git-kustomize-", ignore_cleanup_errors=True) as name:
        tree = Path(name) / "tree"
        await asyncio.to_thread(_write, tree, texts)
        env = {
            "PATH": "/nonexistent",
            "HOME": name,
            "TMPDIR": name,
            "GOMAXPROCS": "1",
            "GOMEMLIMIT": f"{(bounds.memory >> 20) * 5 // 8}MiB",
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE),
            "KUBECONFIG": "/dev/null",
        }
        command = (kubectl, "kustomize", str(tree / folder), "--load-restrictor=LoadRestrictionsRootOnly")
        try:
            async with asyncio.timeout(bounds.seconds):
                output = await run(command, env, limits=bounds.limits, most=bounds.output)
        except TimeoutError as error:
            raise CannotBuildError(f"kustomize took longer than {bounds.seconds:g} s") from error
        except TooMuchError as error:
            raise CannotBuildError(f"kustomize makes more than {bounds.output >> 20} MiB of it") from error
        except FailedError as error:
            said = error.said.replace(f"{tree}/", "").replace(str(tree), "")
            raise CannotBuildError("kustomize cannot render it; `kubectl kustomize` says why", said=said) from error
        return output.decode(errors="replace")


def _write(tree: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = tree / name
        # a tree of git has neither `..` nor absolute names; nothing else is written through
        if not path.resolve().is_relative_to(tree.resolve()):
            raise OSError(f"{name} is outside of the repository")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
