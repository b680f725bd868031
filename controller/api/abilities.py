"""What a router can do besides weights, and what steps and strategies need of it. What it cannot do is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.api.fields import Kinds, Place, Rule, declared

if TYPE_CHECKING:
    from controller.api.release import Written

_PREVIEW = "preview"
_CANNOT = {
    _PREVIEW: "{} cannot tell requests apart, as preview and header need. Use traffic.gatewayAPI or traffic.traefik, "
    "or leave it out",
    "mirrorPercent": "{} cannot copy requests, as mirror needs. Use traffic.gatewayAPI or traffic.traefik, or leave it "
    "out",
    "threeWay": "{} cannot split the work between three versions, as baseline: fresh needs. Use traffic.gatewayAPI or "
    "traffic.traefik, or baseline: stable",
    "sticky": "{} cannot keep a client with one version, as sticky needs. Use traffic.traefik, or leave it out",
}


@dataclass(frozen=True)
class _Wish:
    """A field of strategies that needs an ability."""

    key: str
    cel: str
    """That it is asked for, where `{}` is the strategy."""
    test: Callable[[Any], bool]
    """The same of its value."""


_WISHES = {
    _PREVIEW: _Wish("preview", "has({0}.preview)", lambda value: value is not None),
    "threeWay": _Wish("baseline", "has({0}.baseline) && {0}.baseline == 'fresh'", lambda value: value == "fresh"),
    "sticky": _Wish("sticky", "has({0}.sticky)", lambda value: value is not None),
}
"""By ability."""
_ONE_WAY = "there is another way to reach the new version before it (preview, a header or mirror step): leave one out"


def can_do_its_steps(written: Written, place: Place) -> None:
    """A router that cannot do what a step or a strategy needs is refused, and the step is never left out."""
    strategy, can = written.strategy.config, abilities(written.traffic.config)
    here, router = place.at("strategy").at(written.strategy.kind), f"spec.traffic.{written.traffic.kind}"
    for ability, wish in _WISHES.items():
        if ability not in can and wish.test(getattr(strategy, wish.key, None)):
            raise here.at(wish.key).refuse(_cannot(ability).format(router))
    for index, step in enumerate(strategy.steps):
        need: str = getattr(step, "needs", "")
        if need not in {"", *can}:
            raise here.at("steps").item(index).refuse(_cannot(need).format(router))


def previews_elsewhere(written: Written, place: Place) -> None:
    reach = written.strategy.config.reach
    everybodys = set(getattr(written.traffic.config, "hostnames", ()))
    for index, name in enumerate(() if reach is None else reach.hostnames):
        if name in everybodys:
            here = place.at("strategy").at(written.strategy.kind).at(_PREVIEW).at("hostnames").item(index)
            raise here.refuse(f"{name} is everybody's host name, by spec.traffic.{written.traffic.kind}.hostnames")


def reaches_in_one_way(written: Written, place: Place) -> None:
    """There is one route besides everybody's."""
    strategy, here = written.strategy.config, place.at("strategy").at(written.strategy.kind)
    others = "preview" if strategy.reach is not None else ""
    for index, step in enumerate(strategy.steps):
        reach = getattr(step, "reach", None)
        if reach is not None:
            if others and (others, reach.noun) != ("mirror", "mirror"):
                raise here.at("steps").item(index).refuse(_ONE_WAY)
            others = reach.noun


def preview_rules(kinds: Kinds) -> Iterator[Rule]:
    """As `previews_elsewhere`, for each router with host names and each strategy with a preview."""
    for router, config in kinds.of("routers").items():
        for kind, strategy in kinds.of("strategies").items():
            if "hostnames" in declared(config).keys and _PREVIEW in declared(strategy).keys:
                theirs, ours = f"self.traffic.{router}", f"self.strategy.{kind}"
                cel = (
                    f"!has({theirs}) || !has({theirs}.hostnames) || !has({ours}) || !has({ours}.{_PREVIEW}) || "
                    f"!has({ours}.{_PREVIEW}.hostnames) || "
                    f"!{ours}.{_PREVIEW}.hostnames.exists(name, name in {theirs}.hostnames)"
                )
                says = f"a host name of strategy.{kind}.{_PREVIEW} is everybody's, by traffic.{router}.hostnames"
                yield Rule(says, cel=cel)


def abilities(router: object) -> frozenset[str]:
    """Of a router's Config: what it can do beside weights, such as "preview"."""
    found: frozenset[str] = getattr(router, "can", frozenset())
    return found


def ability_rules(kinds: Kinds) -> Iterator[Rule]:
    """For each router what it cannot do: by strategy the fields, and the steps, that need what the router lacks."""
    needing = {word: step.needs for word, step in kinds.of("steps").items() if getattr(step, "needs", "")}
    for router, config in kinds.of("routers").items():
        for need in sorted({*_WISHES, *needing.values()} - abilities(config)):
            without = []
            for kind, strategy in kinds.of("strategies").items():
                here, keys = f"self.strategy.{kind}", declared(strategy).keys
                wish = _WISHES.get(need)
                if wish is not None and wish.key in keys:
                    without.append(f"(!has({here}) || !({wish.cel.format(here)}))")
                lacking = [word for word, one in needing.items() if one == need]
                if "steps" in keys and lacking:
                    none = " && ".join(f"!has(step.{word})" for word in lacking)
                    without.append(f"(!has({here}) || {here}.steps.all(step, {none}))")
            if without:
                cel = f"!has(self.traffic.{router}) || ({' && '.join(without)})"
                yield Rule(_cannot(need).format(f"traffic.{router}"), cel=cel)


def _cannot(need: str) -> str:
    return _CANNOT.get(need, f"{{}} lacks what a step needs ({need}). Use another router, or leave it out")
