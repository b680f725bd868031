"""The manifests of one commit's folder: plain YAML, or what its kustomization makes of it."""

from __future__ import annotations

import asyncio
import json
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.git.manifests import KUSTOMIZATIONS
from controller.git.remote import RefusedError
from controller.git.repository import File, Repository
from controller.sync import kustomize
from controller.sync.inventory import MOST_OBJECTS
from controller.sync.manifests import Failure, Manifest
from controller.sync.parsing import MOST_BYTES, MOST_VALUES, TOO_MUCH_IN_ALL, parsed

MOST_FILE = 4 << 20
"""Bytes. The CRDs of others are long."""
_MOST_FILES = 5_000
_MOST_NAME = 1_000
_MOST_DEPTH = 30
_VALUE_BYTES = 100
"""Of a value in Python, most of which are short texts."""
_ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Rendered:
    """Packed: most of the time nobody looks at them."""

    commit: str
    failures: tuple[Failure, ...]
    objects: int
    blobs: Mapping[str, str]
    """Of the files that were read without failure, none where a kustomization made something else of them."""
    values: Mapping[str, int]
    """How many each file has."""
    weight: int
    """Bytes that the manifests take when they are looked at, as far as that can be said."""
    _packed: bytes

    @classmethod
    def of(
        cls,
        commit: str,
        manifests: Sequence[Manifest],
        failures: Iterable[Failure],
        blobs: Mapping[str, str],
        values: Mapping[str, int],
    ) -> Rendered:
        """Raises RefusedError."""
        if len(manifests) > MOST_OBJECTS:
            raise RefusedError(f"{len(manifests)} objects, maximum is {MOST_OBJECTS}; use several ReleaseRepositories")
        text = json.dumps([[one.file, one.raw] for one in manifests]).encode()
        if len(text) > MOST_BYTES or sum(values.values()) > MOST_VALUES:
            raise RefusedError(f"{TOO_MUCH_IN_ALL}; use several ReleaseRepositories")
        weight = len(text) + _VALUE_BYTES * sum(values.values())
        return cls(commit, tuple(failures), len(manifests), blobs, values, weight, zlib.compress(text, 1))

    @property
    def size(self) -> int:
        return len(self._packed)

    @property
    def manifests(self) -> list[Manifest]:
        return [Manifest(file, raw) for file, raw in json.loads(zlib.decompress(self._packed))]


async def render(repository: Repository, commit: str, path: str, before: Rendered | None = None) -> Rendered:
    """`before`: of an earlier commit, from which files that are as they were are taken.

    Raises GitError, RefusedError, OSError.
    """
    files = await repository.files(commit, [path] if path else [], is_manifest)
    if len(files) > _MOST_FILES:
        raise RefusedError(f"{path or 'the repository'} has more than {_MOST_FILES} files; name a smaller folder")
    refuse_deep(files)
    kustomized = kustomizations(files)
    if any(posixpath.dirname(name) == path for name in kustomized):
        built = await parsed(await kustomize.build(repository, commit, path))
        return await asyncio.to_thread(Rendered.of, commit, built.manifests, built.failures, {}, built.values)
    plain = beside(files, kustomized)
    kept = {} if before is None else {name: blob for name, blob in before.blobs.items() if _is_same(plain, name, blob)}
    texts = await read(repository, {name: file for name, file in plain.items() if name not in kept})
    values = {name: before.values.get(name, 0) for name in kept} if before is not None else {}
    found = await parsed({name: text for name, text in texts.items() if text is not None})
    failures = [_nested(name) for name in kustomized]
    failures += [Failure(name, _UNREAD) for name, text in texts.items() if text is None]
    failures += found.failures
    old = [one for one in before.manifests if one.file in kept] if before is not None and kept else []
    manifests = sorted([*old, *found.manifests], key=lambda one: one.file)
    bad = {failure.what for failure in failures}
    blobs = {name: file.blob for name, file in plain.items() if name not in bad}
    return await asyncio.to_thread(Rendered.of, commit, manifests, failures, blobs, {**values, **found.values})


def _is_same(files: Mapping[str, File], name: str, blob: str) -> bool:
    return name in files and files[name].blob == blob


_UNREAD = f"is longer than {MOST_FILE >> 20} MiB, or no UTF-8"


def is_manifest(path: str) -> bool:
    """A hidden file or folder is a tool's."""
    if path.startswith(".") or "/." in path:
        return False
    return path.endswith(_ENDINGS) or posixpath.basename(path) in KUSTOMIZATIONS


async def read(repository: Repository, files: Mapping[str, File]) -> dict[str, str | None]:
    """Raises GitError, RefusedError."""
    texts = await repository.texts(file.blob for file in files.values())
    return {name: texts[file.blob] for name, file in files.items()}


def kustomizations(files: Iterable[str]) -> list[str]:
    return sorted(name for name in files if posixpath.basename(name) in KUSTOMIZATIONS)


def refuse_deep(files: Iterable[str]) -> None:
    """What looks at each folder of each file has a bound then. Raises RefusedError."""
    if any(len(name) > _MOST_NAME or name.count("/") > _MOST_DEPTH for name in files):
        raise RefusedError(f"a file's name has more than {_MOST_NAME} characters, or {_MOST_DEPTH} folders")


def beside(files: Mapping[str, File], kustomized: Iterable[str]) -> dict[str, File]:
    """Those in no folder of a kustomization."""
    folders = {posixpath.dirname(one) for one in kustomized}
    return {name: file for name, file in files.items() if folders.isdisjoint(folders_of(name))}


def folders_of(name: str) -> Iterator[str]:
    """All that a file lies in, the top included: as many as its name has parts, whatever else the commit has."""
    while name:
        name = posixpath.dirname(name)
        yield name


def _nested(name: str) -> Failure:
    return Failure(name, "is for kustomize; set spec.path to its folder, or list that in a kustomization.yaml above")
