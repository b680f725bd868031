"""What the routers share that lead requests by an HTTPRoute with the Release's name: its fields, owner and preview."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from controller.api.fields import NO_KINDS, Absent, Rule, field, record
from controller.api.reach import HOST_NAME
from controller.api.resources import HTTP_ROUTES, Resource
from controller.api.service import is_tcp
from controller.api.shapes import List, Open
from controller.kube.adopting import is_adopted
from controller.kube.client import InvalidError
from controller.kube.host_names import HostNames, RouteName
from controller.kube.objects import Key, child_metadata, is_ours, labels_of, taken
from controller.kube.writers import other_writer, written_at
from controller.ports import (
    Previewed,
    RoutedService,
    RouterContext,
    RouterError,
    RouterSigns,
    TakenError,
    Weights,
)
from controller.rollout.preview import Preview
from controller.routers import _mirror_filter
from controller.routers._acceptance import refusal, rivalry, unanswered
from controller.routers._preview_route import PreviewRoute
from controller.routers._written import contains

EXAMPLE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["shop.example.com"]}
PARTS = 10_000
"""Weights are parts of ten thousand, so that 0.5 % is a whole number."""

_OURS = "backendRefs are Pointsman's: leave them out"
_PARENT = Open(
    {"name": {"description": "Of the Gateway.", "type": "string", "minLength": 1, "maxLength": 253}},
    required=("name",),
)
PARENTS = List(_PARENT, 32, 1, needs="needs at least one parent, such as {name: public}")
_RULE = Open(
    {"backendRefs": {"description": "Not to be set.", **List(Open(), 16).schema(NO_KINDS)}},
    rules=(
        Rule(_OURS, cel="!has(self.backendRefs)", test=lambda rule: rule.get("backendRefs") is None, at="backendRefs"),
    ),
)


@record()
class RouteConfig:
    needs_tcp: ClassVar[bool] = True

    parent_refs: tuple[Mapping[str, Any], ...] = field(
        PARENTS,
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

    @property
    def unrouted(self) -> dict[str, Any]:
        """A route's spec that leads nowhere yet."""
        spec: dict[str, Any] = {
            "parentRefs": [dict(parent) for parent in self.parent_refs],
            "rules": [dict(rule) for rule in self.rules],
        }
        return spec | ({"hostnames": list(self.hostnames)} if self.hostnames else {})

    def routed(
        self, backends: Sequence[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """`filters`: besides those of the rules."""
        spec, rules = self.unrouted, []
        for rule in spec["rules"]:
            every = [*(rule.get("filters") or []), *filters]
            rules.append({**rule, "backendRefs": list(backends)} | ({"filters": every} if every else {}))
        return {**spec, "rules": rules}


class HttpRouter:
    """Of a Router: all but where its HTTPRoute leads."""

    def __init__(self, config: RouteConfig | None, target: RoutedService, context: RouterContext) -> None:
        self._hosts = context.service(HostNames)
        self._route_config = config
        self._target = target
        self._kube = context.kube
        self._key = Key(target.namespace, target.name)
        self._route_name = RouteName(target.namespace, target.name)
        self._seen: dict[str, Any] | None = None
        self._preview = PreviewRoute(target, context.kube, self._hosts)

    async def observe_preview(self) -> Previewed:
        if self._route_config is None:
            return Previewed()
        ports = {one: self._port(one) for one, given in self._target.ports_by_revision.items() if given}
        return await self._preview.observe(self._route_config.unrouted, ports)

    async def show(self, preview: Preview | None) -> None:
        if preview is None or self._route_config is None:
            await self._preview.remove()
        else:
            await self._preview.show(preview, self._route_config.unrouted, self._port(preview.revision))

    async def _find_route(self) -> dict[str, Any] | None:
        self._seen = await self._kube.find(HTTP_ROUTES, self._target.namespace, self._target.name)
        if self._seen is None:
            self._hosts.forget_route(self._route_name)
        return self._seen

    def _signs(self, route: Mapping[str, Any]) -> RouterSigns:
        rival = self._hosts.rival(self._key, route)
        return RouterSigns(
            edited_by=other_writer(route["metadata"]),
            refused=refusal(route) or (rivalry(rival, self._route_name) if rival else ""),
            unanswered=unanswered(route),
            written_at=written_at(route["metadata"]),
        )

    async def _write_route(
        self,
        config: RouteConfig,
        backends: Sequence[Mapping[str, Any]],
        filters: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Raises RouterError. Where the rest of it is refused, its rules lead to `backends` all the same.

        `filters`: ours, which copy requests.
        """
        wanted = config.routed(backends, filters)
        if self._seen is None:
            self._seen = await self._create(HTTP_ROUTES, wanted)
            return True
        self._refuse_foreign(HTTP_ROUTES, self._seen)
        if is_as_written(self._seen.get("spec") or {}, wanted):
            return False
        # the resourceVersion that was read goes along: a stale decision is answered 409; and a key that is misspelt is
        # refused: dropped, it would leave a rule that takes all requests
        try:
            self._seen = await self._kube.replace(HTTP_ROUTES, self._with_spec(self._seen, wanted), strict=True)
        except InvalidError as error:
            await self._lead_alone(backends, filters)
            raise RouterError(f"the API server refuses the route: {error}") from error
        return True

    async def _lead_alone(
        self, backends: Sequence[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]] = ()
    ) -> bool:
        """The route stays as it was last accepted, and leads elsewhere all the same: work can always be taken away.

        `filters`: ours, which copy requests. A field of theirs that the API server does not know is refused.
        """
        route = copy.deepcopy(self._seen)
        if route is None:
            return False
        self._refuse_foreign(HTTP_ROUTES, route)
        rules = route["spec"].get("rules") or []
        wanted = [
            _mirror_filter.with_filters(rule, self._target.name, filters) | {"backendRefs": list(backends)}
            for rule in rules
        ]
        if is_as_written({"rules": rules}, {"rules": wanted}):
            return False
        route["spec"]["rules"] = wanted
        self._seen = await self._kube.replace(HTTP_ROUTES, route, strict=bool(filters))
        return True

    async def _remove_route(self) -> None:
        seen = self._seen
        if seen is not None and self._is_ours(seen):
            await self._kube.delete(HTTP_ROUTES, self._target.namespace, self._target.name, seen=seen)
            self._seen = None
        await self._preview.remove()

    async def _create(self, resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
        """One with the Release's name. Raises RouterError."""
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": child_metadata(self._key, self._target.name, {}, self._target.owner),
            "spec": dict(spec),
        }
        try:
            return await self._kube.create(resource, self._target.namespace, body, strict=True)
        except InvalidError as error:
            raise RouterError(f"the API server refuses the {_word(resource)}: {error}") from error

    def _with_spec(self, seen: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        changed = copy.deepcopy(dict(seen))
        changed["metadata"]["labels"] = {**(changed["metadata"].get("labels") or {}), **labels_of(self._key)}
        return changed | {"spec": dict(spec)}

    def _is_ours(self, seen: Mapping[str, Any]) -> bool:
        """One that was there before the Release is none that it made."""
        return is_ours(seen["metadata"], self._target.name, self._target.owner) and not is_adopted(seen["metadata"])

    def _refuse_foreign(self, resource: Resource, seen: Mapping[str, Any]) -> None:
        if not self._is_ours(seen):
            raise TakenError(taken(resource, self._target.namespace, self._target.name))

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

    def _backends(self, weights: Weights) -> list[dict[str, Any]]:
        return [
            {"name": self._service(revision), "port": self._port(revision), "weight": round(share * PARTS / 100)}
            for revision, share in sorted(weights.shares.items())
        ]

    def _weights_of(self, backends: Iterable[Mapping[str, Any]]) -> Weights:
        prefix = f"{self._target.name}-"
        parts = {
            str(backend["name"]).removeprefix(prefix): int(backend.get("weight", 1))
            for backend in backends
            if str(backend.get("name", "")).startswith(prefix)
        }
        total = sum(parts.values())
        return Weights({revision: part * 100 / total for revision, part in parts.items() if part} if total else {})


def backends_of(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where its first rule leads; all rules of a route of ours lead there."""
    rules = (route.get("spec") or {}).get("rules") or [{}]
    return list(rules[0].get("backendRefs") or [])


def is_as_written(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return contains(spec, wanted) and _mirror_filter.have_as_many(spec.get("rules") or [], wanted["rules"])


def led_by_another_kind(route: Mapping[str, Any]) -> bool:
    """Whether its requests go to something else than Services: another router has the route."""
    return any(one.get("kind", "Service") != "Service" and one.get("weight", 1) for one in backends_of(route))


def _word(resource: Resource) -> str:
    return "route" if resource == HTTP_ROUTES else resource.kind
