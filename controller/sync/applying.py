"""Brings the cluster to what one commit says, object by object. One that is refused keeps no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.api.names import COMMIT, FORCE, MANAGED_BY
from controller.api.resources import HTTP_ROUTES, Resource
from controller.kube.applying import Claim, Discovery, apply, claims_of
from controller.kube.client import ConflictError, FencedError, KubeClient, KubeError
from controller.kube.existing_routes import is_split_for
from controller.kube.objects import Key
from controller.sync import cluster
from controller.sync.inventory import MANAGER, Entry, Inventory, has_replicas, state_of
from controller.sync.manifests import Failure, Manifest, ObjectId, Wanted
from controller.sync.ownership import ForeignError, Leaving, Owners, leaving, refuse_foreign
from controller.sync.planning import Place, Plan, Source, plan, wants_replicas
from controller.sync.pruning import prune

_BUDGET_S = 40.0
"""A pass ends within a minute; what is left is applied in the next one."""
_NEW_KINDS_S = 10.0
"""For a CRD to be served."""
_NEW_KIND_POLL_S = 0.2
_KINDS_KNOWN_FOR_S = 30.0
_REPLICAS = ".spec.replicas"
_HANDED_OVER = f"{MANAGER}-replicas"
"""The manager that keeps the replicas for an autoscaler: without any, the API server would make them one."""
_SPLIT = Claim(MANAGED_BY, ".spec.rules")


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
    moved: Collection[Key] = ()
    """ReleaseRepositories to which objects were left: they can have them now."""
    awaited: Collection[Key] = ()
    """Nothing is pruned until they have seen the commit, too: what has gone from here may have moved there."""


Announce = Callable[[Inventory], Awaitable[None]]
"""Writes what may be there from now on into the status, before anything is applied."""


@dataclass(frozen=True)
class Commit:
    """What is applied."""

    name: str
    source: Source
    manifests: Sequence[Manifest]
    whole: bool
    """Nothing of it was unreadable; else nothing is deleted."""


@dataclass(frozen=True)
class _Done:
    failures: list[Failure]
    applied: int
    left: int


class Applying:
    """Of one repository, with the rights of its account."""

    def __init__(self, kube: KubeClient, discovery: Discovery, owners: Owners, place: Place) -> None:
        self._kube = kube
        self._discovery = discovery
        self._owners = owners
        self._place = place

    async def run(
        self,
        commit: Commit,
        inventory: Inventory,
        *,
        announce: Announce,
        failed: Sequence[Failure] = (),
        patient: bool = True,
    ) -> Report:
        """`failed`: in the passes before this one, whose time was over; they are not tried again, so that the others
        have their turn. `patient`: waits with pruning for the repositories of the same branch. Raises KubeError.
        """
        plan = await self._plan(commit, inventory, _KINDS_KNOWN_FOR_S)
        deadline = asyncio.get_running_loop().time() + _BUDGET_S
        new: dict[ObjectId, Entry] = dict(inventory)
        failures, applied = list[Failure](), 0
        tried = {failure.what for failure in failed}
        first = [one for one in plan.changed if one.manifest.comes_first and str(one.id) not in tried]
        if plan.changed or plan.waiting or (plan.stale and self._place.prune):
            new = _joined(new, plan.wanted)
            await announce(new)
        if first:
            done = await self._apply(first, plan, new, commit.name, deadline)
            failures, applied = done.failures, done.applied
        if plan.waiting or first:
            plan = await self._plan_again(commit, new, plan.waiting)
            new = _joined(new, plan.wanted)
            await announce(new)
        tried |= {str(one.id) for one in first}
        rest = [one for one in plan.changed if str(one.id) not in tried]
        done = await self._apply(rest, plan, new, commit.name, deadline)
        unfinished, applied = done.left > 0, applied + done.applied
        names = {str(one.id) for one in plan.changed}
        failures += [*done.failures, *(one for one in failed if one.what in names), *plan.failures]
        report = Report(new, tuple(failures), applied=applied, unfinished=unfinished)
        if not commit.whole or failures or unfinished:
            return report
        return await self._left(report, plan, commit, patient=patient)

    async def _left(self, report: Report, plan: Plan, commit: Commit, *, patient: bool) -> Report:
        """What has gone from the repository."""
        inventory = dict(report.inventory)
        if not self._place.prune:
            for key in plan.stale:
                inventory.pop(key, None)
            return replace(report, inventory=inventory, failures=tuple(plan.unread))
        if not commit.manifests:
            return report
        left = Leaving({}, ())
        if any(key in plan.live for key in plan.stale):
            try:
                left = await leaving(self._owners, self._place, plan.stale, commit.source, commit.name)
            except KubeError as error:
                why = f"nothing is pruned, as the other ReleaseRepositories cannot be read: {error}"
                return replace(report, failures=(Failure("prune", why),))
        if left.awaited and patient:
            return replace(report, awaited=left.awaited)
        gone = {key: plan.live.get(key) for key in plan.stale if key not in left.moved}
        pruning = await prune(self._kube, plan.resources, gone)
        for key in (*pruning.gone, *left.moved):
            inventory.pop(key, None)
        return replace(
            report,
            inventory=inventory,
            failures=(*pruning.failures, *plan.unread),
            kept=pruning.kept,
            pruned=pruning.deleted,
            moved=frozenset(left.moved.values()),
        )

    async def _plan(self, commit: Commit, inventory: Inventory, kinds_older_than_s: float) -> Plan:
        return await plan(
            self._kube,
            self._discovery,
            self._place,
            commit.manifests,
            inventory,
            kinds_older_than_s=kinds_older_than_s,
        )

    async def _plan_again(self, commit: Commit, inventory: Inventory, waiting: Sequence[Manifest]) -> Plan:
        """With the kinds that CRDs of the same commit make, once they are served."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NEW_KINDS_S
        wanted = {(one.api_version, one.kind) for one in waiting}
        while None in (await self._discovery.find_all(self._kube, wanted, older_than_s=0.0)).values():
            if loop.time() >= deadline:
                break
            await asyncio.sleep(_NEW_KIND_POLL_S)
        plan = await self._plan(commit, inventory, _KINDS_KNOWN_FOR_S)
        plan.failures += [
            Failure(f"{one.kind} {one.name}", f"{one.file}: its CRD is not served yet") for one in plan.waiting
        ]
        return plan

    # -- doing it ------------------------------------------------------------------------------------------------

    async def _apply(
        self, wanted: Sequence[Wanted], plan: Plan, new: dict[ObjectId, Entry], commit: str, deadline: float
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
                answer = await self._apply_one(
                    item, plan.resources[item.id], live, new, _commit(item, new, live, commit)
                )
            except FencedError:
                raise
            except (ForeignError, KubeError) as error:
                return Failure(str(item.id), f"{item.manifest.file}: {error}")
            new[item.id] = replace(new[item.id], digest=item.digest, state=state_of(answer["metadata"]))
            return None

        failures = [failure for failure in await cluster.each(wanted, one) if failure is not None]
        return _Done(failures, len(wanted) - len(failures) - left, left)

    async def _apply_one(
        self, item: Wanted, resource: Resource, live: Mapping[str, Any] | None, inventory: Inventory, commit: str
    ) -> dict[str, Any]:
        """Raises ForeignError, KubeError."""
        if live is None:
            await refuse_foreign(self._kube, self._owners, self._place, item, resource, inventory)
        body = item.at(commit)
        forced = (body["metadata"]["annotations"] or {}).get(FORCE) == "true"
        if live is not None and has_replicas(live) and not wants_replicas(body):
            await self._hand_over_replicas(item, resource)
        try:
            return await apply(self._kube, resource, body, manager=MANAGER, force=forced)
        except ConflictError as error:
            claims = claims_of(error)
            taken = {claim for claim in claims if not _may_take(claim.manager, claim.field)}
            others = sorted({claim.manager for claim in taken})
            if not claims:
                raise
            if taken == {_SPLIT} and await self._is_split(item, resource):
                # at rest they are ours again: then its fields are not as they were applied, and it is applied once more
                rest = {**body, "spec": {key: value for key, value in body["spec"].items() if key != "rules"}}
                return await apply(self._kube, resource, rest, manager=MANAGER, force=len(claims) > 1)
            if others:
                fields = ", ".join(sorted({claim.field for claim in claims if claim.manager in others})[:5])
                raise ConflictError(
                    error.status,
                    error.reason,
                    f"{' and '.join(others)} has {fields}; take that out of the manifest, or annotate it with "
                    f'{FORCE}: "true"',
                ) from error
            return await apply(self._kube, resource, body, manager=MANAGER, force=True)

    async def _is_split(self, item: Wanted, resource: Resource) -> bool:
        """A route whose rules Pointsman has for as long as a rollout lasts. Raises KubeError."""
        if (resource.group, resource.kind) != (HTTP_ROUTES.group, HTTP_ROUTES.kind):
            return False
        route = await self._kube.find(resource, item.id.namespace or None, item.id.name)
        return route is not None and is_split_for(route, MANAGER)

    async def _hand_over_replicas(self, item: Wanted, resource: Resource) -> None:
        """Before they leave the manifest. Raises KubeError."""
        there = await self._kube.find(resource, item.id.namespace or None, item.id.name)
        replicas = ((there or {}).get("spec") or {}).get("replicas")
        if not isinstance(replicas, int):
            return
        metadata = {"name": item.id.name} | ({"namespace": item.id.namespace} if item.id.namespace else {})
        body = {"apiVersion": item.body["apiVersion"], "kind": item.id.kind, "metadata": metadata}
        await apply(self._kube, resource, {**body, "spec": {"replicas": replicas}}, manager=_HANDED_OVER, force=False)


def _may_take(manager: str, at: str) -> bool:
    """People's edits give way to the repository, and replicas that no autoscaler sets. Another controller's field does
    not: both would write for ever.
    """
    return manager.startswith("kubectl") or manager in ("before-first-apply", _HANDED_OVER) or at == _REPLICAS


def _joined(inventory: Inventory, wanted: Iterable[Wanted]) -> dict[ObjectId, Entry]:
    """With what will be there. A line that is new says that its object may be there already."""
    found = dict(inventory)
    for one in wanted:
        version = one.manifest.api_version.rpartition("/")[2]
        before = found.get(one.id)
        if before is None or before.version != version:
            found[one.id] = Entry(version)
    return found


def _commit(one: Wanted, inventory: Inventory, live: Mapping[str, Any] | None, commit: str) -> str:
    """The one that brought it: what somebody else has changed is put back as it was."""
    entry = inventory.get(one.id)
    there = str((live.get("annotations") or {}).get(COMMIT, "")) if live is not None else ""
    return there if there and entry is not None and entry.digest == one.digest else commit
