"""Everything that can be known about manifests without a cluster, each object by itself and all of them together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import crds
from controller import registry
from controller.api import metric_source, metrics
from controller.api.action import parse_action
from controller.api.names import API_VERSION, GROUP
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec, parse_release
from controller.api.release_repository import parse_repository
from controller.cli import _cel, _schema
from controller.cli._config_maps import configuration_problems
from controller.cli._documents import Document
from controller.cli._pod_template import pod_template
from controller.providers.rendering import Renderer, RenderError

_MOST_PROBLEMS = 20
"""Of one object: more would hide the first ones."""
_STABLE, _CANARY = "a" * 10, "b" * 10
_SAMPLES: dict[metrics.ParameterType, metrics.Value] = {
    metrics.ParameterType.STRING: "a",
    metrics.ParameterType.NUMBER: 1.0,
    metrics.ParameterType.INTEGER: 1,
    metrics.ParameterType.DURATION: 60.0,
    metrics.ParameterType.BOOLEAN: True,
}
"""Stand in for parameters without default, so that a template without a Release is tried too."""


@dataclass(frozen=True)
class Problem:
    file: str
    line: int
    object: str
    path: str
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        return f"{where}{self.path}: {self.problem}" if self.path else f"{where}{self.problem}"


@dataclass
class Report:
    checked: int = 0
    skipped: int = 0
    problems: list[Problem] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Templates and sources that are named and not among the files, so nothing about their use is known."""

    def add(self, document: Document, error: SpecError) -> None:
        self.problems.append(
            Problem(document.file, document.line(error.path), document.title, error.path, error.problem)
        )


async def check(documents: Sequence[Document]) -> Report:
    report = Report()
    own = [document for document in documents if document.api_version.partition("/")[0] == GROUP]
    report.checked, report.skipped = len(own), len(documents) - len(own)
    parsed: list[tuple[Document, Any]] = []
    seen: dict[tuple[str, str, str], Document] = {}
    for document in own:
        found, result = _check_one(document)
        for error in found:
            report.add(document, error)
        if result is not None:
            parsed.append((document, result))
        if document.name:
            twin = seen.setdefault((document.kind, document.namespace, document.name), document)
            if twin is not document:
                where = f"{twin.file}:{twin.line('metadata.name')}"
                report.add(document, SpecError("metadata.name", f"duplicate {document.title}, first at {where}"))
    await _Together(parsed, report).check()
    for document, spec in parsed:
        if isinstance(spec, ReleaseSpec):
            for error in configuration_problems(document, spec, documents):
                report.add(document, error)
    report.problems.sort(key=lambda problem: (problem.file, problem.line))
    return report


# -- one by one ----------------------------------------------------------------------------------------------------


@cache
def _schemas() -> Mapping[str, Mapping[str, Any]]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in crds.definitions()
    }


def _check_one(document: Document) -> tuple[list[SpecError], Any]:
    """What is wrong, and what the parser made of it, or None."""
    if document.api_version != API_VERSION:
        return [SpecError("apiVersion", f"{document.api_version!r} is not {API_VERSION}")], None
    if document.kind not in _schemas():
        return [SpecError("kind", f"{document.kind!r} is not one of {', '.join(_schemas())}")], None
    content = {key: value for key, value in document.raw.items() if key != "metadata"}
    found = list(itertools.islice(_schema.problems(_schemas()[document.kind], content, ""), _MOST_PROBLEMS))
    found += _names(document)
    all_found = len(found) < _MOST_PROBLEMS  # else a rule might see a value of a wrong type
    broken = list(_cel.broken_rules(_schemas()[document.kind], document.raw, found)) if all_found else []
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


# -- together ------------------------------------------------------------------------------------------------------


