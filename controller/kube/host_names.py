"""Two routes that ask one Gateway for the same requests: only the older one gets them, and nobody says so.

The Gateway API lets the older route win, by name where both are as old; neither is refused. Routes are known once their
Release had a pass, those of previews as well; those that no Release owns are not looked at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controller.kube.objects import Key

_EVERY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}
Age = tuple[str, str]
"""Of a route: when it was made, and its name."""


class RouteName(NamedTuple):
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class _Route:
    release: Key
    wanted: frozenset[str]
    """What it asks of Gateways."""


@dataclass
class HostNames:
    """Of all Releases of this operator. `wake`: has a Release looked at again."""

    wake: Callable[[Key], None] = lambda _: None
    _requests: dict[str, dict[RouteName, Age]] = field(default_factory=lambda: defaultdict(dict))
    """What is asked of a Gateway, and by which routes."""
    _known: dict[RouteName, _Route] = field(default_factory=dict)
    _of_releases: dict[Key, set[RouteName]] = field(default_factory=lambda: defaultdict(set))

    def rival(self, release: Key, route: Mapping[str, Any]) -> str:
        """The older route of another Release that gets requests which `route` asks for as well; empty where there is
        none.
        """
        metadata = route["metadata"]
        name = RouteName(metadata["namespace"], metadata["name"])
        age = (str(metadata.get("creationTimestamp", "")), str(name))
        found = _Route(release, frozenset(_wanted(name.namespace, route.get("spec") or {})))
        if self._known.get(name) != found:
            self.forget_route(name)
            self._known[name] = found
            self._of_releases[release].add(name)
            for request in found.wanted:
                self._requests[request][name] = age
            self._wake_others(found, age)
        older = sorted((other_age, other) for other, other_age in self._others(found) if other_age < age)
        return str(older[0][1]) if older else ""

    def forget(self, release: Key) -> None:
        """It is gone, with its routes."""
        for name in [*self._of_releases.get(release, ())]:
            self.forget_route(name)

    def forget_route(self, name: RouteName) -> None:
        route = self._known.pop(name, None)
        if route is None:
            return
        self._of_releases[route.release].discard(name)
        if not self._of_releases[route.release]:
            del self._of_releases[route.release]
        for request in route.wanted:
            routes = self._requests[request]
            routes.pop(name, None)
            if not routes:
                del self._requests[request]
        self._wake_others(route, ("", ""))

    def _wake_others(self, route: _Route, age: Age) -> None:
        """Those that are younger: what they get depends on this one."""
        for release in {self._known[other].release for other, other_age in self._others(route) if other_age > age}:
            self.wake(release)

    def _others(self, route: _Route) -> list[tuple[RouteName, Age]]:
        """Routes of other Releases that ask for some of the same."""
        return [
            (other, age)
            for request in route.wanted
            if request in self._requests
            for other, age in self._requests[request].items()
            if self._known[other].release != route.release
        ]


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
