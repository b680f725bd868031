"""The kinds of jobs: each module here has a KIND."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from workloads.image_worker.kind import Kind
from workloads.image_worker.refusal import BadJobError, NoSuchKindError

DEFAULT = "render"


@functools.cache
def kinds() -> Mapping[str, Kind[Any]]:
    """By name. Raises TypeError for a module without a KIND, and for two with one name."""
    found: dict[str, Kind[Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if not isinstance(kind, Kind):
            raise TypeError(f"kinds/{module.name}.py: KIND must be a Kind")
        if kind.name in found:
            raise TypeError(f"kinds/{module.name}.py: duplicate kind {kind.name!r}")
        found[kind.name] = kind
    return found


def kind_of(body: Mapping[str, Any]) -> Kind[Any]:
    """Raises BadJobError, and NoSuchKindError for what another version may have."""
    name = body.get("kind", DEFAULT)
    if not isinstance(name, str):
        raise BadJobError(f"kind: {name!r} is none of {', '.join(sorted(kinds()))}")
    if name not in kinds():
        raise NoSuchKindError(f"kind: {name!r} is none of {', '.join(sorted(kinds()))}")
    return kinds()[name]
