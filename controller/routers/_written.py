"""Whether an object is as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def contains(actual: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there; what the API server filled in by default does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(contains(actual.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(contains(one, other) for one, other in zip(actual, wanted, strict=True))
        )
    return bool(actual == wanted)
