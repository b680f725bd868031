"""Carries out what is decided about a Release's own objects: its versions, its Services, and who owns them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from controller import registry
from controller.analysis.record import is_page
from controller.api.configuration import KeptConfiguration, references
from controller.api.names import COPIES, MADE, RELEASE_LABEL, REVISION_LABEL, TRAFFIC_FINALIZER
from controller.api.resources import (
    ANALYSIS_RUNS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    RELEASES,
    SERVICES,
    Resource,
)
from controller.kube.adopting import is_adopted, taken_service
from controller.kube.cache import ObjectCache
from controller.kube.client import ConflictError, InvalidError, NotFoundError, UnavailableError
from controller.kube.config_maps import ConfigMaps
from controller.kube.events import Events
from controller.kube.made import digest_of, record_of, record_of_copies, without_replicas
from controller.kube.objects import (
    child_name,
    child_revision,
    controller_revision,
    deployment,
    has_owners,
    is_child,
    is_ours,
    labels_of,
    owners,
    relabelled,
    selector,
    service,
    service_patch,
    taken,
)
from controller.rollout.actions import (
    AddFinalizer,
    EnsureRevision,
    GiveBack,
    KeepTemplate,
    PointService,
    PutBack,
    RemoveFinalizer,
    RestAdopted,
    Retire,
    Scale,
    SetOwners,
    TakeAutoscalers,
)
from controller.runtime.adopting import AdoptingExecutor
from controller.runtime.configuration import kept_configuration, read_configuration
from controller.runtime.copies import ConfigCopies, with_copies
from controller.runtime.observer import World
from controller.runtime.ownership import patch_owners
from controller.runtime.refusals import NameTakenError, RefusedError, TemplateLostError
from controller.runtime.restoring import Restorer
from controller.runtime.versions import Ports, kept_ports, ports_of

_LOG = logging.getLogger(__name__)
_FORBIDDEN = 403
_COPIES_WAIT_S = 60.0

ObjectAction = (
    AddFinalizer
    | EnsureRevision
    | GiveBack
    | KeepTemplate
    | PointService
    | PutBack
    | RemoveFinalizer
    | RestAdopted
    | Retire
    | Scale
    | SetOwners
    | TakeAutoscalers
)


@dataclass(frozen=True)
class _Version:
    """What a revision is made of."""

    template: Mapping[str, Any]
    """As the user wrote it."""
    ports: Ports
    kept: KeptConfiguration | None


class ObjectExecutor:
    def __init__(self, kube: ObjectCache, events: Events, config_maps: ConfigMaps) -> None:
        self._kube = kube
        self._events = events
        self._config_maps = config_maps
        self._copies = ConfigCopies(kube, config_maps)
        self._adopting = AdoptingExecutor(kube)
        self._restorer = Restorer(kube, events, self._copies)

    async def carry_out(self, world: World, action: ObjectAction) -> None:
        """Raises KubeError, RefusedError, TemplateLostError, NameTakenError."""
        match action:
            case AddFinalizer():
                await self._set_finalizer(world.release, present=True)
            case RemoveFinalizer():
                await self.drop_finalizer(world.release)
            case EnsureRevision():
                await self._ensure_revision(world, action)
            case KeepTemplate():
                await self._keep_version(world, action.revision, await self._version(world, action.revision), None)
            case Scale():
                await self._scale(world, action)
            case Retire():
                await self._retire(world, action.revision)
            case SetOwners():
                await self._set_owners(world)
            case PutBack():
                await self._restorer.restore(world, action.revision, of=action.of)
            case TakeAutoscalers() | RestAdopted() | GiveBack():
                await self._adopting.carry_out(world, action)
            case PointService():
                await self._point_service(world, action.revision)
            case _:
                assert_never(action)

    async def drop_finalizer(self, release: Mapping[str, Any]) -> None:
        """Harmless where it is gone, or the Release with it."""
        with contextlib.suppress(NotFoundError):
            await self._set_finalizer(release, present=False)

    async def _set_finalizer(self, release: Mapping[str, Any], *, present: bool) -> None:
        metadata = release["metadata"]
        finalizers = [name for name in metadata.get("finalizers") or [] if name != TRAFFIC_FINALIZER]
        if present:
            finalizers.append(TRAFFIC_FINALIZER)
        # the version that was read: another's finalizer, written meanwhile, must not be lost
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
        answer = await self._kube.patch(RELEASES, metadata["namespace"], metadata["name"], patch)
        # the status write that follows in the same pass is decided on this version
        metadata["resourceVersion"] = answer["metadata"]["resourceVersion"]
        metadata["finalizers"] = answer["metadata"].get("finalizers", [])

    async def _ensure_revision(self, world: World, action: EnsureRevision) -> None:
        key, revision = world.key, action.revision
        self._config_maps.refused_no_longer(key, [revision])  # it may have been about to leave
        version = await self._version(world, action.of or revision)
        template, ports, name = version.template, version.ports, child_name(key.name, revision)
        copies: dict[str, str] = {}
        if version.kept is not None:
            copies = await self._copies.ensure(world, revision, version.kept)
            template = with_copies(key, revision, template, version.kept)
        made = deployment(
            key,
            revision,
            action.replicas,
            template=template,
            deadline_s=world.spec.progress_deadline,
            owner=world.owner,
        )
        # the Deployment first: where the API server refuses the template, nothing is left behind
        if revision not in world.deployments:
            try:
                running = await self._create(DEPLOYMENTS, made, strict=True, field="spec.template")
            except RefusedError:
                await self._copies.delete(world, [revision])
                raise
        else:
            running = await self._kube.get(DEPLOYMENTS, key.namespace, name)
        kept = None if action.of else await self._keep_version(world, revision, version, running["spec"])
        # the Service last: a revision that has one is whole, and can be made again when the spec asks for another
        if name not in world.services:
            labels = {REVISION_LABEL: revision}
            selects = selector(key.name, revision)
            made = service(key, name, selects, labels=labels, ports=ports, owner=world.owner)
            # as it was made, and not as somebody may have changed it while its Service was gone
            digest = digest_of((kept or {"data": {}})["data"].get("deployment") or running["spec"])
            made["metadata"]["annotations"] = {MADE: record_of(digest, ports)}
            if copies:
                made["metadata"]["annotations"][COPIES] = record_of_copies(copies)
            await self._create(SERVICES, made, field="spec.service")

    async def _keep_version(
        self,
        world: World,
        revision: str,
        version: _Version,
        running: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """`running`: the spec of its Deployment as the API server has it."""
        number = world.observation.status.attempts + 1
        made = controller_revision(
            world.key, revision, number, template=version.template, ports=version.ports, owner=world.owner
        )
        if version.kept is not None:
            made["data"]["configuration"] = version.kept.to_raw()
        if running is not None:
            made["data"]["deployment"] = without_replicas(running)
        return await self._create(CONTROLLER_REVISIONS, made, field="spec.template")

    async def _version(self, world: World, revision: str) -> _Version:
        """What it is made of."""
        wanted = world.wanted
        if revision == wanted.revision and wanted.trouble is None:
            kept_now = None
            if wanted.configuration is not None:
                named = references(world.spec.template)
                kept_now = await read_configuration(self._kube, world.key, named, wanted.configuration)
            return _Version(world.spec.template, world.spec.ports, kept_now)
        kept = await self._kube.find(CONTROLLER_REVISIONS, world.key.namespace, child_name(world.key.name, revision))
        if kept is None:
            raise TemplateLostError(revision)
        template: Mapping[str, Any] = kept["data"]["template"]
        known = world.ports.get(revision)
        ports = kept_ports(kept) if known is None else known
        try:
            configuration = kept_configuration(kept)
        except ValueError as error:
            raise TemplateLostError(revision, f"cannot be made again: {error}") from error
        return _Version(template, world.spec.ports if ports is None else ports, configuration)

    async def _create(
        self, resource: Resource, body: Mapping[str, Any], *, field: str, strict: bool = False
    ) -> dict[str, Any]:
        """As it is there now. `field`: of the spec, that is to blame where the API server does not take it."""
        try:
            return await self._kube.create(resource, body["metadata"]["namespace"], body, strict=strict)
        except InvalidError as error:
            raise RefusedError(field, error) from error
        except ConflictError:
            # there already, from a pass that did not come to its end
            metadata = body["metadata"]
            found = await self._kube.get(resource, metadata["namespace"], metadata["name"])
            owner = next(iter(metadata.get("ownerReferences", [])), None)
            if not is_ours(found["metadata"], metadata["labels"][RELEASE_LABEL], owner):
                raise NameTakenError(taken(resource, metadata["namespace"], metadata["name"])) from None
            # ours by its owner or name, where nobody finds it by its labels
            changed = relabelled(found, metadata["labels"])
            return found if changed is None else await self._kube.replace(resource, changed)

    async def _scale(self, world: World, action: Scale) -> None:
        if action.revision not in world.deployments:
            return  # it was made a moment ago, at this size
        name, metadata = child_name(world.key.name, action.revision), world.deployments[action.revision]["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"replicas": action.replicas}}
        answer = await self._kube.patch(DEPLOYMENTS, world.key.namespace, name, patch, "scale")
        metadata["resourceVersion"] = answer["metadata"]["resourceVersion"]

    async def _retire(self, world: World, revision: str) -> None:
        name = child_name(world.key.name, revision)
        service, running = world.services.get(name), world.deployments.get(revision)
        if service is not None:
            await self._kube.delete(SERVICES, world.key.namespace, name, seen=service)
        await self._delete_copies(world, revision)
        # the Deployment last: it is what a later pass would find this revision by
        if running is not None:
            await self._kube.delete(DEPLOYMENTS, world.key.namespace, name, seen=running)
        await self._forget_old_revisions(world)

    async def _delete_copies(self, world: World, revision: str) -> None:
        """What lasts, such as an admission that denies or does not answer, keeps no version from leaving: the next one
        that leaves takes its copies along. 403 is at once: the roles of an operator from before.
        """
        leaving = [revision]
        try:
            leaving += await self._stray(world)
            await self._copies.delete(world, leaving)
        except (InvalidError, UnavailableError) as error:
            refused_s = self._config_maps.deletion_refused(world.key, revision)
            if error.status != _FORBIDDEN and refused_s < _COPIES_WAIT_S:
                raise
            message = f"copies of ConfigMaps of {child_name(world.key.name, revision)} cannot be deleted: {error}"
            _LOG.warning("%s: %s", world.key, message)
            self._events.emit(world.release, "CopiesLeft", f"{message}. They go with the next version", warning=True)
        self._config_maps.refused_no_longer(world.key, leaving)

    async def _stray(self, world: World) -> list[str]:
        """Versions that have copies and nothing else: a pass was cut off before their Deployments were made."""
        found = self._copies.stray(world, _kept_revisions(world))
        names = {revision: child_name(world.key.name, revision) for revision in sorted(found)}
        # one that was made in this pass is not among those that were read
        return [
            revision
            for revision, name in names.items()
            if await self._kube.find(DEPLOYMENTS, world.key.namespace, name) is None
        ]

    async def _forget_old_revisions(self, world: World) -> None:
        kept = _kept_revisions(world)
        labels = f"{RELEASE_LABEL}={world.key.name}"
        known = await self._kube.list(CONTROLLER_REVISIONS, world.key.namespace, labels=labels)
        spare = [item for item in known if child_revision(world.key, item) not in kept]
        spare.sort(key=lambda item: (item["revision"], item["metadata"]["creationTimestamp"]))
        for item in spare[: max(0, len(spare) - world.spec.revision_history_limit)]:
            await self._kube.delete(CONTROLLER_REVISIONS, world.key.namespace, item["metadata"]["name"], seen=item)

    async def _point_service(self, world: World, revision: str) -> None:
        selects = selector(world.key.name, revision)
        ports = world.ports.get(revision, world.spec.ports)
        found = world.services.get(world.key.name)
        made = service(world.key, world.key.name, selects, labels={}, ports=ports, owner=world.owner)
        if found is not None and bool(ports) != bool(ports_of(found)):
            # with no ports it is headless, and no Service can become that, or cease to be it
            await self._kube.delete(SERVICES, world.key.namespace, world.key.name, seen=found)
            found = None
        if found is None:
            await self._create(SERVICES, made, field="spec.service")
            return
        patch = service_patch(found, selects, ports, labels=labels_of(world.key))
        if is_adopted(found["metadata"]) or (world.adopted is not None and world.adopted.takes(found)):
            patch = taken_service(world.key, found, patch)
        await self._kube.patch(SERVICES, world.key.namespace, world.key.name, patch)

    async def _set_owners(self, world: World) -> None:
        """Deployments and Services last: by them it is seen whether all of it was done."""
        labels, key = f"{RELEASE_LABEL}={world.key.name}", world.key
        status, modules = world.observation.status, registry.modules("routers")
        routers = {status.router, status.router_beside, world.spec.traffic.kind} & modules.keys()
        routes = [resource for router in sorted(routers) for resource in modules[router].WATCHES]
        await self._copies.set_owners(world)
        kinds = dict.fromkeys((ANALYSIS_RUNS, CONTROLLER_REVISIONS, *routes, DEPLOYMENTS, SERVICES))
        for resource in kinds:
            for item in await self._kube.list(resource, key.namespace, labels=labels):
                metadata = item["metadata"]
                ours = is_page(key, item) if resource == ANALYSIS_RUNS else is_child(key, item)
                if not ours or is_adopted(metadata) or has_owners(world.release, metadata, world.owner):
                    continue
                wanted = owners(world.release, metadata, world.owner)
                if resource == CONTROLLER_REVISIONS:
                    # a patch would sort the keys of its data, which the API server takes for a change of them
                    changed = {**item, "metadata": {**metadata, "ownerReferences": wanted}}
                    await self._kube.replace(resource, changed)
                    continue
                await patch_owners(self._kube, resource, metadata, wanted)


def _kept_revisions(world: World) -> frozenset[str]:
    """Those that the spec or the status names, beyond spec.revisionHistoryLimit."""
    status = world.observation.status
    back = "" if status.going_back is None else status.going_back.to
    named = (world.observation.spec_revision, *status.queued, status.stable, status.canary, status.previous)
    return frozenset({*named, status.baseline, back, ""})
