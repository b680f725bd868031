"""An HTTPRoute of somebody else whose requests are split between versions: pure, from the objects as they were read.

Only backends that lead to Service NAME are changed. What they were is kept beside, in an annotation and by the same
write, by what its rule says and not by where that stands: rules may be moved, added or taken away meanwhile. Whose
spec.rules was is kept there too: the API server gives the field to who has written it last.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.api.names import BEFORE, MANAGED_BY, MANAGED_BY_LABEL, RELEASE_LABEL
from controller.kube.adopting import is_adopted, owned_by
from controller.kube.objects import child_name
from controller.kube.release_backends import ReleaseBackends, weight_of
from controller.kube.writers import Manager, managers_of, with_managers

_CHANGED = ("name", "weight")
"""Of a backend; everything else of it, such as its port and its filters, stays."""
_KEPT = "backendRefs"
_RULES = "rules"
_OPERATIONS = ("Apply", "Update")
_MOST_NAME = 128
"""Characters of a manager's name; the API server refuses an object with a longer one."""


@dataclass(frozen=True)
class _Remembered:
    rule: str
    """Its digest."""
    backend: Mapping[str, Any]
    """As it was."""


def route_refused(route: Mapping[str, Any], name: str) -> str:
    """Whose it is, so that it cannot be taken over by the Release `name`; empty where nobody minds."""
    metadata = route["metadata"]
    labels, where = metadata.get("labels") or {}, f"HTTPRoute {metadata['namespace']}/{metadata['name']}"
    other, owner = labels.get(RELEASE_LABEL, ""), owned_by(metadata)
    if other and other != name and is_adopted(metadata):
        return f"{where} is split for Release {other} now. This Release waits until that one is at rest."
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
        return f"{where} is made by Pointsman for Release {other}. Name another one in spec.traffic.gatewayAPI.route."
    if owner:
        return (
            f"{where} belongs to {owner}, which would put its backends back. Name another one, or take it from {owner}."
        )
    return ""


def is_split_for(route: Mapping[str, Any], manager: str) -> bool:
    """Whether its rules are Pointsman's now, and at rest those of this manager again, which applies them."""
    return is_adopted(route["metadata"]) and Manager(manager, "Apply") in _managers_before(route["metadata"])


def backends_refused(route: Mapping[str, Any], backends: ReleaseBackends) -> str:
    """Why it cannot be split between versions; empty where it can."""
    name, where = backends.name, f"HTTPRoute {route['metadata']['namespace']}/{route['metadata']['name']}"
    rules = rules_of(route)
    for number, rule in enumerate(rules, 1):
        references = rule.get(_KEPT) or []
        if len(references) > 1 and any(map(backends.has_service, references)):
            return (
                f"Rule {number} of {where} has other backends beside Service {name}, so its share cannot be split. "
                f"Give Service {name} a rule of its own."
            )
    if not any(is_led(rule, backends) for rule in rules):
        return (
            f"No rule of {where} leads to Service {name}. Give it one whose only backendRef is {name}, or correct "
            "spec.traffic.gatewayAPI.route.name."
        )
    return ""


