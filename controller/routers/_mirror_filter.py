"""The filter of an HTTPRoute's rules that copies requests to one version. Rules may have filters of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.kube.objects import revision_named
from controller.rollout.preview import Preview, Reach

_WHOLE = 100


def mirror_filter(name: str, port: int, percent: float) -> dict[str, Any]:
    """`name`: of the Service that gets the copies. All requests are copied where a Gateway knows no percentages."""
    mirror: dict[str, Any] = {"backendRef": {"name": name, "port": port}}
    if percent < _WHOLE:
        mirror["percent"] = int(percent)
    return {"type": "RequestMirror", "requestMirror": mirror}


def is_mirror(one: Mapping[str, Any]) -> bool:
    return one.get("type") == "RequestMirror"


def ours_in(rule: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Those that copy to a version of the Release `name`."""
    return [one for one in rule.get("filters") or [] if is_mirror(one) and revision_named(name, _backend(one))]


def mirrored(found: Mapping[str, Any], name: str) -> Preview:
    """What a filter that `ours_in` has found does."""
    percent = found["requestMirror"].get("percent", _WHOLE)
    return Preview(revision_named(name, _backend(found)), Reach(mirror=float(percent)))


def with_filters(rule: Mapping[str, Any], name: str, filters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The rule with `filters` in the place of ours."""
    ours = ours_in(rule, name)
    every = [*(one for one in rule.get("filters") or [] if one not in ours), *filters]
    without = {key: value for key, value in rule.items() if key != "filters"}
    return without | ({"filters": every} if every else {})


def have_as_many(rules: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """A filter that somebody adds changes what happens to requests: what is not named counts as well."""
    counts = [[len(rule.get("filters") or []) for rule in some] for some in (rules, wanted)]
    return counts[0] == counts[1]


def _backend(found: Mapping[str, Any]) -> str:
    reference = (found.get("requestMirror") or {}).get("backendRef") or {}
    return "" if reference.get("namespace") or reference.get("kind", "Service") != "Service" else reference["name"]
