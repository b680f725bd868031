"""Reads the world afresh for one Release: everything a decision counts on, and the objects it will act on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller import registry
from controller.analysis.record import youngest
from controller.api import times
from controller.api.names import (
    ALLOW,
    COMMIT,
    MANUAL_UNTIL,
    RELEASE_LABEL,
    RETRY,
    TRAFFIC_FINALIZER,
    WITHOUT_RECORD,
)
from controller.api.release import ReleaseSpec
from controller.api.resources import (
    ANALYSIS_RUNS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    RELEASE_ACTIONS,
    SERVICES,
)
from controller.api.status import Status
from controller.api.text import one_line
from controller.kube.adopting import is_adopted
from controller.kube.cache import ObjectCache
from controller.kube.config_maps import ConfigMaps
from controller.kube.objects import Key, child_name, child_revision, has_owners, is_child, is_ours, owner_of
from controller.ports import Previewed, Previews, RoutedService, Router, RouterContext, RouterSigns
from controller.rollout.actions import PROMOTED
from controller.rollout.observation import NOTHING_RUNS, LastRun, Observation, Request
from controller.rollout.preview import reach_of
from controller.rollout.sizing import Sizing
from controller.runtime.adopting import Adopted, read_adopted
from controller.runtime.children import as_made, lacks_pods, ready_endpoints, selected, state_of
from controller.runtime.observed_routers import Beside, holds, lacked, observed, observed_beside
from controller.runtime.pods import pods_of
from controller.runtime.reachability import Reachability
from controller.runtime.versions import Ports, SpecVersion, Versions

_SHOWN = 60
"""Characters of an annotation that people are shown."""
_MOST_REASON = 1000


@dataclass(frozen=True)
class World:
    """What was read: the observation for `decide`, and what the executor needs beside it."""

    key: Key
    release: dict[str, Any]
    """Of this pass: the version that was written last stands in it."""
    spec: ReleaseSpec
    router: Router
    observation: Observation
    owner: Mapping[str, Any] | None
    deployments: Mapping[str, Mapping[str, Any]]
    services: Mapping[str, Mapping[str, Any]]
    action_versions: Mapping[str, str]
    """resourceVersion of each ReleaseAction that has no answer, by name."""
    ports: Mapping[str, Ports]
    """Of each revision that work can go to."""
    wanted: SpecVersion
    """What the spec asks for."""
    beside: Router | None = None
    """The router that is taken into use, or left."""
    by_weight: tuple[Router, ...] = ()
    """Those of the two that send work by weight."""
    adopted: Adopted | None = None


class Observer:
    def __init__(
        self,
        kube: ObjectCache,
        config_maps: ConfigMaps,
        cluster: str,
        context: RouterContext,
        reachability: Reachability,
    ) -> None:
        """`context`: what routers may use."""
        self._kube = kube
        self._config_maps = config_maps
        self._cluster = cluster
        self._context = context
        self._reachability = reachability

    async def observe(
        self, key: Key, release: dict[str, Any], spec: ReleaseSpec, status: Status, actions: Iterable[str]
    ) -> World:
        """Raises KubeError, RouterError. `actions` are the names of ReleaseActions that may still have no answer."""
        labels = f"{RELEASE_LABEL}={key.name}"
        owner = owner_of(release, spec)
        deployments, services, slices, unanswered = await asyncio.gather(
            self._kube.list(DEPLOYMENTS, key.namespace, labels=labels),
            self._kube.list(SERVICES, key.namespace, labels=labels),
            self._kube.list(ENDPOINT_SLICES, key.namespace, labels=labels),
            self._unanswered(key, actions),
        )
        # a copy with our labels, made for debugging, has another name and is none of our revisions
        by_revision = {revision: item for item in deployments if (revision := child_revision(key, item))}
        by_name: dict[str, Mapping[str, Any]] = {item["metadata"]["name"]: item for item in services}
        versions = Versions(self._kube, self._config_maps, self._cluster, key, spec=spec, services=by_name)
        wanted = await versions.of_spec(status)
        spec_revision = wanted.revision
        ports = await versions.ports(spec_revision, *status.at_work)
        if status.baseline:
            ports[status.baseline] = ports[status.stable]
        finalizer = TRAFFIC_FINALIZER in (release["metadata"].get("finalizers") or [])
        target = RoutedService(key.namespace, key.name, owner, spec.ports, ports, spec.strategy.cookie)
        target = replace(target, at_rest=not finalizer, deleting="deletionTimestamp" in release["metadata"])
        holding = status.router if status.router in registry.modules("routers") else spec.traffic.kind
        router = self._router(holding, spec, target)
        holder = await observed(holding, router, leaves=holding != spec.traffic.kind)
        weights = holder.weights
        previewed = await self._previewed(router, spec, status)
        unsupported, in_doubt = await lacked(router, spec)
        beside = await self._beside(holding, spec, status, target)
        routers = [one for one in (holder, beside.observed) if one is not None]
        taken, adopted = await self._service_of_others(key, owner, spec, status, by_name)
        sizing = registry.modules("routers")[holding].SIZING
        addresses = ready_endpoints(slices)
        endpoints = {one: found for one in by_revision if (found := addresses[child_name(key.name, one)])}
        unreached = self._reachability.awaited(key, endpoints)
        if sizing is not Sizing.BY_WEIGHT:
            unreached = {}  # no work is sent to a version's own Service
        new = [one for one in (status.canary, status.baseline, spec_revision, *status.queued) if one != status.stable]
        pods = await self._pods_of_unready(key, by_revision, new)
        copies = self._config_maps.copies(key)
        revisions = {
            revision: state_of(
                item,
                as_made=as_made(key, revision, item, by_name.get(child_name(key.name, revision)), copies),
                has_service=child_name(key.name, revision) in by_name,
                endpoints=endpoints.get(revision, 0),
                unreached_s=unreached.get(revision, 0.0),
                pods=pods.get(revision, []),
            )
            for revision, item in by_revision.items()
        }
        # what a leader that was frozen made afterwards, or whose Deployment somebody took away: it has to go as well
        left = {revision for item in services if (revision := child_revision(key, item))}
        revisions |= dict.fromkeys(left - revisions.keys(), NOTHING_RUNS)
        signs = RouterSigns() if weights is None else weights.signs
        metadata, requests = release["metadata"], tuple(map(_request, unanswered))
        annotations = metadata.get("annotations") or {}
        manual = annotations.get(MANUAL_UNTIL)
        observation = Observation(
            spec=spec,
            sizing=sizing,
            spec_revision=spec_revision,
            status=status,
            config_trouble=wanted.trouble,
            config_change=await versions.change(wanted, status),
            last_spec=wanted.last_spec,
            unversioned=wanted.unversioned,
            deleting=target.deleting,
            finalizer=finalizer,
            revisions=revisions,
            weights=holder.shares,
            owned=owner is not None,
            owners_differ=not all(
                has_owners(release, item["metadata"], owner)
                for item in (*by_revision.values(), *by_name.values())
                if is_child(key, item) and not _is_adopted(item, adopted)
            ),
            spec_router=spec.traffic.kind,
            route_held=holds(router),
            route_held_beside=beside.holds,
            weights_beside=beside.shares,
            trouble_beside=beside.trouble,
            not_accepted_beside=beside.not_accepted,
            preview=previewed.preview,
            preview_refused=previewed.refused or in_doubt,
            unsupported=unsupported,
            route_by=signs.edited_by,
            route_refused=signs.refused,
            route_unanswered=signs.unanswered,
            route_written_at=signs.written_at,
            unused_credits_s=signs.unused_credits_s,
            marked_on_trial=signs.on_trial,
            service=selected(by_name.get(key.name), key.name, ports, status.stable),
            taken=taken,
            adoption=None if adopted is None else adopted.beside(routers),
            requests=requests,
            retry=str(annotations.get(RETRY, ""))[:253],
            commit=str(annotations.get(COMMIT, ""))[:64],
            last_run=None if status.stable or status.attempt is not None else await self._last_run(key),
            without_record=annotations.get(WITHOUT_RECORD) == ALLOW,
            kept=await self._kept(key) if any(request.action == "rollback" for request in requests) else (),
            manual=None if manual is None else str(manual)[:_SHOWN],
            manual_until=None if manual is None else _manual_until(manual),
        )
        action_versions = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in unanswered}
        return World(
            key=key,
            release=release,
            spec=spec,
            router=router,
            observation=observation,
            owner=owner,
            deployments=by_revision,
            services=by_name,
            action_versions=action_versions,
            ports=ports,
            wanted=wanted,
            beside=beside.router,
            by_weight=tuple(one.router for one in routers if one.is_by_weight),
            adopted=adopted,
        )

    def _router(self, kind: str, spec: ReleaseSpec, target: RoutedService) -> Router:
        config = spec.traffic.config if kind == spec.traffic.kind else None
        return registry.modules("routers")[kind].create(config, target, self._context)

    @staticmethod
    async def _previewed(router: Router, spec: ReleaseSpec, status: Status) -> Previewed:
        """Read only where there may be one: it is a request more."""
        wanted = spec.strategy.reach is not None or any(reach_of(step) is not None for step in spec.steps)
        if not isinstance(router, Previews) or not (wanted or status.previews):
            return Previewed()
        return await router.observe_preview()

    async def _beside(self, holding: str, spec: ReleaseSpec, status: Status, target: RoutedService) -> Beside:
        kind = status.router_beside or spec.traffic.kind
        if kind == holding or kind not in registry.modules("routers"):
            return Beside()
        return await observed_beside(kind, self._router(kind, spec, target))

    async def _service_of_others(
        self,
        key: Key,
        owner: Mapping[str, Any] | None,
        spec: ReleaseSpec,
        status: Status,
        by_name: dict[str, Mapping[str, Any]],
    ) -> tuple[str, Adopted | None]:
        """Service NAME without our label: ours where the Release owns or adopts it, and else the name is taken, which
        is said.
        """
        labelled = by_name.get(key.name)
        found = labelled or await self._kube.find(SERVICES, key.namespace, key.name)
        adopted = await read_adopted(self._kube, key, spec, status, found)
        if found is None or found is labelled:
            return "", adopted
        may_be_taken = spec.adopt is not None and spec.adopt.service and adopted is not None
        if may_be_taken or is_ours(found["metadata"], key.name, owner):
            by_name[key.name] = found
            return "", adopted
        return f"Service {key}", adopted

    async def _unanswered(self, key: Key, names: Iterable[str]) -> list[dict[str, Any]]:
        found = await asyncio.gather(*(self._kube.find(RELEASE_ACTIONS, key.namespace, name) for name in names))
        unanswered = [
            item
            for item in found
            if item is not None
            and item["spec"]["release"] == key.name
            and not item.get("status", {}).get("result")
            and "deletionTimestamp" not in item["metadata"]
        ]
        return sorted(unanswered, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))

    async def _kept(self, key: Key) -> tuple[str, ...]:
        """Revisions whose templates are still there, the youngest first."""
        labels = f"{RELEASE_LABEL}={key.name}"
        found = await self._kube.list(CONTROLLER_REVISIONS, key.namespace, labels=labels)
        found.sort(key=lambda item: (item["revision"], item["metadata"]["creationTimestamp"]), reverse=True)
        return tuple(revision for item in found if (revision := child_revision(key, item)))

    async def _last_run(self, key: Key) -> LastRun | None:
        pages = await self._kube.list(ANALYSIS_RUNS, key.namespace, labels=f"{RELEASE_LABEL}={key.name}")
        last = youngest(key, pages)
        if last is None:
            return None
        spec, verdict = last["spec"], last.get("status", {}).get("verdict", "")
        return LastRun(str(spec.get("stableRevision", "")), str(spec["canaryRevision"]), promoted=verdict == PROMOTED)

    async def _pods_of_unready(
        self, key: Key, deployments: Mapping[str, Mapping[str, Any]], new: Iterable[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """`new`: the revisions whose pods decide something; of the others nobody asks why some are missing."""
        short = [
            revision for revision in dict.fromkeys(new) if revision in deployments and lacks_pods(deployments[revision])
        ]
        lists = await asyncio.gather(*(pods_of(self._kube, key, revision) for revision in short))
        return dict(zip(short, lists, strict=True))


def _is_adopted(item: Mapping[str, Any], adopted: Adopted | None) -> bool:
    """It was there before the Release, which never owns it."""
    return is_adopted(item["metadata"]) or (adopted is not None and adopted.takes(item))


def _request(item: Mapping[str, Any]) -> Request:
    metadata, spec = item["metadata"], item["spec"]
    return Request(
        uid=metadata["uid"],
        name=metadata["name"],
        action=spec["action"],
        revision=spec["revision"],
        by=spec.get("requestedBy") or f"ReleaseAction {metadata['name']}",
        reason=one_line(spec.get("reason", ""), _MOST_REASON),
        to=spec.get("to", ""),
        hard=spec.get("hard", False),
    )


def _manual_until(text: str) -> float | None:
    try:
        return times.from_rfc3339(text)
    except ValueError:
        return None