class _Together:
    """References between the objects. Those to objects that are not here are left alone, and counted."""

    def __init__(self, parsed: Sequence[tuple[Document, Any]], report: Report) -> None:
        self._releases = [(at, spec) for at, spec in parsed if isinstance(spec, ReleaseSpec)]
        self._templates = [(at, spec) for at, spec in parsed if isinstance(spec, metrics.MetricTemplate)]
        self._sources = [(at, spec) for at, spec in parsed if isinstance(spec, metric_source.MetricSource)]
        self._report = report

    async def check(self) -> None:
        renderer = Renderer()
        try:
            broken = [at for at, template in self._templates if not await self._renders(renderer, at, template)]
            for at, template in self._templates:
                self._check_language(at, template)
            for at, release in self._releases:
                for index, metric in enumerate(release.analysis.metrics):
                    path = f"spec.analysis.metrics[{index}]"
                    found = _find(self._templates, metric.template, at.namespace)
                    if found is None:
                        self._unknown(f"MetricTemplate {metric.template}")
                        continue
                    try:
                        values = metrics.bind(found[1], metric.parameters, f"{path}.parameters")
                        self._check_access(at, found, path)
                        _check_unit(release, found[1], path)
                        if found[0] not in broken:
                            await renderer.render(found[1], values, self._context(at, found))
                    except SpecError as error:
                        self._report.add(at, error)
                    except RenderError as error:
                        self._report.add(at, SpecError(f"{path}.parameters", str(error)))
        finally:
            await renderer.close()

    def _unknown(self, title: str) -> None:
        if title not in self._report.unknown:
            self._report.unknown.append(title)

    async def _renders(self, renderer: Renderer, at: Document, template: metrics.MetricTemplate) -> bool:
        values = {
            parameter.name: _SAMPLES[parameter.type] if parameter.default is None else parameter.default
            for parameter in template.parameters
        }
        try:
            await renderer.render(template, values, self._context(at, (at, template)))
        except RenderError as error:
            self._report.add(at, SpecError("spec.query", str(error)))
            return False
        return True

    def _context(self, at: Document, template: tuple[Document, metrics.MetricTemplate]) -> metrics.Context:
        source = self._source_of(template)
        return metrics.Context(
            cluster="cluster",
            namespace=at.namespace or "default",
            service=at.name or "service",
            stable=_STABLE,
            canary=_CANARY,
            of_source=source[1].in_queries() if source else metrics.any_of_source(registry.kinds()),
        )

    def _source_of(
        self, template: tuple[Document, metrics.MetricTemplate]
    ) -> tuple[Document, metric_source.MetricSource] | None:
        """Beside the template. A namespace that kustomize or kubectl will fill in may be any."""
        at, spec = template
        beside = [
            (one, source)
            for one, source in self._sources
            if one.namespace == at.namespace or not one.namespace or not at.namespace
        ]
        return _find(beside, spec.source, at.namespace)

    def _check_language(self, at: Document, template: metrics.MetricTemplate) -> None:
        found = self._source_of((at, template))
        if found is None:
            self._unknown(f"MetricSource {template.source}")
            return
        spoken = registry.languages_of(found[1].kind)
        if template.language not in spoken:
            said = f"MetricSource {template.source} speaks {' and '.join(spoken)}, not {template.language}"
            self._report.add(at, SpecError("spec.language", said))

    def _check_access(self, at: Document, template: tuple[Document, metrics.MetricTemplate], path: str) -> None:
        source = self._source_of(template)
        if source is None or not at.namespace or not source[0].namespace:
            return
        if not source[1].serves(at.namespace, own=source[0].namespace):
            said = f"its {source[0].title} does not serve namespace {at.namespace}: see allowedNamespaces"
            raise SpecError(f"{path}.template", said)


def _check_unit(release: ReleaseSpec, template: metrics.MetricTemplate, path: str) -> None:
    if release.strategy.cookie and template.unit != metrics.CLIENT:
        raise SpecError(f"{path}.template", metrics.NOT_CLIENTS)


def _find(among: Sequence[tuple[Document, Any]], name: str, namespace: str) -> tuple[Document, Any] | None:
    """In the same namespace, or else in another one, which may be the operator's."""
    named = [(at, spec) for at, spec in among if at.name == name]
    return next((one for one in named if one[0].namespace == namespace), named[0] if named else None)
