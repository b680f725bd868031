"""What kustomize makes of a folder, by the real program and from nothing but the repository.

`kubectl kustomize` runs in a directory that holds the files which the kustomization names, and nothing else: it has no
git, no network worth the name, no plugins, and bounded time and memory. What would be loaded from elsewhere is refused
before, because kustomize itself would fetch it.
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

from controller.git.documents import Document, UnreadableError, children, documents
from controller.git.manifests import KUSTOMIZATIONS
from controller.git.order import NothingError
from controller.git.programs import FailedError, run
from controller.git.repository import MOST_FILES, File, Repository
from controller.git.threads import in_thread

TIMEOUT_S = 20.0
_LIMITS = "ulimit -d 262144; ulimit -f 2048; ulimit -t 15"
"""256 MiB, which a folder of some hundred objects does not take by far."""
_MOST_FOLDERS = 30
_ENTRIES = ("resources", "components", "bases")
"""What may be a folder, or a url."""
_LOADED = (*_ENTRIES, "crds", "configurations", "patchesStrategicMerge", "transformers", "generators", "validators")
_LOADED_WITHIN = {
    "patches": ("path",),
    "patchesJson6902": ("path",),
    "replacements": ("path",),
    "openapi": ("path",),
    "configMapGenerator": ("files", "envs", "env"),
    "secretGenerator": ("files", "envs", "env"),
}
_CONFIGURED = ("transformers", "generators", "validators")
"""Files that load others by themselves."""
_REFUSED = ("helmCharts", "helmChartInflationGenerator", "helmGlobals")
_NOWHERE = "http://127.0.0.1:9"


class CannotBuildError(Exception):
    """The folder of this commit cannot be rendered; says why, without what the files hold."""


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


async def gather(repository: Repository, commit: str, folder: str) -> Folder:
    """Raises CannotBuildError, NothingError, GitError."""
    found = _Gathering(repository, commit)
    await found.reach(folder)
    await found.add(folder)
    return Folder({name: found.listed[name] for name in found.texts}, found.texts, tuple(found.roots))


@dataclass
class _Gathering:
    repository: Repository
    commit: str
    listed: dict[str, File] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    _added: set[str] = field(default_factory=set)

    async def reach(self, path: str) -> None:
        if not any(not root or path == root or path.startswith(f"{root}/") for root in self.roots):
            self.roots.append(path)
            self.listed |= await self.repository.files(self.commit, path, lambda _: True)
            if len(self.listed) > 50 * MOST_FILES:
                raise NothingError(f"more than {50 * MOST_FILES} files under {path or '/'}; set gitOrigin.path")

    async def add(self, folder: str) -> None:
        """A kustomization, and what it names. Raises CannotBuildError, NothingError, GitError."""
        if folder in self._added:
            return
        self._added.add(folder)
        if len(self._added) > _MOST_FOLDERS:
            raise CannotBuildError(f"more than {_MOST_FOLDERS} folders belong to it")
        name = kustomization_in(self.listed, folder)
        if not name:
            raise CannotBuildError(f"{folder or '/'} has no kustomization.yaml")
        await self._read([name])
        document = await in_thread(_kustomization, name, self.texts.get(name, ""))
        for entry in _words(document, _ENTRIES):
            await self._follow(name, folder, entry)
        await self._read(_named(document, folder, self.listed))
        for entry in _words(document, _CONFIGURED):
            path = posixpath.normpath(posixpath.join(folder, entry))
            if "://" in self.texts.get(path, entry):
                raise CannotBuildError(f"{name} uses a plugin that loads from elsewhere")

    async def _follow(self, name: str, folder: str, entry: str) -> None:
        path = posixpath.normpath(posixpath.join(folder, entry))
        if "://" in entry or path.startswith("../") or path == ".." or entry.startswith("/"):
            raise CannotBuildError(f"{name} names what is not in the repository; remote bases are not read")
        path = "" if path == "." else path
        if path not in self.listed:
            await self.reach(path)
        if path in self.listed:
            return
        if kustomization_in(self.listed, path):
            await self.add(path)
            return
        raise CannotBuildError(f"{name} names what is not in the repository; remote bases are not read")

    async def _read(self, names: list[str]) -> None:
        if len(names) + len(self.texts) > MOST_FILES:
            raise CannotBuildError(f"more than {MOST_FILES} files belong to it")
        texts = await self.repository.texts(self.listed[name].blob for name in names)
        for name in names:
            text = texts[self.listed[name].blob]
            if text is None:
                raise CannotBuildError("a file is longer than 256 KiB, or no UTF-8")
            self.texts[name] = text


def _kustomization(name: str, text: str) -> Document:
    """Raises CannotBuildError."""
    try:
        found = documents(text)
    except UnreadableError as error:
        raise CannotBuildError(f"{name} {error}") from error
    if len(found) != 1:
        raise CannotBuildError(f"{name} is not one document")
    (document,) = found
    for key in _REFUSED:
        if document.at(key) is not None:
            raise CannotBuildError(f"{name} uses helm, which is not run")
    for word in _words(document, _LOADED):
        if "://" in word and "\n" not in word:
            raise CannotBuildError(f"{name} names what is not in the repository; remote bases are not read")
    for key, names in _LOADED_WITHIN.items():
        node = document.at(key)
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in items:
            if isinstance(item, yaml.MappingNode):
                inner = Document(text, item)
                if any("://" in word for word in _words(inner, names)):
                    raise CannotBuildError(f"{name} names what is not in the repository; remote bases are not read")
    return document


def _words(document: Document, keys: tuple[str, ...]) -> list[str]:
    return [word for key in keys if (node := document.at(key)) is not None for word in _scalars(node)]


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


async def build(texts: Mapping[str, str], folder: str) -> str:
    """What kustomize writes. Raises CannotBuildError, NothingError, OSError."""
    kubectl = program()
    if kubectl is None:
        raise NothingError(
            "the operator's image has no kubectl, which renders kustomizations; add it, or revert by hand"
        )
    with tempfile.TemporaryDirectory(prefix="pointsman-git-kustomize-", ignore_cleanup_errors=True) as name:
        tree = Path(name) / "tree"
        await asyncio.to_thread(_write, tree, texts)
        env = {
            "PATH": "/nonexistent",
            "HOME": name,
            "TMPDIR": name,
            "GOMAXPROCS": "1",
            "GOMEMLIMIT": "160MiB",
            "HTTP_PROXY": _NOWHERE,
            "HTTPS_PROXY": _NOWHERE,
            "KUBECONFIG": "/dev/null",
        }
        command = (kubectl, "kustomize", str(tree / folder), "--load-restrictor=LoadRestrictionsRootOnly")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                said = await run(command, env, limits=_LIMITS)
        except TimeoutError as error:
            raise CannotBuildError(f"kustomize took longer than {TIMEOUT_S:g} s") from error
        except FailedError as error:
            raise CannotBuildError("kustomize cannot render it; `kubectl kustomize` says why") from error
        return said.decode(errors="replace")


def _write(tree: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = tree / name
        # a tree of git has neither `..` nor absolute names; nothing else is written through
        if not path.resolve().is_relative_to(tree.resolve()):
            raise OSError(f"{name} is outside of the repository")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
