"""What can be said of the ConfigMaps that a template names: of those among the files, and of how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.api.configuration import (
    MOST_CONTENT,
    MOST_REFERENCES,
    Content,
    Reference,
    content_of,
    is_live,
    keys_in,
    references,
    size_of,
)
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._documents import Document

_PATH = "spec.template"


def configuration_problems(
    releases: Sequence[tuple[Document, ReleaseSpec]], documents: Sequence[Document]
) -> Iterator[tuple[Document, SpecError]]:
    """A ConfigMap that is not among the files may be in the cluster."""
    config_maps: dict[str, list[Document]] = {}
    for document in documents:
        if (document.api_version, document.kind) == ("v1", "ConfigMap"):
            config_maps.setdefault(document.name, []).append(document)
    for at, spec in releases:
        yield from ((at, error) for error in _problems(at, spec, config_maps))


def _problems(at: Document, spec: ReleaseSpec, config_maps: Mapping[str, Sequence[Document]]) -> Iterator[SpecError]:
    if not spec.versions_configuration:
        return
    named = references(spec.template)
    if len(named) > MOST_REFERENCES:
        yield SpecError(_PATH, f"names {len(named)} ConfigMaps, a version can have {MOST_REFERENCES}")
    size = 0
    for reference in named:
        among = config_maps.get(reference.name, ())
        found = next((one for one in among if _may_be_in(one, at.namespace)), None)
        if found is None or is_live({"metadata": found.metadata}):
            continue
        content = _content(found.raw, reference)
        size += size_of(content)
        for key in sorted(reference.needed_keys - keys_in(content)):
            where = f"{found.file}:{found.line('data')}"
            yield SpecError(_PATH, f"ConfigMap {reference.name} has no key {key} ({where}), so no pod starts")
    if size > MOST_CONTENT:
        problem = f"its ConfigMaps have {size} bytes, a version can keep {MOST_CONTENT}"
        yield SpecError(_PATH, f"{problem}: annotate one with pointsman.dev/config: live, or set spec.configRefs: None")


def _may_be_in(document: Document, namespace: str) -> bool:
    return document.namespace == namespace or not document.namespace or not namespace


def _content(raw: Mapping[str, Any], reference: Reference) -> Content:
    """As far as it has the shape of one: the API server says the rest."""
    sections = {name: raw[name] for name in ("data", "binaryData") if isinstance(raw.get(name), Mapping)}
    texts = {name: {key: str(text) for key, text in entries.items()} for name, entries in sections.items()}
    return content_of(texts, reference.keys)
