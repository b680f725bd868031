"""Brings the cluster to what one commit says, object by object. One that is refused keeps no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.api.names import COMMIT, FORCE, REPOSITORY_LABEL
from controller.api.resources import CRDS, HORIZONTAL_POD_AUTOSCALERS, Resource
from controller.kube.applying import Discovery, Kind, apply, claims_of
from controller.kube.client import ConflictError, FencedError, KubeClient, KubeError
from controller.sync import cluster
from controller.sync.inventory import MANAGER, Entry, Inventory, has_replicas, state_of
from controller.sync.manifests import Failure, Manifest, ObjectId, Wanted, digest_of, placed, targets_of, unique
from controller.sync.pruning import prune

_BUDGET_S = 40.0
"""A pass ends within a minute; what is left is applied in the next one."""
_NEW_KINDS_S = 10.0
"""For a CRD to be served."""
_NEW_KIND_POLL_S = 0.2
_KINDS_KNOWN_FOR_S = 30.0
_MOST_LABEL = 63
_REPLICAS = ".spec.replicas"
_HANDED_OVER = f"{MANAGER}-replicas"
"""The manager that keeps the replicas for an autoscaler: without any, the API server would make them one."""


@dataclass(frozen=True)
class Place:
    """Of a ReleaseRepository."""

    namespace: str
    name: str
    prune: bool

    @property
    def label(self) -> str:
        """On all that it applies; a label has 63 characters at most."""
        whole = f"{self.namespace}.{self.name}"
        return whole if len(whole) <= _MOST_LABEL else f"{self.name[:40].rstrip('.-')}.{digest_of(whole)}"


@dataclass(frozen=True)
class Report:
    """What was done, and what is there now."""

    inventory: Inventory
    failures: tuple[Failure, ...] = ()
    kept: tuple[ObjectId, ...] = ()
    """They have gone from the repository, and wait for the annotation that lets them be deleted."""
    applied: int = 0
    pruned: int = 0
    unfinished: bool = False
    """The pass's time was over."""


Announce = Callable[[Inventory], Awaitable[None]]
"""Writes what may be there from now on into the status, before anything is applied."""


@dataclass
class _Plan:
    wanted: list[Wanted]
    failures: list[Failure]
    waiting: list[Manifest]
    """Their kind is made by a CRD of the same commit."""
    resources: dict[ObjectId, Resource]
    live: Mapping[ObjectId, Mapping[str, Any]] = field(default_factory=dict)
    changed: list[Wanted] = field(default_factory=list)
    stale: list[ObjectId] = field(default_factory=list)


@dataclass(frozen=True)
class _Done:
    failures: list[Failure]
    applied: int
    left: int


