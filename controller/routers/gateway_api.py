"""`gatewayAPI`: the weights of an HTTPRoute that Pointsman owns, or of one that is there already (`route`).

Git never holds the one that Pointsman owns, so git and cluster never differ about its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from controller.api.fields import Absent, Rule, field, record
from controller.api.resources import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, SERVICES
from controller.api.resources import Rule as AccessRule
from controller.api.shapes import NAME, Record, Text
from controller.kube.adopting import is_adopted
from controller.kube.client import InvalidError
from controller.ports import Lack, Previewed, RoutedService, Router, RouterContext, RouterError, Weights
from controller.rollout.preview import Preview, Reach
from controller.rollout.sizing import Sizing
from controller.routers import _gateway_features as features
from controller.routers._existing_route import ExistingRoute
from controller.routers._http_route import EXAMPLE as EXAMPLE  # noqa: PLC0414 - a module exports it
from controller.routers._http_route import (
    PARENTS,
    HttpRouter,
    RouteConfig,
    backends_of,
    is_as_written,
    led_by_another_kind,
)
from controller.routers._mirror_filter import is_mirror, mirror_filter, mirrored, ours_in
from controller.routers._written import contains

KIND = "gatewayAPI"
SIZING = Sizing.BY_WEIGHT
WATCHES = (HTTP_ROUTES,)
RULES = (
    AccessRule(HTTP_ROUTES, ("get", "list", "watch", "create", "update", "patch", "delete")),
    AccessRule(SERVICES, ("get",)),
    AccessRule(GATEWAYS, ("get",)),
    AccessRule(GATEWAY_CLASSES, ("get",)),
)

_WAYS_OUT = "Use a GatewayClass that does, or traffic.traefik, or leave the step out"


@record("An HTTPRoute that is there already: see [Adopting](../controller/docs/adopting.md#a-route-of-yours).")
class NamedRoute:
    name: str = field(
        Text(253, 1, NAME, "the name of an HTTPRoute"),
        "Of an HTTPRoute in the Release's namespace. During a rollout those of its backends that lead to Service NAME "
        "are split between versions; at rest it is as you wrote it.",
    )


_NEEDS_ONE = "needs at least one parent, such as {name: public}, or route, an HTTPRoute that is there already"
_ALONE = "stands alone: parentRefs, hostnames and rules are those of the HTTPRoute that it names"


@record(
    "By weights in an HTTPRoute: one with the Release's name, which Pointsman owns, or one of yours (`route`).",
    rules=[
        Rule(
            _NEEDS_ONE,
            cel="has(self.parentRefs) || has(self.route)",
            test=lambda config: bool(config.parent_refs or config.route),
            at="parentRefs",
        ),
        Rule(
            _ALONE,
            cel="!has(self.route) || !(has(self.parentRefs) || has(self.hostnames) || has(self.rules))",
            test=lambda config: config.route is None or not config.makes_one,
            at="route",
        ),
    ],
)
class Config(RouteConfig):
    can: ClassVar[frozenset[str]] = frozenset({"preview", "threeWay", "mirrorPercent"})

    parent_refs: tuple[Mapping[str, Any], ...] = field(
        PARENTS,
        "Gateways (or, in a mesh, Services) the route attaches to, as in an HTTPRoute.",
        default=Absent(()),
    )
    route: NamedRoute | None = field(
        Record(NamedRoute),
        "Instead of all other fields: an HTTPRoute that is there already, whose backends are taken over.",
        default=Absent(None),
    )

    @property
    def makes_one(self) -> bool:
        """Some of it says what a route of Pointsman's is like."""
        return bool(self.parent_refs or self.hostnames or any(self.rules))


def create(config: Config | None, target: RoutedService, context: RouterContext) -> Router:
    if config is not None and config.route is not None:
        return ExistingRoute(config.route.name, target, context, GatewayRouter(None, target, context))
    return GatewayRouter(config, target, context)


