"""`gatewayAPI`: the weights of an HTTPRoute that Pointsman owns.

Git never holds the route, so git and cluster never differ about its weights.
"""

from __future__ import annotations

from typing import ClassVar

from controller.api.fields import record
from controller.api.resources import HTTP_ROUTES
from controller.api.resources import Rule as AccessRule
from controller.ports import RoutedService, RouterContext, Weights
from controller.rollout.sizing import Sizing
from controller.routers._http_route import EXAMPLE as EXAMPLE  # noqa: PLC0414 - a module exports it
from controller.routers._http_route import HttpRouter, RouteConfig, backends_of, led_by_another_kind
from controller.routers._written import contains

KIND = "gatewayAPI"
SIZING = Sizing.BY_WEIGHT
WATCHES = (HTTP_ROUTES,)
RULES = (AccessRule(HTTP_ROUTES, ("get", "list", "watch", "create", "update", "patch", "delete")),)


@record("By weights in an HTTPRoute with the Release's name, which Pointsman owns.")
class Config(RouteConfig):
    can: ClassVar[frozenset[str]] = frozenset({"preview", "threeWay"})


def create(config: Config | None, target: RoutedService, context: RouterContext) -> GatewayRouter:
    return GatewayRouter(config, target, context)


class GatewayRouter(HttpRouter):
    def __init__(self, config: Config | None, target: RoutedService, context: RouterContext) -> None:
        super().__init__(config, target, context)
        self._config = config

    async def observe(self) -> Weights | None:
        route = await self._find_route()
        if route is None or self._is_taken_over:
            return None
        weights = self._weights_of(backends_of(route))
        # a route that was changed by hand anywhere else is as good as one whose weights were: it is written anew
        as_written = self._config is None or contains(route["spec"], self._config.routed(self._backends(weights)))
        return Weights(weights.shares if as_written else {}, signs=self._signs(route))

    async def ensure(self, weights: Weights) -> bool:
        if self._is_taken_over:
            return False
        if self._config is None:
            return await self._lead_alone(self._backends(weights))
        return await self._write_route(self._config, self._backends(weights))

    async def reset(self, stable: str) -> None:
        del stable  # this route serves no traffic by now
        if not self._is_taken_over:
            await self._remove_route()

    @property
    def _is_taken_over(self) -> bool:
        """The router that follows has the same route, and leads it elsewhere: it is that router's, with its preview."""
        return self._config is None and self._seen is not None and led_by_another_kind(self._seen)
