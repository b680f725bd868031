"""What the revisions of a Release are made of: whose template, and which ports.

A revision's ports stand in its Service, which never changes, and in its ControllerRevision, which outlives the
Service. ControllerRevisions of 0.1 hold no ports: such a version comes back with those of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api.release import ReleaseSpec
from controller.api.resources import CONTROLLER_REVISIONS
from controller.api.revision import first_revision_of, revision_of, same_ports
from controller.api.status import Status
from controller.kube.cache import ObjectCache
from controller.kube.objects import Key, child_name

Ports = tuple[Mapping[str, Any], ...]


class Versions:
    """Of one Release, in one pass. `services` are those of the Release, by name."""

    def __init__(
        self, kube: ObjectCache, cluster: str, key: Key, spec: ReleaseSpec, services: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._kube = kube
        self._cluster = cluster
        self._key = key
        self._spec = spec
        self._services = services

    async def of_spec(self, status: Status) -> str:
        """The revision that the spec asks for. One that 0.1 has named keeps its name as long as its ports are these."""
        where = (self._cluster, self._key.namespace, self._key.name)
        name = revision_of(*where, self._spec.template, self._spec.ports)
        if name in status.named:
            return name
        first = first_revision_of(*where, self._spec.template)
        if first not in status.named:
            return name
        ports = await self._known_ports(first)
        return first if ports is None or same_ports(ports, self._spec.ports) else name

    async def ports(self, spec_revision: str, *revisions: str) -> dict[str, Ports]:
        """Of each of these, and of each that has a Service."""
        found = {spec_revision: self._spec.ports}
        prefix = f"{self._key.name}-"
        for name, item in self._services.items():
            revision = name.removeprefix(prefix)
            if name.startswith(prefix) and revision not in found:  # somebody may have edited the Service
                found[revision] = ports_of(item)
        for revision in revisions:
            if revision and revision not in found:
                known = await self._known_ports(revision)
                found[revision] = self._spec.ports if known is None else known
        return found

    async def _known_ports(self, revision: str) -> Ports | None:
        service = self._services.get(child_name(self._key.name, revision))
        if service is not None:
            return ports_of(service)
        kept = await self._kube.find(CONTROLLER_REVISIONS, self._key.namespace, child_name(self._key.name, revision))
        return None if kept is None else kept_ports(kept)


def ports_of(service: Mapping[str, Any]) -> Ports:
    return tuple(service["spec"].get("ports") or ())


def kept_ports(item: Mapping[str, Any]) -> Ports | None:
    """Of a ControllerRevision; None where it tells nothing of ports."""
    ports = item["data"].get("ports")
    return None if ports is None else tuple(ports)