def rules_of(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (route.get("spec") or {}).get("rules") or []


def is_led(rule: Mapping[str, Any], backends: ReleaseBackends) -> bool:
    """Whether its requests go to the Release's Service alone, or are split between versions of it."""
    references = rule.get(_KEPT) or []
    if any(map(backends.revision_of, references)):
        return True
    return len(references) == 1 and backends.has_service(references[0])


def versions_named(route: Mapping[str, Any], backends: ReleaseBackends) -> set[str]:
    """Services of versions that some rule names, as only `split` writes it."""
    references = [one for rule in rules_of(route) for one in rule.get(_KEPT) or []]
    return {backends.service_of(one) for one in references if backends.revision_of(one)}


def shares_of(rule: Mapping[str, Any], backends: ReleaseBackends, selected: str) -> Mapping[str, float]:
    """Percent by revision, of a rule that `is_led`. `selected`: the revision that the Release's Service selects; where
    it is empty, what goes to that Service goes to no version.
    """
    parts: dict[str, int] = {}
    for one in rule.get(_KEPT) or []:
        revision = backends.revision_of(one) or (selected if backends.has_service(one) else "")
        if revision:
            parts[revision] = parts.get(revision, 0) + weight_of(one)
    total = sum(parts.values())
    return {revision: part * 100 / total for revision, part in parts.items() if part} if total else {}


def split(route: Mapping[str, Any], backends: ReleaseBackends, parts: Mapping[str, int]) -> dict[str, Any]:
    """The route with its led rules split between versions. `parts`: weight by revision.

    It carries the label by which it is watched, and remembers what its backends were.
    """
    changed = copy.deepcopy(dict(route))
    metadata, name = changed["metadata"], backends.name
    remembered, kept = _remembered(metadata), []
    for rule in rules_of(changed):
        if not is_led(rule, backends):
            continue
        before = _before(rule, backends, remembered)
        kept.append({"rule": _digest(rule), "backendRef": before})
        ours = [{**before, "name": child_name(name, revision), "weight": part} for revision, part in parts.items()]
        rule[_KEPT] = [*ours, *_others(rule, backends)]
    metadata["labels"] = {**(metadata.get("labels") or {}), RELEASE_LABEL: name}
    managers = sorted(_managers_before(metadata) | managers_of(metadata, _RULES))
    before_it = {"rules": kept} | ({"managers": [[one.name, one.operation] for one in managers]} if managers else {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), BEFORE: _json(before_it)}
    return changed


def returned(route: Mapping[str, Any], backends: ReleaseBackends) -> dict[str, Any]:
    """The route with its backends as they were, and still marked as split: see `without_marks`, which follows."""
    changed = copy.deepcopy(dict(route))
    if not _may_be_returned(changed, backends):
        return changed
    remembered = _remembered(changed["metadata"])
    for rule in rules_of(changed):
        if any(map(backends.revision_of, rule.get(_KEPT) or [])):
            rule[_KEPT] = [_before(rule, backends, remembered), *_others(rule, backends)]
    return changed


def without_marks(route: Mapping[str, Any], backends: ReleaseBackends) -> dict[str, Any]:
    """The route, `returned` and read since, without anything of ours: no field of it is Pointsman's any longer."""
    changed = copy.deepcopy(dict(route))
    metadata = changed["metadata"]
    if not _may_be_returned(changed, backends):
        return changed
    if metadata.get("managedFields"):
        metadata["managedFields"] = with_managers(changed, _RULES, _managers_before(metadata))
    for kind, key in (("labels", RELEASE_LABEL), ("annotations", BEFORE)):
        left = {word: value for word, value in (metadata.get(kind) or {}).items() if word != key}
        metadata.pop(kind, None)
        if left:
            metadata[kind] = left
    return changed


def ports_led_to(route: Mapping[str, Any], backends: ReleaseBackends) -> list[int]:
    """Of the Release's Service, by which its led rules send."""
    led = [one for rule in rules_of(route) if is_led(rule, backends) for one in rule[_KEPT]]
    return sorted({int(one["port"]) for one in led if backends.include(one) and "port" in one})


def _before(rule: Mapping[str, Any], backends: ReleaseBackends, remembered: Sequence[_Remembered]) -> dict[str, Any]:
    """What led to the Service. A backend that nobody remembers differs from ours in nothing but name and weight."""
    ours = next(filter(backends.include, rule[_KEPT]))
    if backends.has_service(ours):
        return dict(ours)
    same = [one for one in remembered if _unchanged(one.backend) == _unchanged(ours)]
    same.sort(key=lambda one: one.rule != _digest(rule))
    return dict(same[0].backend) if same else {**ours, "name": backends.name, "weight": 1}


def _digest(rule: Mapping[str, Any]) -> str:
    """Of all that it says but where it leads."""
    said = {key: value for key, value in rule.items() if key != _KEPT}
    return hashlib.sha256(_json(said).encode()).hexdigest()[:16]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _unchanged(reference: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reference.items() if key not in _CHANGED}


def _others(rule: Mapping[str, Any], backends: ReleaseBackends) -> list[Any]:
    """Whom somebody has put beside them."""
    return [one for one in rule[_KEPT] if not backends.include(one)]


def _may_be_returned(route: Mapping[str, Any], backends: ReleaseBackends) -> bool:
    """What another Release has split is that one's to return."""
    return bool((route["metadata"].get("labels") or {}).get(RELEASE_LABEL, backends.name) == backends.name)


def _remembered(metadata: Mapping[str, Any]) -> list[_Remembered]:
    try:
        return [_Remembered(str(one["rule"]), dict(one["backendRef"])) for one in _noted(metadata, "rules")]
    except (ValueError, TypeError, KeyError):
        return []


def _managers_before(metadata: Mapping[str, Any]) -> set[Manager]:
    try:
        noted = {Manager(str(name), str(operation)) for name, operation in _noted(metadata, "managers")}
    except (ValueError, TypeError):
        return set()
    return {one for one in noted if 0 < len(one.name) <= _MOST_NAME and one.operation in _OPERATIONS}


def _noted(metadata: Mapping[str, Any], key: str) -> list[Any]:
    """What somebody has made of the annotation keeps nobody from giving the route back."""
    try:
        found = json.loads((metadata.get("annotations") or {}).get(BEFORE, "{}"))
    except ValueError:
        return []
    noted = found.get(key) if isinstance(found, dict) else None
    return noted if isinstance(noted, list) else []
