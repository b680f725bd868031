"""What the API server refuses, and what is no answer of it at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class KubeError(Exception):
    """The API server refused: `status` is HTTP's, `reason` its word, the text its sentence."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        """Seconds for which the server wants to be left alone."""
        self.causes: Sequence[Mapping[str, Any]] = ()
        """As the Status lists them."""


class NotFoundError(KubeError):
    """404."""


class KindsGoneError(Exception):
    """The CRDs were deleted, and with them what there was to watch."""


class ConflictError(KubeError):
    """409: the object changed since it was read, or exists already."""


class InvalidError(KubeError):
    """400, 403 or 422: what was asked can never be granted as it stands."""


class UnavailableError(KubeError):
    """No answer, 429 or 5xx: try again later. The outcome of a write is unknown."""


class FencedError(KubeError):
    """The Lease was not renewed in time, so nothing is written: whoever leads now decides afresh."""


SHOWN = 200
"""Characters of an answer that is no object."""
_INVALID = (400, 403, 422)
_LONGEST_WAIT_S = 300.0
_NOT_FOUND, _CONFLICT = 404, 409
_GROUP_AND_PLURAL = 3
"""Parts of a path that names them: apis, group, version, and what follows."""


def error_of(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> KubeError:
    reason, message = str(body.get("reason", "")), str(body.get("message", f"HTTP {status}"))
    if status == _NOT_FOUND:
        return NotFoundError(status, reason, message)
    if status == _CONFLICT:
        conflict = ConflictError(status, reason, message)
        details = body.get("details")
        causes = details.get("causes") if isinstance(details, Mapping) else None
        conflict.causes = [one for one in causes if isinstance(one, Mapping)] if isinstance(causes, list) else []
        return conflict
    if status in _INVALID:
        return InvalidError(status, reason, message)
    return UnavailableError(status, reason, message, retry_after=_seconds(headers.get("Retry-After", "")))


def object_in(raw: bytes) -> dict[str, Any] | None:
    """None where it is no JSON object."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def foreign_answer(what: str, said: str, status: int = 200) -> UnavailableError:
    """A load balancer on the way says 200 to anything, and what it says must not be taken for what there is."""
    message = f"the answer to {what} is not from an API server (HTTP {status}): {said[:SHOWN] or 'nothing'}"
    return UnavailableError(status, "NoObject", message)


def of_no_object(status: int, path: str, said: str) -> dict[str, Any]:
    """A refusal that is no object, as one. `404 page not found` is what is said of a kind that the cluster has not."""
    _, *parts = path.split("/")
    if status == _NOT_FOUND and parts[0] == "apis" and len(parts) > _GROUP_AND_PLURAL:
        _, group, version, *rest = parts
        plural = rest[2] if rest[0] == "namespaces" and len(rest) > 2 else rest[0]  # noqa: PLR2004
        return {"message": f"the cluster has no {plural}.{group} ({version}): install the CRDs of {group}"}
    return {"message": said} if said else {}


def _seconds(text: str) -> float:
    """The API server says seconds; a date, which a proxy may send, is not worth a parser here."""
    return min(float(text), _LONGEST_WAIT_S) if text.isdecimal() else 0.0
