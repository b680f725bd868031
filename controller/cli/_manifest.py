"""The one Release of a manifest, for commands that take its settings from a file."""

from __future__ import annotations

from controller import registry
from controller.api.names import API_VERSION
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec, parse_release
from controller.cli._documents import read_documents
from controller.cli._files import UnreadableError


class ManifestError(Exception):
    """One sentence with file, line and field."""


def read_release(file: str) -> ReleaseSpec:
    """Raises ManifestError."""
    try:
        found = read_documents(file)
    except UnreadableError as error:
        raise ManifestError(str(error)) from error
    releases = [one for one in found if (one.api_version, one.kind) == (API_VERSION, "Release")]
    if len(releases) != 1:
        raise ManifestError(f"{file}: there are {len(releases)} Releases in it, and one is needed")
    document = releases[0]
    try:
        return parse_release(document.name or "unnamed", document.raw.get("spec") or {}, registry.kinds())
    except SpecError as error:
        raise ManifestError(f"{file}:{document.line(error.path)}: {error}") from error
