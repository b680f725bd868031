"""What can be known of objects that refer to each other. Those that are not here are left alone, and counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller import registry
from controller.api import metric_source, metrics
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._documents import Document
from controller.cli._foreseen import evidence_problems
from controller.cli._hangs import hang_problems
from controller.cli._report import Report
from controller.providers.rendering import Renderer, RenderError
from controller.stats.power import Level

_MOST_RENDERING_S = 30.0
"""Of all templates together: each may take a tenth of a second, and whoever wants can write ten thousand."""
_STABLE, _CANARY = "a" * 10, "b" * 10
_SAMPLES: dict[metrics.ParameterType, metrics.Value] = {
    metrics.ParameterType.STRING: "a",
    metrics.ParameterType.NUMBER: 1.0,
    metrics.ParameterType.INTEGER: 1,
    metrics.ParameterType.DURATION: 60.0,
    metrics.ParameterType.BOOLEAN: True,
}
"""Stand in for parameters without default, so that a template without a Release is tried too."""

Named = dict[str, dict[str, tuple[Document, Any]]]
"""Objects by name and namespace."""


class Together:
    """References between the objects. Those to objects that are not here are left alone, and counted."""

    def __init__(self, parsed: Sequence[tuple[Document, Any]], report: Report, level: Level | None) -> None:
        self._releases = [(at, spec) for at, spec in parsed if isinstance(spec, ReleaseSpec)]
        self._templates = [(at, spec) for at, spec in parsed if isinstance(spec, metrics.MetricTemplate)]
        self._templates_named = _by_name(self._templates)
        self._sources_named = _by_name(
            (at, spec) for at, spec in parsed if isinstance(spec, metric_source.MetricSource)
        )
        self._report = report
        self._level = level
        self._unknown: dict[str, None] = {}
        self._render_until = time.monotonic() + _MOST_RENDERING_S

    async def check(self) -> None:
        renderer = Renderer()
        try:
            broken = {id(at) for at, template in self._templates if not await self._renders(renderer, at, template)}
            for at, template in self._templates:
                self._check_language(at, template)
            for at, release in self._releases:
                used: dict[str, metrics.MetricTemplate] = {}
                for index, metric in enumerate(release.analysis.metrics):
                    path = f"spec.analysis.metrics[{index}]"
                    found = _find(self._templates_named, metric.template, at.namespace)
                    if found is None:
                        self._unknown[f"MetricTemplate {metric.template}"] = None
                        continue
                    used[metric.name] = found[1]
                    try:
                        values = metrics.bind(found[1], metric.parameters, f"{path}.parameters")
                        self._check_access(at, found, path)
                        _check_unit(release, found[1], path)
                        if id(found[0]) not in broken:
                            await self._render(renderer, found[1], values, self._context(at, found))
                    except SpecError as error:
                        self._report.add(at, error)
                    except RenderError as error:
                        self._report.add(at, SpecError(f"{path}.parameters", str(error)))
                for index, gate in enumerate(release.analysis.alerts):
                    try:
                        self._check_gate(at, gate.source, f"spec.analysis.alerts[{index}].source")
                    except SpecError as error:
                        self._report.add(at, error)
                for problem in (*evidence_problems(release, used, self._level), *hang_problems(release, used)):
                    self._report.add(at, problem)
        finally:
            await renderer.close()
        self._report.unknown += self._unknown

    async def _render(
        self,
        renderer: Renderer,
        template: metrics.MetricTemplate,
        values: Mapping[str, metrics.Value],
        context: metrics.Context,
    ) -> None:
        """Raises RenderError."""
        if time.monotonic() > self._render_until:
            raise RenderError(f"not tried: the templates before it took {_MOST_RENDERING_S:g} s")
        await renderer.render(template, values, context)

    async def _renders(self, renderer: Renderer, at: Document, template: metrics.MetricTemplate) -> bool:
        values = {
            parameter.name: _SAMPLES[parameter.type] if parameter.default is None else parameter.default
            for parameter in template.parameters
        }
        try:
            await self._render(renderer, template, values, self._context(at, (at, template)))
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
        named = self._sources_named.get(spec.source, {})
        beside = named.get(at.namespace) or named.get("")
        return beside or (None if at.namespace else next(iter(named.values()), None))

    def _check_language(self, at: Document, template: metrics.MetricTemplate) -> None:
        found = self._source_of((at, template))
        if found is None:
            self._unknown[f"MetricSource {template.source}"] = None
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

    def _check_gate(self, at: Document, name: str, path: str) -> None:
        """`name`: of the MetricSource that is asked for alerts; empty: they are sent. Raises SpecError."""
        if not name:
            return
        found = _find(self._sources_named, name, at.namespace)
        if found is None:
            self._unknown[f"MetricSource {name}"] = None
            return
        title, source = found[0].title, found[1]
        kinds = registry.kinds_with_alerts()
        if source.kind not in kinds:
            wanted = " or ".join(kinds)
            raise SpecError(path, f"{title} is of kind {source.kind}, which has no alerts; name one of kind {wanted}")
        if not at.namespace or found[0].namespace in ("", at.namespace):
            return
        if not source.serves(at.namespace, own=found[0].namespace):
            raise SpecError(path, f"{title} does not serve namespace {at.namespace}: see allowedNamespaces")
        if not source.allow_inline:
            raise SpecError(path, f"{title} takes templates of its own namespace only; set allowInline there")


def _check_unit(release: ReleaseSpec, template: metrics.MetricTemplate, path: str) -> None:
    if release.strategy.cookie and template.unit != metrics.CLIENT:
        raise SpecError(f"{path}.template", metrics.NOT_CLIENTS)
    copies = any(step.analyzes and getattr(step, "mirror", 0) > 0 for step in release.steps)
    if copies and template.unit == metrics.CLIENT:
        raise SpecError(f"{path}.template", metrics.COPIES_NOT_CLIENTS)


def _by_name(among: Iterable[tuple[Document, Any]]) -> Named:
    named: Named = {}
    for one in among:
        named.setdefault(one[0].name, {}).setdefault(one[0].namespace, one)
    return named


def _find(among: Named, name: str, namespace: str) -> tuple[Document, Any] | None:
    """In the same namespace, or else in another one, which may be the operator's."""
    named = among.get(name, {})
    return named.get(namespace) or next(iter(named.values()), None)
