"""What can be known of one object by itself, without a cluster."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import crds
from controller import registry
from controller.api import metric_source, metrics
from controller.api.action import parse_action
from controller.api.names import API_VERSION
from controller.api.reading import SpecError
from controller.api.release import parse_release
from controller.api.release_repository import parse_repository
from controller.cli import _cel, _schema
from controller.cli._documents import Document
from controller.cli._pod_template import pod_template

_MOST_PROBLEMS = 20
"""Of one object: more would hide the first ones."""


@cache
def schemas() -> Mapping[str, Mapping[str, Any]]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in crds.definitions()
    }


def check_one(document: Document) -> tuple[list[SpecError], Any]:
    """What is wrong, and what the parser made of it, or None."""
    if document.api_version != API_VERSION:
        return [SpecError("apiVersion", f"{document.api_version!r} is not {API_VERSION}")], None
    if document.kind not in schemas():
        return [SpecError("kind", f"{document.kind!r} is not one of {', '.join(schemas())}")], None
    content = {key: value for key, value in document.raw.items() if key != "metadata"}
    found = list(itertools.islice(_schema.problems(schemas()[document.kind], content, ""), _MOST_PROBLEMS))
    found += _names(document)
    all_found = len(found) < _MOST_PROBLEMS  # else a rule might see a value of a wrong type
    broken = list(_cel.broken_rules(schemas()[document.kind], document.raw, found)) if all_found else []
    result, error = _parse(document)
    if error is not None and not any(_lies_above(one.path, error.path) for one in found):
        # the parser's sentence says more than the schema's, but for what is not there at all
        missing = any(one.path == error.path and one.problem == _schema.REQUIRED for one in found)
        found = found if missing else [*(one for one in found if one.path != error.path), error]
    found += _unless_parsed(broken, error)
    if document.kind == "Release":
        found += _pods(document.raw, found)
        found += _images(document.raw)
    return found, result if not found else None


def _unless_parsed(broken: Sequence[SpecError], error: SpecError | None) -> Sequence[SpecError]:
    """Without the rule that the parser has found broken too: its sentence is the more exact one."""
    around = [one for one in broken if error and (error.path == one.path or _lies_above(one.path, error.path))]
    return [one for one in broken if one not in around] if len(around) == 1 else broken


def _names(document: Document) -> Iterator[SpecError]:
    for key in ("name", "generateName", "namespace"):
        value = document.metadata.get(key)
        if value is not None and not isinstance(value, str):
            yield SpecError(f"metadata.{key}", f"must be a string, not {value!r:.60}")
    if not document.name and not document.metadata.get("generateName"):
        yield SpecError("metadata.name", "is required")


def _lies_above(path: str, other: str) -> bool:
    return not path or other.startswith((f"{path}.", f"{path}["))


def _parse(document: Document) -> tuple[Any, SpecError | None]:
    parse, spec = _PARSERS.get(document.kind), document.raw.get("spec")
    if parse is None or not isinstance(spec, Mapping):
        return None, None
    try:
        return parse(document.name or "unnamed", spec), None
    except SpecError as error:
        return None, error


def _source(name: str, spec: Mapping[str, Any]) -> metric_source.MetricSource:
    del name
    return metric_source.parse_source(spec, "spec", registry.kinds())


def _template(name: str, spec: Mapping[str, Any]) -> metrics.MetricTemplate:
    del name
    return metrics.parse_template(spec, "spec", languages=registry.dialects(), kinds=registry.kinds())


_PARSERS: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "Release": lambda name, spec: parse_release(name, spec, registry.kinds()),
    "MetricSource": _source,
    "MetricTemplate": _template,
    "ReleaseAction": lambda _, spec: parse_action(spec),
    "ReleaseRepository": lambda _, spec: parse_repository(spec),
}


def _templates(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The Release's own, and those of its steps, with their paths."""
    spec = raw.get("spec")
    if not isinstance(spec, Mapping):
        return  # the schema has said so
    yield "spec.template", spec.get("template")
    strategy = spec.get("strategy")
    for kind, fields in strategy.items() if isinstance(strategy, Mapping) else ():
        steps = fields.get("steps") if isinstance(fields, Mapping) else None
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            for word, one in step.items() if isinstance(step, Mapping) else ():
                if isinstance(one, Mapping) and "template" in one:
                    yield f"spec.strategy.{kind}.steps[{index}].{word}.template", one["template"]


def _pods(raw: Mapping[str, Any], found: Sequence[SpecError]) -> Iterator[SpecError]:
    """What a Deployment or a Job with these templates would be refused for, but for what is said already."""
    said = {one.path for one in found}
    for path, template in _templates(raw):
        if isinstance(template, Mapping):
            problems = _schema.problems(pod_template(), template, path)
            yield from (one for one in itertools.islice(problems, _MOST_PROBLEMS) if one.path not in said)


def _images(raw: Mapping[str, Any]) -> Iterator[SpecError]:
    for path, template in _templates(raw):
        yield from _images_of(path, template)


def _images_of(template_path: str, template: Any) -> Iterator[SpecError]:
    try:
        pod = template["spec"]
        containers = [
            (f"{template_path}.spec.{key}[{index}].image", container.get("image"))
            for key in ("initContainers", "containers")
            for index, container in enumerate(pod.get(key) or [])
        ]
    except (AttributeError, KeyError, TypeError):
        return  # the schema has said so
    for path, image in containers:
        if not isinstance(image, str) or not image:
            yield SpecError(path, "is required: the image, by digest or by a tag that does not move")
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@" not in image and tag in ("", "latest"):
            what = "is a tag that moves" if tag else "has no tag, which means latest"
            yield SpecError(path, f"{image!r} {what}: name a digest or a tag that stays")
