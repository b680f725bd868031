"""What a kustomization makes of its files: by `kubectl kustomize`, which reaches nothing but a copy of them.

Kustomize itself loads files and bases from anywhere, and runs plugins. So what a kustomization names is looked for in
the commit first, and what is not there is refused; the process has no PATH, and no way to a network but a proxy that
nobody answers.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from controller.api.text import one_line
from controller.git.documents import UnreadableError, documents
from controller.git.kustomize import program
from controller.git.manifests import KUSTOMIZATIONS
from controller.git.programs import FailedError, TooMuchError, run
from controller.git.remote import RefusedError
from controller.git.repository import File, Repository

_MOST_FILES = 5_000
_MOST_FOLDERS = 200
_MOST_NAME = 1_000
_MOST_DEPTH = 30
"""Each folder of each file is looked at."""
_MOST_OUTPUT = 32 << 20
_MOST_SAID = 400
_TIMEOUT_S = 60.0
_LIMITS = "ulimit -f 65536; ulimit -d 393216; ulimit -t 60"
"""kubectl is a Go program: it reserves far more addresses than it uses, and GOMEMLIMIT is a wish. So what counts is the
memory that it may write: 384 MiB."""
_ENV = {
    "PATH": "/nonexistent",
    "KUBECONFIG": "/dev/null",
    "GOMEMLIMIT": "256MiB",
    "GOMAXPROCS": "1",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
}
_LISTED = ("resources", "bases", "components")
_REFUSED = ("generators", "transformers", "validators", "helmCharts", "helmChartInflationGenerator", "helmGlobals")
_TEXTS = frozenset(
    {"literals", "patch", "options", "generatorOptions", "commonAnnotations", "commonLabels", "labels", "images"}
)
"""What holds no file's name."""
_REMOTE = re.compile(r"([^=\n]*=)?\s*[a-z]+://", re.IGNORECASE)


def root_of(files: Sequence[str], path: str) -> str:
    """The kustomization of the path itself; empty: it has none."""
    return next((name for name in files if posixpath.dirname(name) == path), "")


async def build(repository: Repository, commit: str, path: str) -> dict[str, str]:
    """Each object as YAML, under a name for people. Raises GitError, RefusedError, OSError."""
    kubectl = program()
    if kubectl is None:
        raise RefusedError(
            f"{path or 'the repository'} has a kustomization, which needs kubectl, and this image has none; add it, or "
            "name a folder with plain manifests"
        )
    files = await _files(repository, commit, path)
    folder = repository.folder.parent / "tree"
    await asyncio.to_thread(_write, folder, files)
    output = await _run(kubectl, folder, path)
    name = posixpath.join(path, KUSTOMIZATIONS[0])
    parts = [part for part in re.split(r"^---\n", output, flags=re.MULTILINE) if part.strip()]
    return {f"{name} (object {number})": part for number, part in enumerate(parts, 1)}


async def _files(repository: Repository, commit: str, path: str) -> dict[str, str]:
    """Of the path, and of the folders outside of it that its kustomizations name."""
    found: dict[str, File] = {}
    texts: dict[str, str] = {}
    folders, seen, there = [path], set[str](), set[str]()
    while folders:
        folder = folders.pop()
        if folder in seen:
            continue
        seen.add(folder)
        if len(seen) > _MOST_FOLDERS:
            raise RefusedError(f"the kustomization of {path} names more than {_MOST_FOLDERS} folders")
        listed = await repository.files(commit, [folder] if folder else [], _is_sound)
        if not listed:
            raise RefusedError(f"{folder} is not in the repository; remote bases are not fetched")
        if any(len(name) > _MOST_NAME or name.count("/") > _MOST_DEPTH for name in listed):
            raise RefusedError(f"a file's name has more than {_MOST_NAME} characters, or {_MOST_DEPTH} folders")
        new = {name: file for name, file in listed.items() if name not in found}
        found |= new
        there |= {one for name in new for one in _folders_of(name)}
        if len(found) > _MOST_FILES:
            raise RefusedError(f"the kustomization of {path} has more than {_MOST_FILES} files; name a smaller folder")
        blobs = await repository.texts(file.blob for file in new.values())
        texts |= {name: text for name, file in new.items() if (text := blobs[file.blob]) is not None}
        for name in new:
            if posixpath.basename(name) in KUSTOMIZATIONS:
                named = await asyncio.to_thread(_named, name, texts.get(name, ""))
                folders += [one for one in named if one not in found and one not in there]
    return texts


def _folders_of(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


def _is_sound(name: str) -> bool:
    """A tree may hold any name, and a copy may not."""
    return all(part not in ("", ".", "..", ".git") for part in name.split("/"))


def _named(name: str, text: str) -> list[str]:
    """The files and folders that are to be built with it. Raises RefusedError."""
    try:
        found = [document.value() for document in documents(text)]
    except UnreadableError as error:
        raise RefusedError(f"{name} {error}") from error
    if len(found) != 1:
        raise RefusedError(f"{name} has to be one YAML document")
    raw: Mapping[str, Any] = found[0]
    known = {key.lower(): key for key in (*_LISTED, *_REFUSED)}  # Go's JSON reads `Resources` as `resources`
    for key in raw:
        if key != known.get(key.lower(), key):
            raise RefusedError(f"{name} has {one_line(key, 100)}; write {known[key.lower()]}")
    used = [key for key in _REFUSED if raw.get(key)]
    if used:
        raise RefusedError(f"{name} uses {used[0]}, which Pointsman does not run")
    for one in _names(raw):
        if _REMOTE.match(one):
            raise RefusedError(f"{name} names {one_line(one, 100)}; nothing is fetched from elsewhere, so copy it")
    listed = [raw.get(key) or [] for key in _LISTED]
    if not all(isinstance(entries, list) for entries in listed):
        raise RefusedError(f"{name}: {', '.join(_LISTED)} have to be lists")
    return [_resolved(name, entry) for entries in listed for entry in entries]


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _TEXTS:
                yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, str):
        yield value


def _resolved(name: str, entry: Any) -> str:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry)) if isinstance(entry, str) else ""
    if not path or path.startswith(("/", "..")):
        raise RefusedError(f"{name} names {one_line(str(entry), 100)}, which is not in the repository")
    return "" if path == "." else path


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())


async def _run(kubectl: str, folder: Path, path: str) -> str:
    """Raises RefusedError."""
    env = {**_ENV, "HOME": str(folder), "TMPDIR": str(folder)}
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output = await run((kubectl, "kustomize", str(folder / path)), env, limits=_LIMITS, most=_MOST_OUTPUT)
    except TimeoutError as error:
        raise RefusedError(f"the kustomization of {path} was not built within {_TIMEOUT_S:g} s") from error
    except TooMuchError as error:
        raise RefusedError(f"the kustomization makes more than {_MOST_OUTPUT >> 20} MiB") from error
    except FailedError as error:
        said = error.said.replace(f"{folder}/", "").replace(str(folder), "")
        raise RefusedError(one_line(said.strip(), _MOST_SAID)) from error
    try:
        return output.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"the kustomization of {path} makes no UTF-8") from error
