"""What the Gateways say of an HTTPRoute, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller.kube.host_names import RouteName, parent_identity

_SHOWN = 300


def refusal(route: Mapping[str, Any]) -> str:
    """Why a parent does not accept it, in that parent's own words; empty where none refuses it."""
    for parent, conditions in _answers(route):
        accepted = conditions.get("Accepted", {})
        if accepted.get("status") == "False":
            said = " ".join(str(accepted.get("message", "")).split())[:_SHOWN]
            words = f"{accepted.get('reason', 'no reason given')}{': ' if said else ''}{said}"
            return f"{parent} does not accept the route ({words})"
    return ""


def unanswered(route: Mapping[str, Any]) -> str:
    """Which Gateway has said nothing of it, as one that is not there; a mesh need not answer."""
    for parent, conditions in _answers(route):
        if parent.startswith("Gateway ") and "Accepted" not in conditions:
            return f"{parent} has not said whether it accepts the route; is there such a Gateway, with a controller?"
    return ""


def rivalry(older: str, younger: RouteName) -> str:
    """That both ask for the same, which no Gateway says."""
    return (
        f"HTTPRoutes {older} and {younger} ask the same Gateway for the same host name and path. {older} is older and "
        "gets these requests; change the host names of one of the two Releases"
    )


def unresolved(route: Mapping[str, Any]) -> str:
    """Why a parent cannot lead its requests where it should, in that parent's own words; of the route as it is now."""
    generation = route["metadata"].get("generation", 0)
    for parent, conditions in _answers(route):
        resolved = conditions.get("ResolvedRefs", {})
        if resolved.get("status") == "False" and resolved.get("observedGeneration", generation) >= generation:
            said = " ".join(str(resolved.get("message", "")).split())[:_SHOWN]
            return f"{parent} cannot send where the route leads ({said})"
    return ""


def _answers(route: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Mapping[str, Any]]]]:
    """Each parent of the spec, as people know it, with the conditions that were written for it."""
    home = route["metadata"]["namespace"]
    answers = [one for one in (route.get("status") or {}).get("parents") or [] if isinstance(one, Mapping)]
    for parent in route.get("spec", {}).get("parentRefs") or []:
        wanted = parent_identity(parent, home)
        conditions = {
            str(condition.get("type")): condition
            for answer in answers
            if parent_identity(answer.get("parentRef") or {}, home) == wanted
            for condition in answer.get("conditions") or []
        }
        kind, namespace, name, *_ = wanted
        yield f"{kind} {namespace}/{name}", conditions
