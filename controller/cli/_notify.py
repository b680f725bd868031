"""Whom Releases notify: texts that cannot be rendered, and keys that the Secrets among the files do not have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller import registry
from controller.api.choice import OneOf
from controller.api.fields import Place
from controller.api.notice import Notification, Topic
from controller.api.notify import FOLDER, Notify
from controller.api.notify_default import KEY, NAME, parse_default
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._documents import Document
from controller.effects.wording import SAMPLE, escapes_of, rendered
from controller.providers.rendering import Renderer, RenderError


async def notify_problems(
    releases: Sequence[tuple[Document, ReleaseSpec]], documents: Sequence[Document]
) -> AsyncIterator[tuple[Document, SpecError]]:
    """A Secret that is not among the files may be in the cluster."""
    secrets = {(one.namespace, one.name): one for one in documents if (one.api_version, one.kind) == ("v1", "Secret")}
    defaults: list[tuple[Document, str, tuple[Notify, ...]]] = []
    for one in documents:
        if (one.api_version, one.kind, one.name) == ("v1", "ConfigMap", NAME):
            try:
                defaults.append((one, f"data.{KEY}", parse_default(one.raw, registry.kinds())))
            except SpecError as problem:
                yield one, problem
    renderer = Renderer()
    try:
        for at, path, targets in (*((at, "spec.notify", spec.notify) for at, spec in releases), *defaults):
            for index, target in enumerate(targets):
                async for error in _of_texts(renderer, at, target, f"{path}[{index}]"):
                    yield at, error
                for error in _of_secrets(secrets, at, target, f"{path}[{index}]"):
                    yield at, error
    finally:
        await renderer.close()


async def _of_texts(renderer: Renderer, at: Document, target: Notify, path: str) -> AsyncIterator[SpecError]:
    escapes = escapes_of(registry.modules(FOLDER)[target.kind])
    for name, template in target.texts.items():
        for topic in sorted(target.topics):  # one after the other: a template may do something else for each
            notice = replace(SAMPLE, topic=Topic(topic))
            notification = Notification("sample", at.namespace or "default", at.name or "release", notice)
            try:
                await rendered(renderer, notification, template, escapes)
            except RenderError as error:
                yield SpecError(f"{path}.{name}", f"of {topic}: {error}")
                break


def _of_secrets(
    secrets: Mapping[tuple[str, str], Document], at: Document, target: Notify, path: str
) -> Iterator[SpecError]:
    config = OneOf(FOLDER).parse({target.kind: target.raw}, Place(path, registry.kinds())).config
    for ref in config.secrets().values():
        found = secrets.get((at.namespace, ref.name))
        if found is not None and ref.key not in _keys(found.raw):
            where = f"{found.file}:{found.line('metadata.name')}"
            yield SpecError(f"{path}.{target.kind}", f"Secret {ref.name} has no key {ref.key} ({where})")


def _keys(secret: Mapping[str, Any]) -> set[str]:
    return {str(key) for part in ("data", "stringData") for key in secret.get(part) or {}}
