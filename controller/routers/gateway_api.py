"""`gatewayAPI`: the weights of an HTTPRoute that Pointsman owns.

Git never holds the route, so git and cluster never differ about its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from controller.api.fields import NO_KINDS, Absent, Rule, field, record
from controller.api.reach import HOST_NAME
from controller.api.resources import HTTP_ROUTES
from controller.api.resources import Rule as AccessRule
from controller.api.service import is_tcp
from controller.api.shapes import List, Open
from controller.kube.client import InvalidError
from controller.kube.host_names import HostNames, RouteName
from controller.kube.objects import Key, child_metadata, is_ours, labels_of, taken
from controller.kube.writers import other_writer, written_at
from controller.ports import (
    KubeApi,
    Previewed,
    RoutedService,
    RouterContext,
    RouterError,
    RouterSigns,
    TakenError,
    Weights,
)
from controller.rollout.preview import Preview
from controller.rollout.sizing import Sizing
from controller.routers._acceptance import refusal, rivalry, unanswered
from controller.routers._preview_route import PreviewRoute
from controller.routers._written import contains

KIND = "gatewayAPI"
SIZING = Sizing.BY_WEIGHT
WATCHES = (HTTP_ROUTES,)
RULES = (AccessRule(HTTP_ROUTES, ("get", "list", "watch", "create", "update", "patch", "delete")),)
EXAMPLE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["shop.example.com"]}

_REFUSED = "the API server refuses the route"
_PARTS = 10_000
"""Weights are parts of ten thousand, so that 0.5 % is a whole number."""


_OURS = "backendRefs are Pointsman's: leave them out"
_PARENT = Open(
    {"name": {"description": "Of the Gateway.", "type": "string", "minLength": 1, "maxLength": 253}},
    required=("name",),
)
_RULE = Open(
    {"backendRefs": {"description": "Not to be set.", **List(Open(), 16).schema(NO_KINDS)}},
    rules=(
        Rule(_OURS, cel="!has(self.backendRefs)", test=lambda rule: rule.get("backendRefs") is None, at="backendRefs"),
    ),
)


@record("By weights in an HTTPRoute with the Release's name, which Pointsman owns.")
class Config:
    needs_tcp: ClassVar[bool] = True
    can: ClassVar[frozenset[str]] = frozenset({"preview", "threeWay"})

    parent_refs: tuple[Mapping[str, Any], ...] = field(
        List(_PARENT, 32, 1, needs="needs at least one parent, such as {name: public}"),
        "Gateways (or, in a mesh, Services) the route attaches to, as in an HTTPRoute.",
    )
    hostnames: tuple[str, ...] = field(
        List(HOST_NAME, 16), "Host names of the route, as in an HTTPRoute.", default=Absent(())
    )
    rules: tuple[Mapping[str, Any], ...] = field(
        List(_RULE, 16, 1),
        "Rules as in an HTTPRoute, without backendRefs; default: one rule for everything.",
        default=Absent(({},)),
    )


def create(config: Config | None, target: RoutedService, context: RouterContext) -> GatewayRouter:
    return GatewayRouter(config, target, context.kube, context.service(HostNames))


class GatewayRouter:
    def __init__(self, config: Config | None, target: RoutedService, kube: KubeApi, hosts: HostNames) -> None:
        self._hosts = hosts
        self._config = config
        self._target = target
        self._kube = kube
        self._key = Key(target.namespace, target.name)
        self._route_name = RouteName(target.namespace, target.name)
        self._seen: dict[str, Any] | None = None
        self._preview = PreviewRoute(target, kube, hosts)

    async def observe(self) -> Weights | None:
        self._seen = await self._kube.find(HTTP_ROUTES, self._target.namespace, self._target.name)
        if self._seen is None:
            self._hosts.forget_route(self._route_name)
            return None
        rules = self._seen.get("spec", {}).get("rules") or [{}]
        weights = self._weights_of(rules[0].get("backendRefs") or [])
        # a route that was changed by hand anywhere else is as good as one whose weights were: it is written anew
        as_written = self._config is None or contains(self._seen["spec"], self._spec(self._config, weights))
        return Weights(weights.shares if as_written else {}, signs=self._signs(self._seen))

    def _signs(self, route: Mapping[str, Any]) -> RouterSigns:
        rival = self._hosts.rival(self._key, route)
        return RouterSigns(
            edited_by=other_writer(route["metadata"]),
            refused=refusal(route) or (rivalry(rival, self._route_name) if rival else ""),
            unanswered=unanswered(route),
            written_at=written_at(route["metadata"]),
        )

    async def ensure(self, weights: Weights) -> bool:
        if self._config is None:
            return await self._set_weights_alone(self._backends(weights))
        wanted = self._spec(self._config, weights)
        if self._seen is None:
            try:
                self._seen = await self._kube.create(
                    HTTP_ROUTES, self._target.namespace, self._route(wanted), strict=True
                )
            except InvalidError as error:
                raise RouterError(f"{_REFUSED}: {error}") from error
            return True
        self._refuse_foreign(self._seen)
        if contains(self._seen.get("spec"), wanted):
            return False
        route = copy.deepcopy(self._seen)
        route["metadata"]["labels"] = {**(route["metadata"].get("labels") or {}), **labels_of(self._key)}
        route["spec"] = wanted
        # the resourceVersion that was read goes along: a stale decision is answered 409; and a key that is misspelt is
        # refused: dropped, it would leave a rule that takes all requests
        try:
            self._seen = await self._kube.replace(HTTP_ROUTES, route, strict=True)
        except InvalidError as error:
            await self._set_weights_alone(wanted["rules"][0]["backendRefs"])
            raise RouterError(f"{_REFUSED}: {error}") from error
        return True

    async def reset(self, stable: str) -> None:
        del stable  # this route serves no traffic by now
        seen = self._seen
        if seen is not None and is_ours(seen["metadata"], self._target.name, self._target.owner):
            await self._kube.delete(HTTP_ROUTES, self._target.namespace, self._target.name, seen=seen)
            self._seen = None
        await self._preview.remove()

    async def observe_preview(self) -> Previewed:
        if self._config is None:
            return Previewed()
        ports = {one: self._port(one) for one, given in self._target.ports_by_revision.items() if given}
        return await self._preview.observe(self._unrouted(self._config), ports)

    async def show(self, preview: Preview | None) -> None:
        if preview is None or self._config is None:
            await self._preview.remove()
        else:
            await self._preview.show(preview, self._unrouted(self._config), self._port(preview.revision))

    async def _set_weights_alone(self, backends: list[dict[str, Any]]) -> bool:
        """The route stays as it was last accepted, and its weights move all the same: work can always be taken away."""
        route = copy.deepcopy(self._seen)
        if route is None:
            return False
        self._refuse_foreign(route)
        rules = route["spec"].get("rules") or []
        if not rules or all(contains(rule.get("backendRefs"), backends) for rule in rules):
            return False
        for rule in rules:
            rule["backendRefs"] = backends
        self._seen = await self._kube.replace(HTTP_ROUTES, route)
        return True

    def _refuse_foreign(self, route: Mapping[str, Any]) -> None:
        name = self._target.name
        if not is_ours(route["metadata"], name, self._target.owner):
            raise TakenError(taken(HTTP_ROUTES, self._target.namespace, name))

    def _route(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": HTTP_ROUTES.api_version,
            "kind": HTTP_ROUTES.kind,
            "metadata": child_metadata(self._key, self._target.name, {}, self._target.owner),
            "spec": dict(spec),
        }

    def _backends(self, weights: Weights) -> list[dict[str, Any]]:
        return [
            {"name": self._service(revision), "port": self._port(revision), "weight": round(share * _PARTS / 100)}
            for revision, share in sorted(weights.shares.items())
        ]

    def _spec(self, config: Config, weights: Weights) -> dict[str, Any]:
        backends, spec = self._backends(weights), self._unrouted(config)
        return {**spec, "rules": [{**rule, "backendRefs": backends} for rule in spec["rules"]]}

    @staticmethod
    def _unrouted(config: Config) -> dict[str, Any]:
        """A route's spec that leads nowhere yet."""
        spec: dict[str, Any] = {
            "parentRefs": [dict(parent) for parent in config.parent_refs],
            "rules": [dict(rule) for rule in config.rules],
        }
        if config.hostnames:
            spec["hostnames"] = list(config.hostnames)
        return spec

    def _service(self, revision: str) -> str:
        return f"{self._target.name}-{revision}"

    def _port(self, revision: str) -> int:
        ports = self._target.ports_of(revision)
        if not ports:
            raise RouterError(
                f"revision {revision} has no ports that a route could send to. Release spec.service.ports under the "
                "present spec.traffic first, then change spec.traffic."
            )
        # UDP beside TCP is HTTP/3, which the Gateway speaks and not the pods behind it
        return int(next(filter(is_tcp, ports), ports[0])["port"])

    def _weights_of(self, backends: list[Mapping[str, Any]]) -> Weights:
        prefix = f"{self._target.name}-"
        parts = {
            str(backend["name"]).removeprefix(prefix): int(backend.get("weight", 1))
            for backend in backends
            if str(backend.get("name", "")).startswith(prefix)
        }
        total = sum(parts.values())
        return Weights({revision: part * 100 / total for revision, part in parts.items() if part} if total else {})
