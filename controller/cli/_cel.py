"""The CRDs' own CEL rules and patterns, as the API server holds a new object against them.

Google's CEL, with RE2 in it: no pattern takes more than linear time, and a rule that iterates without end is stopped.
Kubernetes' additions to CEL are declared here as far as the rules use them; a rule with another one does not compile,
which a test would see.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from controller.api.reading import SpecError

_RULES = "x-kubernetes-validations"
_OPEN = "x-kubernetes-preserve-unknown-fields"
_OF_CHANGES = "oldSelf"
"""The object as it was. A rule with it is for updates, and nothing is known of those here."""
_NAMES = ("name", "generateName")

Schema = Mapping[str, Any]


def matches(pattern: str, text: str) -> bool:
    """As RE2 finds it: `$` is the end of the text, not the end of its last line."""
    found: bool = _evaluate(f"self.matches({_quoted(pattern)})", text).value()
    return found


def broken_rules(schema: Schema, raw: Mapping[str, Any], found: Sequence[SpecError]) -> Iterator[SpecError]:
    """Where a rule does not hold, in the API server's words. Rules about what is in `found` already are left out."""
    metadata = raw.get("metadata")  # rules see two fields of it
    named = {key: metadata[key] for key in _NAMES if key in metadata} if isinstance(metadata, Mapping) else {}
    return _broken(schema, {**_filled(schema, raw), "metadata": named}, "", [one.path for one in found])


def _broken(schema: Schema, value: Any, path: str, wrong: Sequence[str]) -> Iterator[SpecError]:
    if not any(one == path or _lies_below(one, path) for one in wrong):
        for rule in schema.get(_RULES, ()):
            problem = _problem(rule, value)
            if problem is not None:
                yield SpecError(f"{path}{rule.get('fieldPath', '')}", problem)
    if isinstance(value, Mapping):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, item in value.items():
            if below := properties.get(key, others):
                yield from _broken(below, item, f"{path}.{key}" if path else str(key), wrong)
    elif isinstance(value, list) and (items := schema.get("items")):
        for index, item in enumerate(value):
            yield from _broken(items, item, f"{path}[{index}]", wrong)


def _lies_below(path: str, other: str) -> bool:
    return not other or path.startswith((f"{other}.", f"{other}["))


def _problem(rule: Mapping[str, Any], value: Any) -> str | None:
    expression = rule["rule"]
    if _OF_CHANGES in expression:
        return None
    try:
        result = _evaluate(expression, value)
    except RuntimeError as error:  # what a rule may cost is used up
        return f"cannot be checked: {error}"
    if result.type() != cel.Type.BOOL:
        return f"cannot be checked: {result.value()}"
    return None if result.value() else str(rule["message"])


def _evaluate(expression: str, value: Any) -> Any:
    return _compiled(expression).eval(_environment().Activation({"self": value}))


@cache
def _compiled(expression: str) -> Any:
    return _environment().compile(expression)


@cache
def _environment() -> Any:
    is_sorted = cel.Overload("is_sorted", cel.Type.BOOL, [cel.Type.LIST], is_member=True, impl=_is_sorted)
    of_kubernetes = cel.CelExtension("kubernetes", [cel.FunctionDecl("isSorted", [is_sorted])])
    return cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[ext_strings.ExtStrings(), of_kubernetes])


def _is_sorted(values: list[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(values))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _filled(schema: Schema, value: Any) -> Any:
    """As the API server sees it: with defaults, and without what no rule can see."""
    if isinstance(value, Mapping):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        filled = {}
        for key, item in value.items():
            below = properties.get(key, others)
            if item is None and below is not None and not below.get("nullable") and _has_type(below):
                continue
            if below is not None:  # no rule can see another one, not even where others are kept
                filled[key] = _filled(below, item)
        for key, below in properties.items():
            if key not in filled and "default" in below:
                filled[key] = _filled(below, copy.deepcopy(below["default"]))
        return filled
    if isinstance(value, list):
        return [_filled(schema.get("items", {}), item) for item in value]
    return value


def _has_type(schema: Schema) -> bool:
    return "type" in schema or not schema.get(_OPEN)
