"""All manifests that `validate` is given: what is checked of them, what has to do with that, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from controller.api.names import GROUP
from controller.cli._callers import CALLERS
from controller.cli._documents import SUFFIXES, Allowance, Document, documents_within
from controller.cli._files import STDIN, UnreadableError, decoded, files_of, read_bytes

_KUSTOMIZATIONS = frozenset(("kustomization.yaml", "kustomization.yml"))
_OF_KUBERNETES = b"apiVersion"
_READ = CALLERS | {"ConfigMap", "Secret"}
"""Kinds that say something of a Release."""


@dataclass
class Manifests:
    documents: list[Document] = field(default_factory=list)
    others: int = 0
    """Objects of other kinds."""
    unreadable: list[UnreadableError] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """One sentence each."""


def read_manifests(paths: Sequence[str], built: Mapping[str, bytes], *, exclude: Sequence[str] = ()) -> Manifests:
    """Of files and folders, and of what kustomize made, by its folder. Raises UnreadableError, TooMuchError.

    `exclude`: what is not looked for in folders.
    """
    found = files_of(list(paths), SUFFIXES, exclude=exclude)
    result = Manifests(left_out=found.left_out)
    allowance = Allowance()
    for folder, data in built.items():
        _read(f"{folder} (kustomize)", data, result, allowance)
    for name in found.named:
        try:
            data = read_bytes(name)
        except UnreadableError as error:
            result.unreadable.append(error)
            continue
        _read("stdin" if name == STDIN else name, data, result, allowance)
    searched = Manifests()
    for name in found.searched:
        _read_searched(name, searched, allowance)
    _without_patches(searched)
    return Manifests(
        result.documents + searched.documents,
        result.others + searched.others,
        result.unreadable + searched.unreadable,
        result.left_out + searched.left_out,
    )


def _read(name: str, data: bytes, into: Manifests, allowance: Allowance) -> None:
    """Raises TooMuchError."""
    try:
        kept, others = documents_within(allowance, name, decoded(name, data), _is_read)
    except UnreadableError as error:
        into.unreadable.append(error)
    else:
        into.documents += kept
        into.others += others


def _read_searched(name: str, into: Manifests, allowance: Allowance) -> None:
    """A folder holds other YAML, too: a chart's templates, the settings of a CI. Raises TooMuchError."""
    try:
        data = read_bytes(name)
    except UnreadableError as error:
        if name.endswith(".json"):  # large ones are no manifests
            into.left_out.append(f"{name} {error.problem}")
        else:
            into.unreadable.append(error)
        return
    if _OF_KUBERNETES not in data and PurePath(name).name not in _KUSTOMIZATIONS:
        return
    before = len(into.unreadable)
    _read(name, data, into, allowance)
    if GROUP.encode() not in data:
        into.left_out += [f"{error.file} {error.problem}" for error in into.unreadable[before:]]
        del into.unreadable[before:]


def _is_read(document: Document) -> bool:
    is_own = document.api_version.partition("/")[0] == GROUP
    return is_own or document.kind in _READ or _is_kustomization(document)


def _without_patches(manifests: Manifests) -> None:
    """A patch is a part of an object, so nothing can be said of it by itself."""
    patches = {path: at.file for at in manifests.documents if _is_kustomization(at) for path in _patches(at)}
    found = {document.file for document in manifests.documents}
    manifests.documents = [document for document in manifests.documents if document.file not in patches]
    for path in sorted(patches.keys() & found):
        manifests.left_out.append(
            f"{path} is a patch of {patches[path]}: -k {PurePath(patches[path]).parent} applies it"
        )


def _is_kustomization(document: Document) -> bool:
    return PurePath(document.file).name in _KUSTOMIZATIONS


def _patches(kustomization: Document) -> Iterator[str]:
    folder = PurePath(kustomization.file).parent
    for key in ("patches", "patchesStrategicMerge"):
        listed = kustomization.raw.get(key)
        for patch in listed if isinstance(listed, list) else ():
            path: Any = patch.get("path") if isinstance(patch, dict) else patch
            if isinstance(path, str) and "\n" not in path:
                yield _joined(folder, path)


def _joined(folder: PurePath, path: str) -> str:
    """Without `..`, as the names of files that were found are."""
    parts = list(folder.parts)
    for part in PurePath(path).parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePath(*parts))