class GatewayRouter(HttpRouter):
    def __init__(self, config: Config | None, target: RoutedService, context: RouterContext) -> None:
        super().__init__(config, target, context)
        self._config = config
        self._existing = ExistingRoute("", target, context)
        """One that is split, and that the spec does not name any longer."""
        self._lacks: dict[tuple[str, ...], Lack | None] = {}

    async def observe(self) -> Weights | None:
        route = await self._find_route()
        held = await self._existing.observe() if self._may_hold(route) else None
        if self._config is None and (self._existing.holds or route is None or is_adopted(route["metadata"])):
            return held
        if route is None or self._is_taken_over:
            return None
        weights = self._weights_of(backends_of(route))
        # a route that was changed by hand anywhere else is as good as one whose weights were: it is written anew
        as_written = self._config is None or is_as_written(
            self._without_trial(route["spec"]), self._config.routed(self._backends(weights), self._filters(weights))
        )
        is_alone = self._config is None or not self._existing.holds
        return Weights(weights.shares if as_written and is_alone else {}, signs=self._signs(route))

    async def ensure(self, weights: Weights) -> bool:
        if self._config is None and self._existing.holds:
            return await self._existing.ensure(weights)
        if self._is_taken_over:
            return False
        if self._existing.holds:
            await self._existing.give_back()
            await self._find_route()
        backends, filters = self._backends(weights), self._filters(weights)
        if self._config is None:
            return await self._lead_alone(backends, filters)
        return await self._write_route(self._config, backends, filters)

    def _may_hold(self, route: Mapping[str, Any] | None) -> bool:
        """`route`: the one with the Release's name. The spec may have named another one until now, which no pass has
        given back: it is a request to look for that.
        """
        if self._config is None:
            return True
        is_new = route is None or is_adopted(route["metadata"])
        return not self._target.at_rest and (is_new or self._target.deleting)

    async def lacks(self, reach: Reach) -> Lack | None:
        if self._config is None or not reach.mirror:
            return None
        needed = [features.MIRROR]
        if reach.mirror < 100:  # noqa: PLR2004 - percent
            needed.append(features.PERCENTAGE)
        if any(is_mirror(one) for rule in self._config.rules for one in rule.get("filters") or []):
            needed.append(features.MULTIPLE)
        key = tuple(needed)
        if key not in self._lacks:
            home = self._target.namespace
            self._lacks[key] = await features.lacked(self._kube, self._config.parent_refs, home, key)
        lack = self._lacks[key]
        return lack if lack is None or not lack.is_certain else Lack(f"{lack.message}. {_WAYS_OUT}")

    async def observe_preview(self) -> Previewed:
        found = self._mirror()
        if found is None:
            return await super().observe_preview()
        seen = mirrored(found, self._target.name)
        ports = self._target.ports_by_revision.get(seen.revision)
        as_written = not ports or contains(found, self._mirror_to(seen))
        return Previewed(seen if as_written else Preview("", seen.reach))

    async def show(self, preview: Preview | None) -> None:
        mirror = preview if preview is not None and preview.reach.mirror else None
        await super().show(preview if mirror is None else None)
        if self._seen is None or self._is_taken_over or (mirror is None and self._mirror() is None):
            return
        backends = backends_of(self._seen)
        if mirror is None:
            await self._lead_alone(backends)
            return
        lack = await self.lacks(mirror.reach)
        if lack is not None:
            raise RouterError(lack.message)
        wanted = self._mirror_to(mirror)
        if not _is_beside(mirror.revision, self._weights_of(backends)):
            raise RouterError("requests are copied only while one version has all of the work")
        try:
            await self._lead_alone(backends, [wanted])
        except InvalidError as error:
            raise RouterError(f"the API server refuses to copy requests by the route: {error}") from error

    async def reset(self, stable: str) -> None:
        del stable  # this route serves no traffic by now
        if not self._is_taken_over:
            await self._remove_route()
        await self._existing.give_back()

    @property
    def holds(self) -> bool | None:
        return True if self._existing.holds else None

    @property
    def refused(self) -> str:
        return ""

    async def give_back(self) -> None:
        await self._existing.give_back()

    def _without_trial(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A router that was about to follow may have left a reference of its own, by which no request goes."""
        rules = [
            {**rule, "backendRefs": [one for one in rule.get("backendRefs") or [] if not self._is_trial(one)]}
            for rule in spec.get("rules") or []
        ]
        return {**spec, "rules": rules}

    def _is_trial(self, backend: Mapping[str, Any]) -> bool:
        ours = backend.get("kind", "Service") != "Service" and backend.get("name") == self._target.name
        return ours and backend.get("weight", 1) == 0

    def _filters(self, weights: Weights) -> list[Mapping[str, Any]]:
        """What copies requests stays as it is, while one version has all of the work and another gets copies."""
        found = self._mirror()
        if found is None or not _is_beside(mirrored(found, self._target.name).revision, weights):
            return []
        return [found]

    def _mirror(self) -> Mapping[str, Any] | None:
        """As it is written; all rules of a route of ours copy alike."""
        rules = [] if self._seen is None else (self._seen.get("spec") or {}).get("rules") or []
        return next((one for rule in rules for one in ours_in(rule, self._target.name)), None)

    def _mirror_to(self, mirror: Preview) -> dict[str, Any]:
        """Raises RouterError."""
        return mirror_filter(self._service(mirror.revision), self._port(mirror.revision), mirror.reach.mirror)

    @property
    def _is_taken_over(self) -> bool:
        """The router that follows has the same route, and leads it elsewhere: it is that router's, with its preview."""
        return self._config is None and self._seen is not None and led_by_another_kind(self._seen)


def _is_beside(revision: str, weights: Weights) -> bool:
    return len(weights.shares) == 1 and revision not in weights.shares
