"""What a kustomization may name: files and folders of its own repository. One rule, whoever has it built.

Kustomize itself loads files and bases from anywhere, and runs plugins. So whatever it would load from elsewhere, or
run, is refused before it starts, under any key and in any case of letters.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.text import one_line
from controller.git.documents import Document, UnreadableError, documents

_LISTED = ("resources", "bases", "components")
"""What may be a folder, too."""
_REFUSED = ("generators", "transformers", "validators", "helmCharts", "helmChartInflationGenerator", "helmGlobals")
_TEXTS = frozenset(
    {"literals", "patch", "options", "generatorOptions", "commonAnnotations", "commonLabels", "labels", "images"}
)
"""What holds no file's name."""
_REMOTE = re.compile(r"([^=\n]*=)?\s*[a-z]+://", re.IGNORECASE)
_SHOWN = 100


class CannotBuildError(Exception):
    """The folder of this commit cannot be rendered; says why."""

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self.said = said
        """What kustomize itself says, which may hold what the files do."""


@dataclass(frozen=True)
class Kustomization:
    document: Document
    entries: tuple[str, ...]
    """The files and folders that are built with it, by their names in the repository; empty: its top."""


def kustomization_of(name: str, text: str) -> Kustomization:
    """`name`: in the repository. Raises CannotBuildError."""
    try:
        found = documents(text)
        values = [document.value() for document in found]
    except UnreadableError as error:
        raise CannotBuildError(f"{name} {error}") from error
    if len(found) != 1:
        raise CannotBuildError(f"{name} has to be one YAML document")
    raw: Mapping[str, Any] = values[0]
    known = {key.lower(): key for key in (*_LISTED, *_REFUSED)}  # Go's JSON reads `Resources` as `resources`
    for key in raw:
        if key != known.get(key.lower(), key):
            raise CannotBuildError(f"{name} has {one_line(key, _SHOWN)}; write {known[key.lower()]}")
    used = [key for key in _REFUSED if raw.get(key)]
    if used:
        raise CannotBuildError(f"{name} uses {used[0]}, which Pointsman does not run")
    for one in _names(raw):
        if _REMOTE.match(one):
            raise CannotBuildError(
                f"{name} names {one_line(one, _SHOWN)}; nothing is fetched from elsewhere, so copy it"
            )
    listed = [raw.get(key) or [] for key in _LISTED]
    if not all(isinstance(entries, list) for entries in listed):
        raise CannotBuildError(f"{name}: {', '.join(_LISTED)} have to be lists")
    return Kustomization(found[0], tuple(_resolved(name, entry) for entries in listed for entry in entries))


def missing(name: str, entry: str) -> CannotBuildError:
    return CannotBuildError(
        f"{name} names {one_line(entry, _SHOWN)}, which is not in the repository; nothing is fetched from elsewhere"
    )


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
        raise missing(name, str(entry))
    return "" if path == "." else path
