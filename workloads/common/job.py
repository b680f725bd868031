"""A job as its message describes it."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DEEPEST = 100
"""Objects and arrays in one another. Near Python's own limit, what is read cannot be written a few calls deeper."""


class BadMessageError(ValueError):
    """The message names no job: it is left to the queue's redrive policy."""


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    body: Mapping[str, Any]
    """The whole message, `job_id` among it."""

    @property
    def digest(self) -> str:
        """The same for the same body, however it is written."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_job_id(text: object) -> bool:
    """Ids become part of object names, so they hold nothing that means something there."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def parse(text: str) -> Job:
    """Raises BadMessageError."""
    try:
        body = json.loads(text)
    except ValueError as problem:
        raise BadMessageError(f"the message is not JSON: {problem}") from None
    except RecursionError:
        raise BadMessageError(f"the message is nested too deep: {text[:40]!r}") from None
    if _is_deeper(body, _DEEPEST):
        raise BadMessageError(f"the message is nested too deep: {text[:40]!r}")
    if not isinstance(body, dict):
        raise BadMessageError(f"the message is JSON, but not an object: {text[:80]!r}")
    job_id = body.get("job_id")
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise BadMessageError(
            f"job_id: {job_id!r} is not an id: 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
    return Job(job_id, body)


def _is_deeper(value: object, levels: int) -> bool:
    """Without calling itself."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not layer:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
