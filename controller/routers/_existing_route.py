"""`gatewayAPI.route`: an HTTPRoute that somebody else keeps.

At rest it leads to Service NAME, as whoever wrote it says, and nothing of ours is in it. Only while there is work to
split its backends are versions: so what applies it from git finds it changed during a rollout, and never at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from controller.api.names import MANAGED_BY, MANAGED_BY_LABEL, PART_LABEL, RELEASE_LABEL, REVISION_LABEL
from controller.api.resources import HTTP_ROUTES, SERVICES
from controller.kube.adopting import is_adopted
from controller.kube.client import InvalidError, NotFoundError
from controller.kube.existing_routes import (
    backends_refused,
    is_led,
    ports_led_to,
    returned,
    route_refused,
    rules_of,
    shares_of,
    split,
    versions_named,
    without_marks,
)
from controller.kube.host_names import HostNames
from controller.kube.objects import is_ours, revision_named, selector
from controller.kube.release_backends import ReleaseBackends
from controller.kube.writers import other_writer, written_at
from controller.ports import (
    Lack,
    Previewed,
    RoutedService,
    Router,
    RouterContext,
    RouterError,
    RouterSigns,
    TakenError,
    Weights,
)
from controller.rollout.preview import Preview, Reach
from controller.routers._acceptance import refusal, unanswered
from controller.routers._http_route import PARTS, led_by_another_kind
from controller.routers._preview_route import PreviewRoute

_NO_COPIES = (
    "traffic.gatewayAPI.route names a route of yours, in which Pointsman does not copy requests. Let the Release make "
    "its own route (parentRefs), or leave the step out"
)


class ExistingRoute:
    """`name`: of the HTTPRoute; empty where the spec names none any longer, and one may still be split.

    `own`: leads by a route of the Release's own, which has the traffic until the named one is accepted.
    """

    def __init__(self, name: str, target: RoutedService, context: RouterContext, own: Router | None = None) -> None:
        self._name = name
        self._own = own
        self._target = target
        self._kube = context.kube
        self._preview = PreviewRoute(target, context.kube, context.service(HostNames))
        self._seen: dict[str, Any] | None = None
        self._selected = ""
        """The revision that Service NAME selects."""
        self._held: dict[str, dict[str, Any]] = {}
        """By name: routes that are split, and one that the Release made itself before."""
        self._backends = ReleaseBackends(target.namespace, target.name)
        """Of the Release; what of it is a stranger's is known once it was observed."""

    async def observe(self) -> Weights | None:
        namespace, name = self._target.namespace, self._target.name
        listed: list[dict[str, Any]] = []
        with suppress(NotFoundError):  # whoever takes the Gateway API away takes its routes
            listed = await self._kube.list(HTTP_ROUTES, namespace, labels=f"{RELEASE_LABEL}={name}")
        # a list may be a moment old, and must not have given back again what another Release has split by now
        fresh = [await self._kube.find(HTTP_ROUTES, namespace, item["metadata"]["name"]) for item in listed]
        self._held = {
            item["metadata"]["name"]: item
            for item in fresh
            if item is not None and (self._is_split(item) or (self._name and _is_left(item)))
        }
        wanted = self._name or next((each for each, item in self._held.items() if self._is_split(item)), "")
        self._seen = self._held.get(wanted)
        if wanted and self._seen is None:
            self._seen = await self._kube.find(HTTP_ROUTES, namespace, wanted)
        self._backends = ReleaseBackends(namespace, name, await self._find_strangers())
        leads = self._seen is not None and versions_named(self._seen, self._backends)
        if self._seen is not None and leads and not route_refused(self._seen, name):
            # also where somebody has taken the label from it
            self._held[wanted] = self._seen
        service = await self._kube.find(SERVICES, namespace, name)
        selects = {} if service is None else service["spec"].get("selector") or {}
        revision = str(selects.get(REVISION_LABEL, ""))
        self._selected = revision if selects == selector(name, revision) else ""
        if self._seen is None or _is_made(self._seen):
            return None
        if self._own is not None and self._waits:
            weights = await self._own.observe()
            return None if weights is None else replace(weights, signs=self._signs(self._seen))
        shares = [shares_of(rule, self._backends, self._selected) for rule in rules_of(self._seen) if self._leads(rule)]
        if not shares or (service is None and not any(shares)):
            # what leads to a Service that is not there leads nowhere: so nothing is split once a Release is gone
            return None
        # rules that differ are as good as weights that somebody has changed
        alike = all(one == shares[0] for one in shares)
        return Weights(shares[0] if alike else {}, signs=self._signs(self._seen))

    @property
    def holds(self) -> bool:
        """Follows `observe`."""
        return bool(self._held) and not self._waits

    @property
    def refused(self) -> str:
        """Why it cannot be taken over. Follows `observe`."""
        if self._seen is None:
            where = f"HTTPRoute {self._target.namespace}/{self._name}"
            return f"{where} does not exist. Create it, or correct spec.traffic.gatewayAPI.route.name."
        whose = route_refused(self._seen, self._target.name)
        serves = self._is_split(self._seen) and any(map(self._leads, rules_of(self._seen)))
        return whose or ("" if serves else backends_refused(self._seen, self._backends))

    async def ensure(self, weights: Weights) -> bool:
        seen, name, refused = self._seen, self._target.name, self.refused
        if seen is None or refused:
            is_taken = seen is not None and route_refused(seen, name)
            raise TakenError(refused) if is_taken else RouterError(refused)
        if self._own is not None and self._waits:
            return await self._own.ensure(weights)
        if weights.shares.keys() != {weights.stable}:
            # work can always be taken away, also while a rule leads to a port that no version has
            for revision in weights.shares:
                self._refuse_lost_ports(seen, revision)
        parts = {revision: round(share * PARTS / 100) for revision, share in sorted(weights.shares.items())}
        wanted = split(seen, self._backends, parts)
        wrote = wanted != seen
        if wrote:
            # with the resourceVersion that was read: what somebody writes meanwhile is answered 409, and never lost
            self._seen = await self._kube.replace(HTTP_ROUTES, wanted, strict=True)
            self._held[wanted["metadata"]["name"]] = self._seen
        await self._leave(wanted["metadata"]["name"])
        return wrote

    async def give_back(self) -> None:
        """It leads to Service NAME again, as before. Idempotent; follows `observe`. Raises RouterError."""
        if not self._waits:
            await self._leave()

    async def reset(self, stable: str) -> None:
        del stable  # it serves no traffic by now
        await self._leave()
        await self._preview.remove()

    async def lacks(self, reach: Reach) -> Lack | None:
        return Lack(_NO_COPIES) if reach.mirror else None

    async def observe_preview(self) -> Previewed:
        if self._seen is None:
            return Previewed()
        ports = {one: self._port(one) for one, given in self._target.ports_by_revision.items() if given}
        return await self._preview.observe(self._unrouted(self._seen), ports)

    async def show(self, preview: Preview | None) -> None:
        if preview is None or self._seen is None:
            await self._preview.remove()
            return
        if preview.reach.mirror:
            raise RouterError(_NO_COPIES)
        unrouted = self._unrouted(self._seen)
        everybodys = {*unrouted["hostnames"]} & {*preview.reach.hostnames}
        if everybodys:
            where = f"{self._target.namespace}/{self._name}"
            raise RouterError(f"{min(everybodys)} is everybody's host name, by HTTPRoute {where}")
        await self._preview.show(preview, unrouted, self._port(preview.revision))

    async def _leave(self, keep: str = "") -> None:
        """All that is held but `keep`."""
        for name, item in sorted(self._held.items()):
            if name == keep:
                continue
            try:
                await self._leave_one(name, item)
            except InvalidError as error:
                # what is never granted must not hold the deletion of a Release for ever
                where = f"HTTPRoute {self._target.namespace}/{name}"
                raise RouterError(f"the API server refuses to give {where} back: {error}") from error
            del self._held[name]

    @property
    def _waits(self) -> bool:
        """There is a route of the Release's own, and no Gateway that follows the one that is named instead."""
        seen = self._seen
        if seen is None or self._is_split(seen) or not any(map(_is_made, self._held.values())):
            return False
        return bool(refusal(seen) or unanswered(seen))

    async def _leave_one(self, name: str, item: dict[str, Any]) -> None:
        if _is_made(item):
            await self._kube.delete(HTTP_ROUTES, self._target.namespace, name, seen=item)
            return
        found = item
        # a route that leads back and is still marked is found again; what marks it goes last, with whose its fields are
        for step in (returned, without_marks):
            wanted = step(found, self._backends)
            found = found if wanted == found else await self._kube.replace(HTTP_ROUTES, wanted)
        self._seen = found if self._seen is item else self._seen

    def _unrouted(self, route: Mapping[str, Any]) -> dict[str, Any]:
        """Its spec, without where it leads; of its rules those that lead here."""
        spec = route["spec"]
        led = [rule for rule in rules_of(route) if self._leads(rule)]
        rules = [{key: value for key, value in rule.items() if key not in ("backendRefs", "name")} for rule in led]
        return {"parentRefs": spec.get("parentRefs") or [], "hostnames": spec.get("hostnames") or [], "rules": rules}

    def _leads(self, rule: Mapping[str, Any]) -> bool:
        return is_led(rule, self._backends)

    async def _find_strangers(self) -> frozenset[str]:
        """A Service that is not there is none of them: it may be that of a version that has been lost."""
        routes = [*self._held.values(), *([] if self._seen is None else [self._seen])]
        home, name = self._target.namespace, self._target.name
        named = {child for route in routes for child in versions_named(route, ReleaseBackends(home, name))}
        unknown = [one for one in sorted(named) if revision_named(name, one) not in self._target.ports_by_revision]
        found = [await self._kube.find(SERVICES, home, child) for child in unknown]
        others = [one["metadata"] for one in found if one is not None]
        return frozenset(one["name"] for one in others if not is_ours(one, name, self._target.owner))

    def _is_split(self, route: Mapping[str, Any]) -> bool:
        labels = route["metadata"].get("labels") or {}
        return labels.get(RELEASE_LABEL) == self._target.name and is_adopted(route["metadata"])

    def _signs(self, route: Mapping[str, Any]) -> RouterSigns:
        return RouterSigns(
            edited_by=other_writer(route["metadata"]),
            refused=refusal(route),
            unanswered=unanswered(route),
            written_at=written_at(route["metadata"]),
        )

    def _port(self, revision: str) -> int:
        """By which a preview is led."""
        route = self._seen or {"metadata": {"namespace": self._target.namespace}}
        led = ports_led_to(route, self._backends)
        return led[0] if led else int(self._target.ports_of(revision)[0]["port"])

    def _refuse_lost_ports(self, route: Mapping[str, Any], revision: str) -> None:
        given = {int(port["port"]) for port in self._target.ports_of(revision)}
        led = ports_led_to(route, self._backends)
        lost = [port for port in led if port not in given]
        if lost:
            where = f"HTTPRoute {self._target.namespace}/{route['metadata']['name']}"
            raise RouterError(
                f"{where} leads to port {lost[0]} of Service {self._target.name}, which revision {revision} does not "
                "have. Keep the port in spec.service.ports, or change the route first."
            )


def _is_left(route: Mapping[str, Any]) -> bool:
    """A route of the Release's own, unless it is that of another router, which is left by itself."""
    return _is_made(route) and not led_by_another_kind(route)


def _is_made(route: Mapping[str, Any]) -> bool:
    """By Pointsman, for a spec.traffic without `route`; previews are looked after by themselves."""
    labels = route["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and PART_LABEL not in labels
