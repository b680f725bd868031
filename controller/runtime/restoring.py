"""Puts back what somebody has changed in the Deployment and Service of a revision, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from controller.api.names import COPIES, MADE
from controller.api.reasons import Reason
from controller.api.resources import CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES
from controller.api.revision import same_ports
from controller.backoff import delay_s
from controller.kube.cache import ObjectCache
from controller.kube.client import InvalidError
from controller.kube.events import Events
from controller.kube.made import digest_of, record_of, record_of_copies, recorded, recorded_copies, spec_digest
from controller.kube.objects import Key, child_name, deployment, labels_of, selector, service_patch
from controller.kube.writers import spec_writer
from controller.runtime.configuration import kept_configuration
from controller.runtime.copies import ConfigCopies, with_copies
from controller.runtime.observer import World
from controller.runtime.refusals import RefusedError, TemplateLostError
from controller.runtime.versions import Ports, kept_ports, ports_of

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_FORGOTTEN_S = 600.0

Object = dict[str, Any]


class Restorer:
    """Whoever changes a child again and again is answered after longer and longer pauses: pods roll each time."""

    def __init__(self, kube: ObjectCache, events: Events, copies: ConfigCopies) -> None:
        self._kube = kube
        self._copies = copies
        self._events = events
        self._restored: dict[tuple[Key, str], tuple[float, int]] = {}
        """Until when each is left as it is, by the loop's clock, and how often in a row it was put back."""

    async def restore(self, world: World, revision: str, *, of: str = "") -> None:
        """`of`: the revision that it is more pods of, where it has no ControllerRevision of its own.

        Raises KubeError, RefusedError, TemplateLostError.
        """
        key, name = world.key, child_name(world.key.name, revision)
        if not self._may(key, revision):
            return
        # what is cached has neither the template nor who wrote it
        running, service, kept = await asyncio.gather(
            self._kube.find(DEPLOYMENTS, key.namespace, name),
            self._kube.find(SERVICES, key.namespace, name),
            self._kube.find(CONTROLLER_REVISIONS, key.namespace, child_name(key.name, of or revision)),
        )
        if of and kept is not None:
            # it has another selector than the Deployment that is kept there
            kept = {**kept, "data": {name: value for name, value in kept["data"].items() if name != "deployment"}}
        if running is None or service is None:
            return  # gone meanwhile, which the next pass finds
        try:
            digest = await self._restore_deployment(world, revision, running, service, kept)
            await self._restore_service(world, revision, service, kept, digest)
            await self._restore_copies(world, revision, kept)
        except InvalidError as error:
            raise RefusedError(f"{name} was changed by hand and cannot be put back", error) from error

    async def _restore_deployment(
        self, world: World, revision: str, running: Object, service: Object, kept: Object | None
    ) -> str:
        """The digest of its spec as it is from now on."""
        key, now = world.key, spec_digest(running)
        made = None if kept is None else kept["data"].get("deployment")
        expected = recorded(service).partition(".")[0] or (now if made is None else digest_of(made))
        labels = running["metadata"].get("labels") or {}
        wanted_labels = labels_of(key, revision)
        if now == expected and wanted_labels.items() <= labels.items():
            return now
        spec = running["spec"]
        if now != expected:
            spec = self._as_sent(world, revision, kept) if made is None else made
        metadata = {**running["metadata"], "labels": {**labels, **wanted_labels}}
        body = {**running, "metadata": metadata, "spec": {**spec, "replicas": running["spec"]["replicas"]}}
        answer = await self._kube.replace(DEPLOYMENTS, body)
        if revision in world.deployments:
            # who scales it in the same pass decides on this version
            world.deployments[revision]["metadata"]["resourceVersion"] = answer["metadata"]["resourceVersion"]
        if answer["metadata"]["resourceVersion"] == running["metadata"]["resourceVersion"] or (
            now != expected and answer["metadata"]["generation"] == running["metadata"]["generation"]
        ):
            return now  # nobody has changed it: the API server reads the same Deployment in another way now
        self._say(world, revision, f"Deployment {key.namespace}/{running['metadata']['name']}", running)
        return spec_digest(answer)

    @staticmethod
    def _as_sent(world: World, revision: str, kept: Object | None) -> Object:
        """Of versions whose ControllerRevision does not tell what the API server made of them."""
        if revision == world.observation.spec_revision:
            template: Mapping[str, Any] = world.spec.template
        elif kept is not None:
            template = kept["data"]["template"]
        else:
            what = "was changed by hand and cannot be put back, because its ControllerRevision is gone"
            raise TemplateLostError(revision, what)
        deadline_s = world.spec.progress_deadline
        configuration = kept_configuration(kept)
        if configuration is not None:
            template = with_copies(world.key, revision, template, configuration)
        sent: Object = deployment(world.key, revision, 0, template=template, deadline_s=deadline_s, owner=None)["spec"]
        return sent

    async def _restore_service(
        self, world: World, revision: str, service: Object, kept: Object | None, digest: str
    ) -> None:
        key, metadata, spec = world.key, service["metadata"], service["spec"]
        ports = self._ports(world, revision, service, kept)
        selects, found = selector(key.name, revision), ports_of(service)
        record, labels = record_of(digest, ports), labels_of(key, revision)
        changed = not same_ports(found, ports) or spec.get("selector") != selects
        changed = changed or not labels.items() <= (metadata.get("labels") or {}).items()
        if not changed and recorded(service) == record:
            return
        # ports that are as they were keep what the API server has added to them
        meant = found if same_ports(found, ports) else ports
        patch = service_patch(service, selects, meant, labels=labels)
        patch["metadata"]["annotations"] = {MADE: record}
        answer = await self._kube.patch(SERVICES, key.namespace, metadata["name"], patch)
        if metadata["name"] in world.services:
            version = answer["metadata"]["resourceVersion"]
            world.services[metadata["name"]]["metadata"]["resourceVersion"] = version
        if changed:
            self._say(world, revision, f"Service {key.namespace}/{metadata['name']}", service)

    async def _restore_copies(self, world: World, revision: str, kept: Object | None) -> None:
        """Of its ConfigMaps: they cannot be changed, but deleted."""
        key, name = world.key, child_name(world.key.name, revision)
        try:
            configuration = kept_configuration(kept)
        except ValueError as error:
            raise TemplateLostError(revision, f"cannot be put back: {error}") from error
        service = None if configuration is None else await self._kube.find(SERVICES, key.namespace, name)
        if configuration is None or service is None:
            return
        made, before = await self._copies.ensure(world, revision, configuration), dict(recorded_copies(service))
        changed = [copy for copy, uid in sorted(made.items()) if before.get(copy) != uid]
        if not changed:
            return
        metadata = {"resourceVersion": service["metadata"]["resourceVersion"]}
        patch = {"metadata": metadata | {"annotations": {COPIES: record_of_copies(made)}}}
        answer = await self._kube.patch(SERVICES, key.namespace, name, patch)
        if name in world.services:
            world.services[name]["metadata"]["resourceVersion"] = answer["metadata"]["resourceVersion"]
        if before:
            self._say(world, revision, f"ConfigMap {key.namespace}/{changed[0]}", {"metadata": {}})

    @staticmethod
    def _ports(world: World, revision: str, service: Object, kept: Object | None) -> Ports:
        if revision == world.observation.spec_revision:
            return world.spec.ports
        known = None if kept is None else kept_ports(kept)
        return ports_of(service) if known is None else known

    def _say(self, world: World, revision: str, what: str, before: Mapping[str, Any]) -> None:
        loop, where = asyncio.get_running_loop(), (world.key, revision)
        _, often = self._restored.get(where, (0.0, 0))
        pause = delay_s(often, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
        self._restored[where] = (loop.time() + pause, often + 1)
        writer = spec_writer(before["metadata"])
        message = f"{what} was changed by hand{f' ({writer})' if writer else ''} and is put back as it was released"
        self._events.emit(world.release, Reason.CHANGED_BY_HAND, message, warning=True)

    def _may(self, key: Key, revision: str) -> bool:
        now = asyncio.get_running_loop().time()
        for where, (until, _) in list(self._restored.items()):
            if now - until >= _FORGOTTEN_S:
                del self._restored[where]
        until, _ = self._restored.get((key, revision), (now, 0))
        return now >= until
