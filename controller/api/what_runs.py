"""As much of a spec that cannot be meant as is needed to protect the users of what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.api.fields import Kinds
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec, parse_release

GIT_ORIGIN, NOTIFY = "gitOrigin", "notify"
_NEEDED = ("replicas", "template", "configRefs", "service", "traffic", "deletionPolicy", "adopt")
"""To move traffic."""


def parse_what_runs(name: str, raw: Mapping[str, Any], kinds: Kinds) -> ReleaseSpec:
    """Raises SpecError where not even its traffic can be moved."""
    found = {key: raw[key] for key in _NEEDED if key in raw}
    spec = parse_release(name, found, kinds)
    unread = set[str]()
    for key in (NOTIFY, GIT_ORIGIN):  # of what is owed
        if key in raw:
            try:
                spec = parse_release(name, {**found, key: raw[key]}, kinds)
            except SpecError:
                unread.add(key)
            else:
                found[key] = raw[key]
    return replace(spec, unread=frozenset(unread))
