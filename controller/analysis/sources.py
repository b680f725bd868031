"""From the metrics a Release names to queries that can be asked, and providers to ask them of.

References resolve in the Release's namespace and then in the operator's. What was resolved is kept for a minute, or
until a template or a source changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller import registry
from controller.analysis.batching import Batching
from controller.analysis.heartbeat import Heartbeat
from controller.analysis.limited import Limited
from controller.api.alerts import FiringAlert
from controller.api.analysis import Metric
from controller.api.metric_source import MetricSource, parse_source
from controller.api.metrics import CLIENT, Context, MetricTemplate, bind, parse_template
from controller.api.reading import SpecError
from controller.api.reasons import Reason
from controller.api.resources import METRIC_SOURCES, METRIC_TEMPLATES, Resource
from controller.api.secret import SecretRef
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.kube.secrets import SecretError, secret_value
from controller.kube.shared_reads import SharedReads
from controller.ports import (
    BrokenMetricError,
    MetricProvider,
    NoData,
    Query,
    Resolve,
    Samples,
    SourceOutageError,
    Window,
    threshold_text,
)
from controller.providers.rendering import Renderer, RenderError
from controller.rollout.observation import MetricTrouble

_KEPT_S = 60.0
_UNWANTED_S = 600.0


class MetricTroubleError(Exception):
    """A metric cannot be asked; says why, in the terms of `decide`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = MetricTrouble(reason, message)


@dataclass(frozen=True)
class Question:
    """One metric, ready to be asked."""

    name: str
    query: Query
    provider: MetricProvider
    warm_up: bool
    heartbeat: Heartbeat | None = None
    """Of the source, shared by all who ask there."""
    maturity: float = 0.0
    """Seconds after a unit's beginning until its outcome is known; 0 where a unit is counted when it ends."""
    at_router: bool = False
    """Its units are counted by the router that splits the work."""
    always: str = ""
    """One of its thresholds, in seconds as text; empty where its rows have none."""
    halves: bool = False
    """Its rows come for two halves of a revision's pods."""
    counts_clients: bool = False
    """Its units are clients, each counted once for a version."""
    advises: bool = False
    """Nothing waits for its answer (see advisers.py)."""

    @classmethod
    def unanswerable(cls, name: str, why: str) -> Question:
        """Of a metric that only advises: what cannot be asked is said whenever it is asked."""
        return cls(name, Query("", ""), Unanswerable(why), warm_up=False, advises=True)


@dataclass(frozen=True)
class Unanswerable:
    """In place of a provider."""

    why: str

    async def query(self, _: Query, __: Window) -> Samples | NoData:
        raise BrokenMetricError(self.why)

    async def has_rows(self, _: Query, __: Window) -> bool:
        raise BrokenMetricError(self.why)

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True)
class _Resolved:
    questions: tuple[Question, ...]
    subject: object
    at: float


@dataclass
class _Provider:
    made_of: object
    """Kind, fields and secrets."""
    provider: Batching
    wanted_at: float
    """When it was last asked for, by the monotonic clock: who uses it does so each minute."""


