"""What the revisions of a Release are made of: whose template, which configuration, and which ports.

A revision's ports stand in its Service, which never changes, and in its ControllerRevision, which outlives the
Service. ControllerRevisions of 0.1 hold no ports: such a version comes back with those of the spec.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.api.configuration import Configuration, digest_of, references
from controller.api.release import ReleaseSpec
from controller.api.resources import CONTROLLER_REVISIONS
from controller.api.revision import configured_revision_of, first_revision_of, revision_of, same_ports
from controller.api.status import LastSpec, Status, Unversioned
from controller.kube.cache import ObjectCache
from controller.kube.client import ConflictError, InvalidError, UnavailableError
from controller.kube.config_maps import ConfigMaps
from controller.kube.objects import Key, child_name
from controller.rollout.observation import ConfigTrouble
from controller.runtime.configuration import change_of, find_configuration, kept_configuration, read_configuration

_LOG = logging.getLogger(__name__)

Ports = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class SpecVersion:
    """The version that the spec asks for."""

    revision: str
    configuration: Configuration | None = None
    """None: it has none of its own, or that is not known now."""
    trouble: ConfigTrouble | None = None
    last_spec: LastSpec | None = None
    unversioned: tuple[Unversioned, ...] | None = None


class Versions:
    """Of one Release, in one pass. `services` are those of the Release, by name."""

    def __init__(
        self,
        kube: ObjectCache,
        config_maps: ConfigMaps,
        cluster: str,
        key: Key,
        *,
        spec: ReleaseSpec,
        services: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._kube = kube
        self._config_maps = config_maps
        self._cluster = cluster
        self._key = key
        self._spec = spec
        self._services = services

    async def of_spec(self, status: Status) -> SpecVersion:
        """Raises KubeError."""
        plain = await self._without_configuration(status)
        named = references(self._spec.template)
        if not named or not self._spec.versions_configuration:
            self._config_maps.refer(self._key, ())
            return SpecVersion(plain, last_spec=LastSpec(plain, plain) if named else None)
        found = await find_configuration(self._config_maps, self._key, named)
        unversioned = _unversioned(status)
        before = next((one for one in unversioned if one.revision == plain), None)
        if found.reason is not None:
            known = (
                status.last_spec.revision if status.last_spec is not None and status.last_spec.template == plain else ""
            )
            known = known or ("" if before is None else plain)
            trouble = ConfigTrouble(found.reason, found.message, stands_in=bool(known))
            return SpecVersion(known or self._configured(found.counted), trouble=trouble, unversioned=unversioned)
        revision = self._configured(found.configuration)
        if before is not None and revision != status.stable:  # as it may be, once 0.1 has named the same text again
            digest = digest_of(found.configuration)
            seen = replace(before, configuration=before.configuration or digest)
            unversioned = tuple(seen if one is before else one for one in unversioned)
            if seen.configuration == digest:
                return SpecVersion(plain, last_spec=LastSpec(plain, plain), unversioned=unversioned)
        return SpecVersion(revision, found.configuration, last_spec=LastSpec(plain, revision), unversioned=unversioned)

    def _configured(self, configuration: Mapping[str, str | None]) -> str:
        where = (self._cluster, self._key.namespace, self._key.name)
        return configured_revision_of(*where, self._spec.template, self._spec.ports, configuration)

    async def change(self, wanted: SpecVersion, status: Status) -> str:
        """What of the configuration is new in a version that is about to come out, in words; else empty."""
        known = wanted.revision in (status.stable, status.canary) or status.is_rejected(wanted.revision)
        waits = status.canary != "" and self._spec.on_new_version != "restart"
        if wanted.configuration is None or known or waits or not status.stable:
            return ""
        stable = child_name(self._key.name, status.stable)
        try:
            item = await self._kube.find(CONTROLLER_REVISIONS, self._key.namespace, stable)
            named = references(self._spec.template)
            after = await read_configuration(self._kube, self._key, named, wanted.configuration)
        except (ConflictError, InvalidError, UnavailableError) as error:
            # for want of words nobody must wait with an abort
            _LOG.info("what is new in the configuration of %s is not known: %s", wanted.revision, error)
            return ""
        try:
            return change_of(kept_configuration(item), after)
        except ValueError:
            return change_of(None, after)

    async def _without_configuration(self, status: Status) -> str:
        """One that 0.1 has named keeps its name as long as its ports are these.

        After a step back to 0.1 and up again one text has both names. Then it is the version that serves, if it does.
        """
        where = (self._cluster, self._key.namespace, self._key.name)
        name = revision_of(*where, self._spec.template, self._spec.ports)
        first = first_revision_of(*where, self._spec.template)
        if first not in status.named or (name in status.named and first != status.stable):
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


def _unversioned(status: Status) -> tuple[Unversioned, ...]:
    """Those that the status names. What is named by an operator that knew of no configuration was made without."""
    known = status.unversioned
    if status.last_spec is None and not known:
        known = tuple(Unversioned(one) for one in sorted(status.named))
    return tuple(one for one in known if one.revision in status.named)


def ports_of(service: Mapping[str, Any]) -> Ports:
    return tuple(service["spec"].get("ports") or ())


def kept_ports(item: Mapping[str, Any]) -> Ports | None:
    """Of a ControllerRevision; None where it tells nothing of ports."""
    ports = item["data"].get("ports")
    return None if ports is None else tuple(ports)
