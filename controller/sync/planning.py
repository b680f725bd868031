"""What there is to do for one commit: which objects differ from it, and which have gone from it. Reads, and writes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api.resources import CRDS, HORIZONTAL_POD_AUTOSCALERS, Resource
from controller.kube.applying import Discovery, Kind
from controller.kube.client import KubeClient, KubeError
from controller.sync import cluster
from controller.sync.inventory import Inventory, state_of
from controller.sync.manifests import Failure, Manifest, ObjectId, Wanted, digest_of, placed, targets_of, unique

_MOST_LABEL = 63


@dataclass(frozen=True)
class Place:
    """Of a ReleaseRepository."""

    namespace: str
    name: str
    prune: bool = False

    @property
    def label(self) -> str:
        """On all that it applies; a label has 63 characters at most."""
        whole = f"{self.namespace}.{self.name}"
        return whole if len(whole) <= _MOST_LABEL else f"{self.name[:40].rstrip('.-')}.{digest_of(whole)}"


@dataclass(frozen=True)
class Source:
    """What is fetched; another one makes what was fetched before worthless."""

    url: str
    branch: str
    path: str


@dataclass
class Plan:
    wanted: list[Wanted]
    failures: list[Failure]
    """Of what the commit has."""
    waiting: list[Manifest]
    """Their kind is made by a CRD of the same commit."""
    resources: dict[ObjectId, Resource]
    live: Mapping[ObjectId, Mapping[str, Any]] = field(default_factory=dict)
    changed: list[Wanted] = field(default_factory=list)
    stale: list[ObjectId] = field(default_factory=list)
    """They have gone from the repository."""
    unread: list[Failure] = field(default_factory=list)
    """Of what has gone, and cannot be looked at: it stays as it is, and keeps no other from being deleted."""


async def plan(
    kube: KubeClient,
    discovery: Discovery,
    place: Place,
    manifests: Sequence[Manifest],
    inventory: Inventory,
    *,
    kinds_older_than_s: float,
) -> Plan:
    """`kube`: with the account's rights. An API that does not answer fails its own objects. Raises KubeError."""
    kinds = await discovery.find_all(kube, _named(manifests, inventory), older_than_s=kinds_older_than_s)
    known, waiting, failures = _by_kind(manifests, kinds)
    scaled = await _scaled(kube, place, known)
    known, unsure = scaled.decided(known, place)
    failures += unsure
    wanted, twice = unique(
        placed(
            one,
            namespaced=kind.namespaced,
            home=place.namespace,
            repository=place.label,
            scaled=target_of(one, place) in scaled.targets,
        )
        for one, kind in known
    )
    found = Plan(wanted, failures + twice, waiting, {})
    for item in wanted:
        kind = kinds[item.manifest.api_version, item.manifest.kind]
        if isinstance(kind, Kind):
            found.resources[item.id] = kind.resource
    there = {item.id for item in wanted} | _meant(manifests, inventory, place)
    problems = dict[ObjectId, KubeError]()
    for key, entry in inventory.items():
        kind = kinds[entry.api_version_of(key), key.kind]
        if isinstance(kind, KubeError):
            problems[key] = kind
        elif kind is not None:
            found.resources.setdefault(key, kind.resource)
    live = await cluster.read(kube, found.resources, place.label)
    problems |= live.problems
    found.live = live.found
    found.failures += [
        Failure(str(item.id), f"{item.manifest.file}: {problems[item.id]}") for item in wanted if item.id in problems
    ]
    found.wanted = [item for item in wanted if item.id not in problems]
    found.changed = [item for item in found.wanted if not _is_as_applied(item, inventory, live.found)]
    gone = [key for key in inventory if key not in there]
    found.stale = [key for key in gone if key not in problems]
    found.unread = [
        Failure(str(key), f"has gone from the repository and cannot be looked at: {problems[key]}")
        for key in gone
        if key in problems
    ]
    return found


def _named(manifests: Iterable[Manifest], inventory: Inventory) -> set[tuple[str, str]]:
    """Versions with kinds."""
    return {(one.api_version, one.kind) for one in manifests} | {
        (entry.api_version_of(key), key.kind) for key, entry in inventory.items()
    }


