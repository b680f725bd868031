"""A second HTTPRoute, NAME-preview: requests that ask for it reach one version, whatever the weights.

It has a host name of its own, or the host names of the Release and a header. A Gateway prefers what matches more of a
request, so the header wins over the Release's own route.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.names import PART_LABEL
from controller.api.resources import HTTP_ROUTES
from controller.kube.client import InvalidError
from controller.kube.host_names import HostNames, RouteName
from controller.kube.objects import PREVIEW, Key, child_metadata, is_ours, labels_of, preview_name, taken
from controller.ports import KubeApi, Previewed, RoutedService, RouterError, TakenError
from controller.rollout.preview import Preview, Reach
from controller.routers._acceptance import refusal, rivalry
from controller.routers._written import contains

_PART = {PART_LABEL: PREVIEW}
_EVERY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}


class PreviewRoute:
    def __init__(self, target: RoutedService, kube: KubeApi, hosts: HostNames) -> None:
        self._hosts = hosts
        self._target = target
        self._kube = kube
        self._key = Key(target.namespace, target.name)
        self._name = preview_name(target.name)
        self._route = RouteName(target.namespace, self._name)
        self._seen: dict[str, Any] | None = None

    async def observe(self, wanted: Mapping[str, Any], port: Mapping[str, int]) -> Previewed:
        """`wanted`: `parentRefs`, `hostnames` and `rules` of the Release's own route; `port`: by revision."""
        self._seen = await self._kube.find(HTTP_ROUTES, self._target.namespace, self._name)
        if self._seen is None:
            self._hosts.forget_route(self._route)
            return Previewed()
        if not is_ours(self._seen["metadata"], self._target.name, self._target.owner):
            return Previewed(refused=taken(HTTP_ROUTES, self._target.namespace, self._name))
        found = _read(self._seen.get("spec") or {}, self._target.name, wanted)
        if found is None or found.revision not in port:
            return Previewed(Preview("", Reach()))
        as_written = contains(self._seen["spec"], self._spec(found, wanted, port[found.revision]))
        rival = self._hosts.rival(self._key, self._seen)
        refused = refusal(self._seen) or (rivalry(rival, self._route) if rival else "")
        return Previewed(found if as_written else Preview("", found.reach), refused)

    async def show(self, preview: Preview, wanted: Mapping[str, Any], port: int) -> None:
        """Raises RouterError."""
        spec = self._spec(preview, wanted, port)
        try:
            if self._seen is None:
                body = {
                    "apiVersion": HTTP_ROUTES.api_version,
                    "kind": HTTP_ROUTES.kind,
                    "metadata": child_metadata(self._key, self._name, _PART, self._target.owner),
                    "spec": spec,
                }
                self._seen = await self._kube.create(HTTP_ROUTES, self._target.namespace, body, strict=True)
                return
            self._refuse_foreign()
            route = copy.deepcopy(self._seen)
            route["metadata"]["labels"] = {**(route["metadata"].get("labels") or {}), **labels_of(self._key), **_PART}
            route["spec"] = spec
            self._seen = await self._kube.replace(HTTP_ROUTES, route, strict=True)
        except InvalidError as error:
            raise RouterError(f"the API server refuses the route of the preview: {error}") from error

    async def remove(self) -> None:
        if self._seen is None:
            self._seen = await self._kube.find(HTTP_ROUTES, self._target.namespace, self._name)
        if self._seen is not None and is_ours(self._seen["metadata"], self._target.name, self._target.owner):
            await self._kube.delete(HTTP_ROUTES, self._target.namespace, self._name, seen=self._seen)
        self._hosts.forget_route(self._route)
        self._seen = None

    def _refuse_foreign(self) -> None:
        if self._seen is not None and not is_ours(self._seen["metadata"], self._target.name, self._target.owner):
            raise TakenError(taken(HTTP_ROUTES, self._target.namespace, self._name))

    def _spec(self, preview: Preview, wanted: Mapping[str, Any], port: int) -> dict[str, Any]:
        reach = preview.reach
        backends = [{"name": f"{self._target.name}-{preview.revision}", "port": port}]
        rules = [_rule(rule, reach) | {"backendRefs": backends} for rule in wanted["rules"]]
        spec: dict[str, Any] = {"parentRefs": list(wanted["parentRefs"]), "rules": rules}
        hostnames = reach.hostnames or tuple(wanted.get("hostnames", ()))
        return spec | ({"hostnames": list(hostnames)} if hostnames else {})


def _rule(rule: Mapping[str, Any], reach: Reach) -> dict[str, Any]:
    if reach.header is None:
        return dict(rule)
    name, value = reach.header
    header = {"type": "Exact", "name": name, "value": value}
    matches = rule.get("matches") or [_EVERY_PATH]
    return {**rule, "matches": [{**match, "headers": [header, *_others(match, name)]} for match in matches]}


def _others(match: Mapping[str, Any], name: str) -> Sequence[Any]:
    """A match may name a header once, whatever its case."""
    return [one for one in match.get("headers") or [] if str(one.get("name", "")).lower() != name.lower()]


def _read(spec: Mapping[str, Any], name: str, wanted: Mapping[str, Any]) -> Preview | None:
    """What a route that Pointsman wrote leads to, and by what."""
    rules = spec.get("rules") or [{}]
    backends = rules[0].get("backendRefs") or [{}]
    revision = str(backends[0].get("name", "")).removeprefix(f"{name}-")
    hostnames = tuple(spec.get("hostnames") or ())
    if hostnames != tuple(wanted.get("hostnames", ())):
        return Preview(revision, Reach(hostnames))
    headers = (rules[0].get("matches") or [{}])[0].get("headers") or []
    if not headers:
        return None
    return Preview(revision, Reach(header=(str(headers[0].get("name")), str(headers[0].get("value")))))
