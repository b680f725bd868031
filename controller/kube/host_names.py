"""Two routes that ask one Gateway for the same requests: only the older one gets them, and nobody says so.

The Gateway API lets the older route win, by name where both are as old; neither is refused. Routes are known once their
Release had a pass; those that no Release owns are not looked at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.kube.objects import Key

_EVERY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}
Age = tuple[str, str]
"""Of a route: when it was made, and its name."""


@dataclass
class HostNames:
    """Of all Releases of this operator. `wake`: has a Release looked at again."""

    wake: Callable[[Key], None] = lambda _: None
    _requests: dict[str, dict[Key, Age]] = field(default_factory=lambda: defaultdict(dict))
    """What is asked of a Gateway, and by which routes."""
    _known: dict[Key, frozenset[str]] = field(default_factory=dict)

    def rival(self, key: Key, route: Mapping[str, Any]) -> str:
        """The Release whose older route gets requests that this one asks for as well; empty where there is none."""
        metadata = route["metadata"]
        age = (str(metadata.get("creationTimestamp", "")), str(key))
        wanted = frozenset(_wanted(metadata["namespace"], route.get("spec") or {}))
        if self._known.get(key) != wanted:
            self.forget(key)
            self._known[key] = wanted
            for request in wanted:
                self._requests[request][key] = age
            self._wake_others(key, wanted, age)
        older = sorted(
            (other_age, other)
            for request in wanted
            for other, other_age in self._requests[request].items()
            if other_age < age
        )
        return str(older[0][1]) if older else ""

    def forget(self, key: Key) -> None:
        wanted = self._known.pop(key, frozenset())
        for request in wanted:
            routes = self._requests[request]
            routes.pop(key, None)
            if not routes:
                del self._requests[request]
        self._wake_others(key, wanted, ("", ""))

    def _wake_others(self, key: Key, wanted: frozenset[str], age: Age) -> None:
        """Those that are younger: what they get depends on this one."""
        younger = {
            other
            for request in wanted
            if request in self._requests
            for other, other_age in self._requests[request].items()
            if other != key and other_age > age
        }
        for other in younger:
            self.wake(other)


def parent_identity(parent: Mapping[str, Any], home: str) -> tuple[Any, ...]:
    """Kind, namespace, name and more, as the Gateway API tells parents apart. `home`: the namespace of the route."""
    return (
        parent.get("kind") or "Gateway",
        parent.get("namespace") or home,
        parent.get("name"),
        parent.get("sectionName") or "",
        parent.get("port") or 0,
    )


def _wanted(home: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """Gateway, host name and match, for each that the route asks for."""
    matches = [match for rule in spec.get("rules") or [{}] for match in rule.get("matches") or [_EVERY_PATH]]
    for parent in spec.get("parentRefs") or []:
        gateway = parent_identity(parent, home)
        for host in spec.get("hostnames") or [""]:
            for match in matches:
                yield json.dumps([*gateway, host.lower(), match], sort_keys=True)
