"""Objects beside a Release whose requests pass the router by: no weight, and no rollback, reaches these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.api.names import RELEASE_LABEL
from controller.api.reading import SpecError
from controller.api.release import ReleaseSpec
from controller.cli._documents import Document
from controller.cli._report import UnwiseError

_BACKENDS = frozenset(
    ("Ingress", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "IngressRoute", "IngressRouteTCP", "VirtualService")
)
CALLERS = _BACKENDS | {"Service"}
_BY_PODS = "replicas"
_NAMES = frozenset(("name", "host", "serviceName"))
"""Where these kinds name a Service."""
_MOST_ALIKE = 20
"""Releases of one name, or with one label: each of them is compared with each Service."""

Releases = Sequence[tuple[Document, ReleaseSpec]]


def callers(releases: Releases, documents: Sequence[Document]) -> Iterator[tuple[Document, SpecError]]:
    """In the same namespace, or in one that is not known yet."""
    by_name: dict[str, list[tuple[Document, ReleaseSpec]]] = {}
    by_label: dict[tuple[str, str], list[tuple[Document, ReleaseSpec]]] = {}
    for at, spec in releases:
        alike = [by_name.setdefault(at.name, [])]
        alike += [by_label.setdefault(label, []) for label in _labels(at, spec).items()]
        for others in alike:
            if len(others) < _MOST_ALIKE:
                others.append((at, spec))
    for document in documents:
        if document.kind == "Service":
            found = _service(document, by_name, by_label)
        elif document.kind in _BACKENDS:
            found = _backends(document, by_name)
        else:
            continue
        yield from ((document, error) for error in found)


def _service(
    document: Document,
    by_name: Mapping[str, Releases],
    by_label: Mapping[tuple[str, str], Releases],
) -> Iterator[SpecError]:
    if document.api_version != "v1":
        return
    if any(_beside(document, at) for at, _ in by_name.get(document.name, ())):
        yield SpecError(
            "metadata.name",
            f"Service {document.name} is made by the Release of that name, which waits while there is another: take "
            "this one out",
        )
        return
    selector = document.raw.get("spec", {}).get("selector") if isinstance(document.raw.get("spec"), Mapping) else None
    if not isinstance(selector, Mapping) or not selector:
        return
    wanted = {(str(key), str(value)) for key, value in selector.items()}
    for at, spec in by_label.get(next(iter(sorted(wanted))), ()):
        if _beside(document, at) and wanted <= _labels(at, spec).items():
            yield UnwiseError(
                "spec.selector",
                f"selects the pods of all versions of Release {at.name}, whatever their weight, a failed version's "
                f"too: callers use Service {at.name}",
            )


def _labels(at: Document, spec: ReleaseSpec) -> dict[str, str]:
    metadata = spec.template.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    own = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}
    return {**own, RELEASE_LABEL: at.name}


def _beside(document: Document, at: Document) -> bool:
    return document.namespace == at.namespace or not document.namespace or not at.namespace


def _backends(document: Document, by_name: Mapping[str, Releases]) -> Iterator[SpecError]:
    for path, name in _named(document.raw.get("spec"), "spec", of_service=False):
        for at, spec in by_name.get(_first_label(name), ()):
            if _beside(document, at) and spec.traffic.kind != _BY_PODS:
                yield UnwiseError(
                    path,
                    f"Service {at.name} leads to the stable version of Release {at.name}, past its route: the canary "
                    f"gets none of these requests. List their host names in spec.traffic.{spec.traffic.kind}",
                )


def _first_label(host: str) -> str:
    return host.partition(".")[0]


def _named(value: Any, path: str, *, of_service: bool) -> Iterator[tuple[str, str]]:
    """Services that a route's backends name. Documents are bounded, so this is, too."""
    if isinstance(value, Mapping):
        kind = value.get("kind", "Service")
        for key, item in value.items():
            here = f"{path}.{key}"
            if of_service and key in _NAMES and isinstance(item, str) and kind == "Service":
                yield here, item
            else:
                yield from _named(item, here, of_service=of_service or key in _BACKEND_KEYS)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named(item, f"{path}[{index}]", of_service=of_service)


_BACKEND_KEYS = frozenset(("backend", "defaultBackend", "backendRefs", "services", "destination"))
"""Of Ingress, the Gateway API, Traefik, and Istio. Not mirrors and filters: these take nothing away."""
