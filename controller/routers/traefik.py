"""`traefik`: the weights of a TraefikService, to which an HTTPRoute leads. Pointsman owns both.

Traefik reads the two by providers of its own, kubernetesGateway and kubernetesCRD, which do not wait for each other: a
route that leads to a TraefikService which the other one has not read yet is answered 404. So a route that serves is led
to a TraefikService in three writes, with time between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from controller.api.fields import field, record
from controller.api.resources import HTTP_ROUTES, TRAEFIK_SERVICES, Rule
from controller.api.shapes import Flag
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.clock import SteadyClock
from controller.kube.writers import written_at
from controller.ports import Previewed, RoutedService, RouterContext, RouterError, RouterSigns, Weights
from controller.rollout.preview import Preview, Reach
from controller.rollout.sizing import Sizing
from controller.routers._acceptance import unresolved
from controller.routers._http_route import EXAMPLE as EXAMPLE  # noqa: PLC0414 - a module exports it
from controller.routers._http_route import HttpRouter, RouteConfig, backends_of, is_as_written
from controller.routers._written import contains

KIND = "traefik"
SIZING = Sizing.BY_WEIGHT
WATCHES = (HTTP_ROUTES, TRAEFIK_SERVICES)
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
RULES = (Rule(HTTP_ROUTES, _VERBS), Rule(TRAEFIK_SERVICES, _VERBS))

_READ_S = 5.0
"""Traefik reads what was written within its providers' throttle, 2 s by default."""
_MOST_BODY = 1 << 20
"""Bytes. Traefik keeps a request's body for its copy; one that is longer is not copied."""
_UNKNOWN = "the API server knows no TraefikServices: install Traefik's CRDs (traefik.io/v1alpha1)"


@record(
    "By weights in a TraefikService, to which an HTTPRoute leads. Both have the Release's name; Pointsman owns them."
)
class Config(RouteConfig):
    can: ClassVar[frozenset[str]] = frozenset({"preview", "threeWay", "mirrorPercent", "sticky"})

    native_lb: bool = field(
        Flag(),
        "Traefik sends to the ClusterIP of a version. false: to its pods; then Traefik's kubernetesCRD provider needs "
        "allowEmptyServices, or a canary without a ready pod takes all requests down.",
        default=True,
        key="nativeLB",
    )


def create(config: Config | None, target: RoutedService, context: RouterContext) -> TraefikRouter:
    return TraefikRouter(config, target, context)


