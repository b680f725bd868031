"""A version as it is made of what git, or a ControllerRevision, holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.api.configuration import KeptConfiguration
from controller.api.revision import configured_revision_of, first_revision_of, revision_of
from controller.git.manifests import Identity


@dataclass(frozen=True)
class Version:
    template: Mapping[str, Any]
    """As the user wrote it."""
    ports: Sequence[Mapping[str, Any]]
    configuration: KeptConfiguration | None = None
    """None: it has none of its own."""

    @property
    def plain(self) -> Version:
        """With whatever its ConfigMaps hold."""
        return replace(self, configuration=None)

    def name(self, identity: Identity) -> str:
        """Of its revision. Raises what odd templates raise: TypeError, ValueError and the like."""
        where = (identity.cluster, identity.namespace, identity.name)
        if self.configuration is None:
            return revision_of(*where, self.template, self.ports)
        return configured_revision_of(*where, self.template, self.ports, self.configuration.configuration)

    def names(self, identity: Identity) -> frozenset[str]:
        """Those that its revision may have: some were named by 0.1."""
        if self.configuration is not None:
            return frozenset({self.name(identity)})
        first = first_revision_of(identity.cluster, identity.namespace, identity.name, self.template)
        return frozenset({self.name(identity), first})

    def content(self, identity: Identity) -> str:
        """What it is, by the same word in each cluster: one that is built anew has another identity."""
        return self.name(anywhere(identity))


def anywhere(identity: Identity) -> Identity:
    """By which a view finds versions by their content."""
    return Identity("", identity.namespace, identity.name)
