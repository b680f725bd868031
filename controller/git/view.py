"""How a repository is read for one Release: as plain manifests, or as kustomize renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from controller.git.version import Version


class View(Protocol):
    """Each method raises NothingError where it cannot say, and GitError."""

    @property
    def where(self) -> str:
        """For sentences."""
        ...

    async def check(self, head: str) -> None:
        """Whether the Release can be read there."""
        ...

    async def paths(self, head: str) -> Sequence[str]:
        """What the version can depend on; none: the whole repository."""
        ...

    async def wanted(self, commit: str) -> frozenset[str]:
        """The names that the version may have for which a commit asks."""
        ...

    async def version(self, commit: str) -> Version:
        """For which a commit asks."""
        ...

    async def undone(self, good: str, bad: str, head: str, *, wanted: str) -> Mapping[str, tuple[str, str]]:
        """Files of `head`, mode and text, without what was changed in the version between `good` and `bad`."""
        ...

    async def wanted_with(self, head: str, files: Mapping[str, tuple[str, str]]) -> frozenset[str]:
        """As `wanted`, with these files in place."""
        ...
