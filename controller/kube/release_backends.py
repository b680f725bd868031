"""Which backendRefs of an HTTPRoute lead to a Release: to Service NAME, or to a version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.kube.objects import revision_named

Reference = Mapping[str, Any]


@dataclass(frozen=True)
class ReleaseBackends:
    """A version is known by its Service's name."""

    home: str
    """Namespace of the Release, and of its routes."""
    name: str
    """Of the Release, and of the Service that callers use."""
    strangers: frozenset[str] = frozenset()
    """Services of somebody else that are named as versions are, such as `shop-management` beside Release `shop`."""

    def include(self, reference: Reference) -> bool:
        """It leads to Service `name` or to a version of it."""
        return self.has_service(reference) or bool(self.revision_of(reference))

    def has_service(self, reference: Reference) -> bool:
        """Without a weight nothing goes there."""
        return self.service_of(reference) == self.name and weight_of(reference) > 0

    def revision_of(self, reference: Reference) -> str:
        """Of the version that it leads to; empty where it leads to none."""
        child = self.service_of(reference)
        return "" if child in self.strangers else revision_named(self.name, child)

    def service_of(self, reference: Reference) -> str:
        """Of the same namespace; empty for any other backend."""
        is_service = (reference.get("kind") or "Service") == "Service" and not reference.get("group")
        is_here = (reference.get("namespace") or self.home) == self.home
        return str(reference.get("name", "")) if is_service and is_here else ""


def weight_of(reference: Reference) -> int:
    return int(reference.get("weight", 1))