def _by_kind(
    manifests: Iterable[Manifest], kinds: Mapping[tuple[str, str], Kind | KubeError | None]
) -> tuple[list[tuple[Manifest, Kind]], list[Manifest], list[Failure]]:
    """Those whose kind is there, those that wait for it, and why the others are not applied."""
    known, waiting, failures = list[tuple[Manifest, Kind]](), list[Manifest](), list[Failure]()
    manifests = list(manifests)
    made = set(_made_kinds(manifests))
    for one in manifests:
        kind = kinds[one.api_version, one.kind]
        if isinstance(kind, Kind):
            known.append((one, kind))
        elif kind is None and (one.group, one.kind) in made:
            waiting.append(one)
        else:
            why = f"the cluster has no {one.kind} in {one.api_version}" if kind is None else str(kind)
            failures.append(Failure(f"{one.kind} {one.name}", f"{one.file}: {why}"))
    return known, waiting, failures


@dataclass(frozen=True)
class _Scaled:
    """What autoscalers of the commit, or of the cluster, set the replicas of."""

    targets: set[tuple[str, str, str]]
    problems: Mapping[str, KubeError]

    def decided(
        self, known: Iterable[tuple[Manifest, Kind]], place: Place
    ) -> tuple[list[tuple[Manifest, Kind]], list[Failure]]:
        """Without those whose replicas may be an autoscaler's, or not."""
        found, failures = list[tuple[Manifest, Kind]](), list[Failure]()
        for one, kind in known:
            target = target_of(one, place)
            problem = self.problems.get(target[0]) if wants_replicas(one.raw) and target not in self.targets else None
            if problem is None:
                found.append((one, kind))
            else:
                what = str(ObjectId(one.group, one.kind, target[0], one.name))
                why = f"{one.file}: whether an autoscaler has its replicas is not known: {problem}"
                failures.append(Failure(what, why))
        return found, failures


async def _scaled(kube: KubeClient, place: Place, known: Sequence[tuple[Manifest, Kind]]) -> _Scaled:
    with_replicas = [one for one, _ in known if wants_replicas(one.raw)]
    if not with_replicas:
        return _Scaled(set(), {})
    read = await cluster.scaled_by(kube, (target_of(one, place)[0] for one in with_replicas))
    targets = set(read.targets)
    for one, _ in known:
        if one.kind == HORIZONTAL_POD_AUTOSCALERS.kind:
            targets |= {(target_of(one, place)[0], kind, name) for kind, name in targets_of(one.raw)}
    return _Scaled(targets, read.problems)


def target_of(manifest: Manifest, place: Place) -> tuple[str, str, str]:
    """As an autoscaler names it: namespace, group/kind and name."""
    namespace = str(manifest.raw["metadata"].get("namespace") or place.namespace)
    return namespace, f"{manifest.group}/{manifest.kind}", manifest.name


def wants_replicas(body: Mapping[str, Any]) -> bool:
    """A spec may be anything: the API server refuses it for its object alone."""
    spec = body.get("spec")
    return isinstance(spec, Mapping) and "replicas" in spec


def _meant(manifests: Iterable[Manifest], inventory: Inventory, place: Place) -> set[ObjectId]:
    """Of the inventory, what the commit has, whether it can be applied or not: that has not gone."""
    wanted = {(one.group, one.kind, target_of(one, place)[0], one.name) for one in manifests}
    return {key for key in inventory if (key.group, key.kind, key.namespace or place.namespace, key.name) in wanted}


def _made_kinds(manifests: Iterable[Manifest]) -> Iterator[tuple[str, str]]:
    for one in manifests:
        spec = one.raw.get("spec")
        if one.kind == CRDS.kind and isinstance(spec, Mapping) and isinstance(spec.get("names"), Mapping):
            yield str(spec.get("group", "")), str(spec["names"].get("kind", ""))


def _is_as_applied(one: Wanted, inventory: Inventory, live: Mapping[ObjectId, Mapping[str, Any]]) -> bool:
    entry, metadata = inventory.get(one.id), live.get(one.id)
    if entry is None or metadata is None:
        return False
    version = one.manifest.api_version.rpartition("/")[2]
    return (entry.version, entry.digest, entry.state) == (version, one.digest, state_of(metadata))
