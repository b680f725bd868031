"""Which trace a request belongs to (W3C Trace Context): its caller's, or one that begins here.

Kept in the ASGI scope, so that an error's `traceId`, the invitation's row and the queue's message name the same.
A middleware that makes a span sets it first.
"""

import re
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

_HEADER = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_KEY = "invitations.trace"

Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def parent(self) -> str:
        """The value of a header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def of(scope: Scope) -> Trace:
    found = scope.get(_KEY)
    if not isinstance(found, Trace):
        found = _incoming(scope) or Trace(secrets.token_hex(16), secrets.token_hex(8))
        put(scope, found)
    return found


def put(scope: Scope, trace: Trace) -> None:
    scope[_KEY] = trace


def _incoming(scope: Scope) -> Trace | None:
    for name, value in scope["headers"]:
        if name == b"traceparent" and (match := _HEADER.fullmatch(value)):
            return Trace(*(part.decode() for part in match.groups()))
    return None