class Sources:
    """`resolve` says which addresses the sources of tenants may be at, which are all that do not lie beside the
    operator; None: all.
    """

    def __init__(self, kube: KubeClient, *, cluster: str, own_namespace: str, resolve: Resolve | None = None) -> None:
        self._reads = SharedReads(kube)
        self._resolve = resolve
        self._cluster = cluster
        self._own = own_namespace
        self._renderer = Renderer()
        self._resolved: dict[Key, tuple[_Resolved, ...]] = {}
        """By Release the last three: a canary is compared while the version before it drains, and its baseline too."""
        self._providers: dict[tuple[str, str], _Provider] = {}
        """By the namespace and name of their source."""
        self._heartbeats: dict[str, Heartbeat] = {}
        self._lock = asyncio.Lock()

    def changed(self, namespace: str) -> None:
        """A template or a source of the namespace was written: who may use it resolves anew. One tenant's edits cost no
        other tenant a request.
        """
        self._reads.forget()
        for key in [key for key in self._resolved if namespace in (key.namespace, self._own)]:
            del self._resolved[key]

    async def tidy(self) -> None:
        """Closes the connections to sources that nobody asks any more, such as those that were deleted."""
        now = time.monotonic()
        for place, known in list(self._providers.items()):
            if now - known.wanted_at >= _UNWANTED_S:
                del self._providers[place]
                self._heartbeats.pop("/".join(place), None)
                await known.provider.close()

    def forget(self, key: Key) -> None:
        self._resolved.pop(key, None)

    async def close(self) -> None:
        await asyncio.gather(self._renderer.close(), *(known.provider.close() for known in self._providers.values()))
        self._providers.clear()

    async def questions(
        self, key: Key, metrics: tuple[Metric, ...], *, stable: str, canary: str
    ) -> tuple[Question, ...]:
        """Raises MetricTroubleError, KubeError."""
        subject = (metrics, stable, canary)
        for known in self._resolved.get(key, ()):
            if known.subject == subject and time.monotonic() - known.at < _KEPT_S:
                return known.questions
        questions = tuple([await self._question_or_why_not(key, metric, stable, canary) for metric in metrics])
        others = [one for one in self._resolved.get(key, ()) if one.subject != subject]
        self._resolved[key] = (_Resolved(questions, subject, time.monotonic()), *others[:2])
        return questions

    async def _question_or_why_not(self, key: Key, metric: Metric, stable: str, canary: str) -> Question:
        """Raises MetricTroubleError, but for a metric that only advises; KubeError."""
        try:
            return await self._question(key, metric, stable, canary)
        except MetricTroubleError as error:
            if not metric.advises:
                raise
            return Question.unanswerable(metric.name, str(error).removeprefix(f"metric {metric.name}: "))

    async def _question(self, key: Key, metric: Metric, stable: str, canary: str) -> Question:
        path = f"{metric.path}.template"
        try:
            home, raw = await self._find(METRIC_TEMPLATES, key.namespace, metric.template, path)
            where = f"MetricTemplate {home}/{metric.template} spec"
            template = parse_template(raw["spec"], where, languages=registry.dialects(), kinds=registry.kinds())
            source, provider, beaten = await self._provider(key, template.source, f"{where}.source", home)
            context = Context(
                cluster=self._cluster,
                namespace=key.namespace,
                service=key.name,
                stable=stable,
                canary=canary,
                of_source=source.in_queries(),
            )
            _refuse_other_languages(template, source, where)
            parameters = bind(template, metric.parameters, f"{metric.path}.parameters")
            query = await self._renderer.render(template, parameters, context)
            heartbeat = await self._heartbeat(key, beaten, source, provider)
        except (SpecError, RenderError) as error:
            raise MetricTroubleError(Reason.METRIC_INVALID, f"metric {metric.name}: {error}") from error
        except SourceOutageError as error:
            raise MetricTroubleError(Reason.SOURCE_OUTAGE, f"metric {metric.name}: {error}") from error
        always = threshold_text(float(parameters[template.always])) if template.always else ""
        return Question(
            metric.name,
            query,
            provider,
            template.warm_up,
            heartbeat,
            maturity=template.maturity,
            at_router=template.at_router,
            always=always,
            halves=template.halves,
            counts_clients=template.unit == CLIENT,
            advises=metric.advises,
        )

    async def _heartbeat(self, key: Key, name: str, source: MetricSource, provider: MetricProvider) -> Heartbeat | None:
        spec = source.heartbeat
        if spec is None:
            return None
        languages = registry.languages_of(source.kind)
        if spec.language not in languages:
            path = f"MetricSource {name} spec.heartbeat.language"
            raise SpecError(path, f"{spec.language!r} is not one of {', '.join(sorted(languages))}")
        query = await self._renderer.render_heartbeat(spec, source.in_queries(), namespace=key.namespace)
        known = self._heartbeats.get(name)
        if known is None or (known.provider, known.query, known.max_age) != (provider, query, spec.max_age):
            known = self._heartbeats[name] = Heartbeat(name, provider, query, spec.max_age)
        return known

    async def _find(self, resource: Resource, namespace: str, name: str, path: str) -> tuple[str, Mapping[str, Any]]:
        for home in dict.fromkeys((namespace, self._own)):
            found = await self._reads.find(resource, home, name)
            if found is not None:
                return home, found
        raise SpecError(path, f"no {resource.kind} {name!r} in namespace {namespace} or {self._own}")

    async def _provider(
        self, key: Key, wanted: str, path: str, template_home: str
    ) -> tuple[MetricSource, Batching, str]:
        """`path`: the field that names it."""
        home, raw = await self._find(METRIC_SOURCES, key.namespace, wanted, path)
        name = f"{home}/{wanted}"
        modules = registry.modules("providers")
        source = parse_source(raw["spec"], f"MetricSource {name} spec", registry.kinds())
        if not source.serves(key.namespace, own=home):
            raise SpecError(f"MetricSource {name} spec.allowedNamespaces", f"does not name {key.namespace}")
        if home not in (template_home, key.namespace) and not source.allow_inline:
            raise SpecError(path, f"MetricSource {name} takes templates of its own namespace only (allowInline)")
        secrets = {known_as: await self._secret(home, at) for known_as, at in source.config.secrets().items()}
        async with self._lock:
            resolve = None if home == self._own else self._resolve
            made_of = (source.kind, source.config, secrets)
            known = self._providers.get((home, wanted))
            if known is not None and known.made_of == made_of:
                known.wanted_at = time.monotonic()
                return source, known.provider, name
            provider = Batching(Limited(modules[source.kind].create(source.config, secrets, resolve)))
            self._providers[home, wanted] = _Provider(made_of, provider, time.monotonic())
            if known is not None:
                await known.provider.close()
            return source, provider, name

    async def firing(self, key: Key, wanted: str, labels: Mapping[str, str]) -> Sequence[FiringAlert]:
        """Of the MetricSource `wanted`. Raises MetricTroubleError, KubeError."""
        path = "spec.analysis.alerts.source"
        try:
            _, provider, name = await self._provider(key, wanted, path, key.namespace)
            found = await provider.firing(labels)
        except SpecError as error:
            raise MetricTroubleError(Reason.METRIC_INVALID, f"alerts: {error}") from error
        except SourceOutageError as error:
            raise MetricTroubleError(Reason.SOURCE_OUTAGE, f"alerts are not known: {error}") from error
        except BrokenMetricError as error:
            raise MetricTroubleError(Reason.METRIC_BROKEN, f"alerts of MetricSource {name}: {error}") from error
        return [replace(alert, source=wanted) for alert in found]

    async def _secret(self, namespace: str, reference: SecretRef) -> str:
        try:
            return await secret_value(self._reads, namespace, reference)
        except SecretError as error:
            raise SourceOutageError(str(error)) from error


def _refuse_other_languages(template: MetricTemplate, source: MetricSource, where: str) -> None:
    spoken = registry.languages_of(source.kind)
    if template.language not in spoken:
        said = f"MetricSource {template.source} supports {' and '.join(spoken)}, not {template.language}"
        raise SpecError(f"{where}.language", said)