class Applying:
    """Of one repository, with the rights of its account."""

    def __init__(self, kube: KubeClient, discovery: Discovery, place: Place) -> None:
        self._kube = kube
        self._discovery = discovery
        self._place = place

    async def run(
        self,
        manifests: Sequence[Manifest],
        inventory: Inventory,
        *,
        commit: str,
        whole: bool,
        announce: Announce,
        failed: Sequence[Failure] = (),
    ) -> Report:
        """`whole`: nothing of the commit was unreadable; else nothing is deleted. `failed`: in the passes before this
        one, whose time was over; they are not tried again, so that the others have their turn. Raises KubeError.
        """
        plan = await self._plan(manifests, inventory, older_than_s=_KINDS_KNOWN_FOR_S)
        deadline = asyncio.get_running_loop().time() + _BUDGET_S
        new: dict[ObjectId, Entry] = dict(inventory)
        failures, applied = list[Failure](), 0
        tried = {failure.what for failure in failed}
        first = [one for one in plan.changed if one.manifest.comes_first and str(one.id) not in tried]
        if plan.changed or plan.waiting or (plan.stale and self._place.prune):
            new = _joined(new, plan.wanted)
            await announce(new)
        if first:
            done = await self._apply(first, plan, new, commit, deadline)
            failures, applied = done.failures, done.applied
        if plan.waiting or first:
            plan = await self._plan_again(manifests, new)
            new = _joined(new, plan.wanted)
            await announce(new)
        tried |= {str(one.id) for one in first}
        done = await self._apply([one for one in plan.changed if str(one.id) not in tried], plan, new, commit, deadline)
        unfinished, applied = done.left > 0, applied + done.applied
        names = _names(plan.changed)
        failures += [*done.failures, *(one for one in failed if one.what in names), *plan.failures]
        kept, pruned = list[ObjectId](), 0
        is_whole = whole and not failures and not unfinished
        if not self._place.prune:
            for key in plan.stale if is_whole else ():
                new.pop(key, None)
        elif is_whole and manifests:
            gone = {key: plan.live.get(key) for key in plan.stale}
            pruning = await prune(self._kube, plan.resources, gone)
            for key in pruning.gone:
                new.pop(key, None)
            kept, pruned, failures = list(pruning.kept), pruning.deleted, list(pruning.failures)
        return Report(new, tuple(failures), tuple(kept), applied, pruned, unfinished)

    # -- what there is to do -------------------------------------------------------------------------------------

    async def _plan(self, manifests: Sequence[Manifest], inventory: Inventory, *, older_than_s: float) -> _Plan:
        kinds: dict[tuple[str, str], Kind | None] = {}
        for version, kind in dict.fromkeys((one.api_version, one.kind) for one in manifests):
            kinds[version, kind] = await self._discovery.find(self._kube, version, kind, older_than_s=older_than_s)
        known = [one for one in manifests if kinds[one.api_version, one.kind] is not None]
        made = set(_made_kinds(manifests))
        unknown = [one for one in manifests if kinds[one.api_version, one.kind] is None]
        waiting, failures = list[Manifest](), list[Failure]()
        for missing in unknown:
            if (missing.api_version.rpartition("/")[0], missing.kind) in made:
                waiting.append(missing)
            else:
                why = f"{missing.file}: the cluster has no {missing.kind} in {missing.api_version}"
                failures.append(Failure(f"{missing.kind} {missing.name}", why))
        scaled = await self._scaled(known)
        wanted, twice = unique(self._placed(one, kinds[one.api_version, one.kind], scaled) for one in known)
        plan = _Plan(wanted, failures + twice, waiting, {})
        for one in wanted:
            found = kinds[one.manifest.api_version, one.manifest.kind]
            if found is not None:
                plan.resources[one.id] = found.resource
        for key, entry in inventory.items():
            if key not in plan.resources:
                version = f"{key.group}/{entry.version}" if key.group else entry.version
                found = await self._discovery.find(self._kube, version, key.kind, older_than_s=older_than_s)
                if found is not None:
                    plan.resources[key] = found.resource
        plan.live = await cluster.read(self._kube, plan.resources, self._place.label)
        plan.changed = [one for one in wanted if not _is_as_applied(one, inventory, plan.live)]
        ids = {one.id for one in wanted} | set(_ids_of(twice, inventory))
        plan.stale = [key for key in inventory if key not in ids]
        return plan

    async def _plan_again(self, manifests: Sequence[Manifest], inventory: Inventory) -> _Plan:
        """With the kinds that CRDs of the same commit make, once they are served."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NEW_KINDS_S
        while True:
            plan = await self._plan(manifests, inventory, older_than_s=0.0)
            if not plan.waiting:
                return plan
            if loop.time() >= deadline:
                plan.failures += [
                    Failure(f"{one.kind} {one.name}", f"{one.file}: its CRD is not served yet") for one in plan.waiting
                ]
                return plan
            await asyncio.sleep(_NEW_KIND_POLL_S)

    def _placed(self, manifest: Manifest, kind: Kind | None, scaled: set[tuple[str, str, str]]) -> Wanted:
        namespaced = kind is not None and kind.namespaced
        return placed(
            manifest,
            namespaced=namespaced,
            home=self._place.namespace,
            repository=self._place.label,
            scaled=self._target(manifest) in scaled,
        )

    def _target(self, manifest: Manifest) -> tuple[str, str, str]:
        group = manifest.api_version.rpartition("/")[0]
        return self._namespace(manifest), f"{group}/{manifest.kind}", manifest.name

    def _namespace(self, manifest: Manifest) -> str:
        return str(manifest.raw["metadata"].get("namespace") or self._place.namespace)

    async def _scaled(self, manifests: Sequence[Manifest]) -> set[tuple[str, str, str]]:
        """What autoscalers of the commit, or of the cluster, set the replicas of."""
        with_replicas = [one for one in manifests if _wants_replicas(one.raw)]
        if not with_replicas:
            return set()
        found = await cluster.scaled_by(self._kube, (self._namespace(one) for one in with_replicas))
        for one in manifests:
            if one.kind == HORIZONTAL_POD_AUTOSCALERS.kind:
                found |= {(self._namespace(one), kind, name) for kind, name in targets_of(one.raw)}
        return found

    # -- doing it ------------------------------------------------------------------------------------------------

    async def _apply(
        self, wanted: Sequence[Wanted], plan: _Plan, new: dict[ObjectId, Entry], commit: str, deadline: float
    ) -> _Done:
        """Notes in `new` what was applied. What the time does not suffice for is left as it is."""
        now, left = asyncio.get_running_loop().time, 0

        async def one(item: Wanted) -> Failure | None:
            nonlocal left
            if now() >= deadline:
                left += 1
                return None
            live = plan.live.get(item.id)
            try:
                answer = await self._apply_one(item, plan.resources[item.id], live, _commit(item, new, live, commit))
            except FencedError:
                raise
            except KubeError as error:
                return Failure(str(item.id), f"{item.manifest.file}: {error}")
            new[item.id] = replace(new[item.id], digest=item.digest, state=state_of(answer["metadata"]))
            return None

        failures = [failure for failure in await cluster.each(wanted, one) if failure is not None]
        return _Done(failures, len(wanted) - len(failures) - left, left)

    async def _apply_one(
        self, item: Wanted, resource: Resource, live: Mapping[str, Any] | None, commit: str
    ) -> dict[str, Any]:
        """Raises KubeError."""
        if live is None:
            await self._refuse_anothers(item, resource)
        body = item.at(commit)
        forced = (body["metadata"]["annotations"] or {}).get(FORCE) == "true"
        if live is not None and has_replicas(live) and not _wants_replicas(body):
            await self._hand_over_replicas(item, resource)
        try:
            return await apply(self._kube, resource, body, manager=MANAGER, force=forced)
        except ConflictError as error:
            claims = claims_of(error)
            others = sorted({claim.manager for claim in claims if not _may_take(claim.manager, claim.field)})
            if not claims:
                raise
            if others:
                fields = ", ".join(sorted({claim.field for claim in claims if claim.manager in others})[:5])
                raise ConflictError(
                    error.status,
                    error.reason,
                    f"{' and '.join(others)} has {fields}; take that out of the manifest, or annotate it with "
                    f'{FORCE}: "true"',
                ) from error
            return await apply(self._kube, resource, body, manager=MANAGER, force=True)

    async def _refuse_anothers(self, item: Wanted, resource: Resource) -> None:
        """Two repositories would write it for ever: they are one manager to the API server. Raises KubeError."""
        there = await cluster.metadata_of(self._kube, resource, item.id)
        label = str(((there or {}).get("labels") or {}).get(REPOSITORY_LABEL, ""))
        if label and label != self._place.label:
            raise ConflictError(
                0, "", f"belongs to ReleaseRepository {label}; take it out there, or its label {REPOSITORY_LABEL}"
            )

    async def _hand_over_replicas(self, item: Wanted, resource: Resource) -> None:
        """Before they leave the manifest. Raises KubeError."""
        there = await self._kube.find(resource, item.id.namespace or None, item.id.name)
        replicas = ((there or {}).get("spec") or {}).get("replicas")
        if not isinstance(replicas, int):
            return
        metadata = {"name": item.id.name} | ({"namespace": item.id.namespace} if item.id.namespace else {})
        body = {"apiVersion": item.body["apiVersion"], "kind": item.id.kind, "metadata": metadata}
        await apply(self._kube, resource, {**body, "spec": {"replicas": replicas}}, manager=_HANDED_OVER, force=False)


def _wants_replicas(body: Mapping[str, Any]) -> bool:
    """A spec may be anything: the API server refuses it for its object alone."""
    spec = body.get("spec")
    return isinstance(spec, Mapping) and "replicas" in spec


def _names(wanted: Iterable[Wanted]) -> set[str]:
    return {str(one.id) for one in wanted}


def _may_take(manager: str, at: str) -> bool:
    """People's edits give way to the repository, and replicas that no autoscaler sets. Another controller's field does
    not: both would write for ever.
    """
    return manager.startswith("kubectl") or manager in ("before-first-apply", _HANDED_OVER) or at == _REPLICAS


def _made_kinds(manifests: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    for one in manifests:
        spec = one.raw.get("spec")
        if one.kind == CRDS.kind and isinstance(spec, Mapping) and isinstance(spec.get("names"), Mapping):
            yield str(spec.get("group", "")), str(spec["names"].get("kind", ""))


def _joined(inventory: Inventory, wanted: Iterable[Wanted]) -> dict[ObjectId, Entry]:
    """With what will be there. A line that is new says that its object may be there already."""
    found = dict(inventory)
    for one in wanted:
        version = one.manifest.api_version.rpartition("/")[2]
        before = found.get(one.id)
        if before is None or before.version != version:
            found[one.id] = Entry(version)
    return found


def _is_as_applied(one: Wanted, inventory: Inventory, live: Mapping[ObjectId, Mapping[str, Any]]) -> bool:
    entry, metadata = inventory.get(one.id), live.get(one.id)
    if entry is None or metadata is None:
        return False
    version = one.manifest.api_version.rpartition("/")[2]
    return (entry.version, entry.digest, entry.state) == (version, one.digest, state_of(metadata))


def _commit(one: Wanted, inventory: Inventory, live: Mapping[str, Any] | None, commit: str) -> str:
    """The one that brought it: what somebody else has changed is put back as it was."""
    entry = inventory.get(one.id)
    there = str((live.get("annotations") or {}).get(COMMIT, "")) if live is not None else ""
    return there if there and entry is not None and entry.digest == one.digest else commit


def _ids_of(failures: Iterable[Failure], inventory: Inventory) -> Iterator[ObjectId]:
    """Objects that cannot be applied as they are written have not gone."""
    names = {failure.what for failure in failures}
    return (key for key in inventory if str(key) in names)
