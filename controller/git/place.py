"""Where a Release stands in a repository, and the two ways of reading it there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.git.manifests import Identity
from controller.git.plain import PlainView
from controller.git.rendered import RenderedView
from controller.git.repository import Repository
from controller.git.version import anywhere


@dataclass(frozen=True)
class Place:
    repository: Repository
    identity: Identity
    branch: str
    path: str

    @property
    def of_any_cluster(self) -> Place:
        """In which versions are found by their content."""
        return replace(self, identity=anywhere(self.identity))

    def plain(self) -> PlainView:
        return PlainView(self.repository, self.identity, self.branch, self.path)

    def rendered(self) -> RenderedView:
        return RenderedView(self.repository, self.identity, self.branch, self.path)