class TraefikRouter(HttpRouter):
    def __init__(self, config: Config | None, target: RoutedService, context: RouterContext) -> None:
        super().__init__(config, target, context)
        self._config = config
        self._now = context.service(SteadyClock).now
        self._service_seen: dict[str, Any] | None = None

    async def observe(self) -> Weights | None:
        route = await self._find_route()
        self._service_seen = await self._kube.find(TRAEFIK_SERVICES, self._target.namespace, self._target.name)
        if route is None or (self._config is None and not self._leads(route)):
            return None
        found = self._service_seen
        if found is None or not self._leads(route):
            return Weights({}, signs=self._signs(route))
        spec = found.get("spec") or {}
        weights = self._weights_of(_services_of(spec))
        as_written = self._config is None or (
            is_as_written(route["spec"], self._config.routed([self._reference]))
            and _is_service_as_written(spec, self._spec(self._config, weights, self._mirror()))
        )
        return Weights(weights.shares if as_written else {}, signs=self._signs(route))

    async def ensure(self, weights: Weights) -> bool:
        config, seen = self._config, self._seen
        if config is None:
            return await self._set_weights_alone(weights)
        if seen is not None:
            self._refuse_foreign(HTTP_ROUTES, seen)
        wrote = await self._write_service(self._spec(config, weights, self._mirror()))
        if seen is None or self._leads(seen) or not any(one.get("weight", 1) for one in backends_of(seen)):
            return await self._write_route(config, [self._reference]) or wrote
        if wrote or not self._was_read(self._service_seen):
            return wrote
        if self._unused_reference not in backends_of(seen):
            # without a request: whether this Gateway leads to TraefikServices at all
            return await self._lead_alone([*backends_of(seen), self._unused_reference])
        if not self._was_read(seen) or unresolved(seen):
            return False
        return await self._write_route(config, [self._reference])

    async def observe_preview(self) -> Previewed:
        mirror = self._mirror()
        return await super().observe_preview() if mirror is None else Previewed(mirror)

    async def show(self, preview: Preview | None) -> None:
        mirror = preview if preview is not None and preview.reach.mirror else None
        await super().show(preview if mirror is None else None)
        spec: dict[str, Any] = {}
        if self._config is not None and self._service_seen is not None:
            weights = self._weights_of(_services_of(self._service_seen["spec"]))
            spec = self._spec(self._config, weights, mirror)
            await self._write_service(spec)
        if mirror is not None and "mirroring" not in spec:
            raise RouterError("requests are copied only while one version has all of the work")

    async def reset(self, stable: str) -> None:
        del stable  # it serves no traffic by now
        if self._seen is not None and self._leads(self._seen):
            await self._remove_route()
        elif self._seen is not None and self._unused_reference in backends_of(self._seen):
            await self._lead_alone([one for one in backends_of(self._seen) if one != self._unused_reference])
        found = self._service_seen
        if found is not None and self._is_ours(found):
            await self._kube.delete(TRAEFIK_SERVICES, self._target.namespace, self._target.name, seen=found)
            self._service_seen = None

    def _signs(self, route: Mapping[str, Any]) -> RouterSigns:
        signs = super()._signs(route)
        if signs.refused or not (refused := unresolved(route)):
            return signs
        return RouterSigns(signs.edited_by, refused, signs.unanswered, signs.written_at)

    async def _set_weights_alone(self, weights: Weights) -> bool:
        found = self._service_seen
        if found is None:
            return False
        native = all(one.get("nativeLB", False) for one in _services_of(found["spec"]))
        kept = {key: value for key, value in found["spec"].get("weighted", {}).items() if key == "sticky"}
        return await self._write_service({"weighted": {"services": self._services(weights, native=native), **kept}})

    async def _write_service(self, spec: dict[str, Any]) -> bool:
        """Raises RouterError."""
        seen = self._service_seen
        if seen is None:
            try:
                self._service_seen = await self._create(TRAEFIK_SERVICES, spec)
            except NotFoundError as error:
                raise RouterError(_UNKNOWN) from error
            return True
        self._refuse_foreign(TRAEFIK_SERVICES, seen)
        if _is_service_as_written(seen.get("spec") or {}, spec):
            return False
        try:
            self._service_seen = await self._kube.replace(TRAEFIK_SERVICES, self._with_spec(seen, spec), strict=True)
        except InvalidError as error:
            raise RouterError(f"the API server refuses the TraefikService: {error}") from error
        return True

    def _spec(self, config: Config, weights: Weights, mirror: Preview | None) -> dict[str, Any]:
        """Copies are made only while one version has all of the work, and another one is to get them."""
        services = self._services(weights, native=config.native_lb)
        weighted = {"weighted": {"services": services, **self._sticky()}}
        revision = "" if mirror is None else mirror.revision
        if mirror is None or len(services) != 1 or not self._target.ports_by_revision.get(revision):
            return weighted
        serves = {key: value for key, value in services[0].items() if key != "weight"}
        copied = {**serves, "name": self._service(revision), "port": self._port(revision)}
        if copied["name"] == serves["name"]:
            return weighted
        mirrors = [{**copied, "percent": int(mirror.reach.mirror)}]
        return {"mirroring": {"kind": "Service", **serves, "maxBodySize": _MOST_BODY, "mirrors": mirrors}}

    def _sticky(self) -> dict[str, Any]:
        """Traefik names a version by a hash of its Service's name: whoever knows that can choose a version."""
        if not self._target.cookie:
            return {}
        return {"sticky": {"cookie": {"name": self._target.cookie, "httpOnly": True, "sameSite": "lax"}}}

    def _mirror(self) -> Preview | None:
        """As it is written."""
        mirroring = ((self._service_seen or {}).get("spec") or {}).get("mirroring")
        if not mirroring:
            return None
        first = (mirroring.get("mirrors") or [{}])[0]
        revision = str(first.get("name", "")).removeprefix(f"{self._target.name}-")
        return Preview(revision, Reach(mirror=float(first.get("percent", 0))))

    def _services(self, weights: Weights, *, native: bool) -> list[dict[str, Any]]:
        return [{**backend, "nativeLB": native} for backend in self._backends(weights)]

    def _leads(self, route: Mapping[str, Any]) -> bool:
        return any(contains(one, self._reference) and one.get("weight", 1) for one in backends_of(route))

    @property
    def _reference(self) -> dict[str, Any]:
        return {"group": TRAEFIK_SERVICES.group, "kind": TRAEFIK_SERVICES.kind, "name": self._target.name}

    @property
    def _unused_reference(self) -> dict[str, Any]:
        return {**self._reference, "weight": 0}

    def _was_read(self, written: Mapping[str, Any] | None) -> bool:
        """Traefik had its time to read it."""
        return written is not None and self._now() >= written_at(written["metadata"]) + _READ_S


def _services_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those that answer."""
    mirroring = spec.get("mirroring")
    return [mirroring] if mirroring else list((spec.get("weighted") or {}).get("services") or [])


def _is_service_as_written(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Fields that somebody has added count too: a TraefikService does what its first known field says."""
    return (
        contains(spec, wanted)
        and all(spec[key].keys() <= wanted[key].keys() for key in spec if key in wanted)
        and (spec.keys() <= wanted.keys())
    )
