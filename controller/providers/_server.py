"""The server that is asked: tells its outage from a query it cannot answer, and says either in one sentence without
the token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext

from controller.ports import BrokenMetricError, Resolve, SourceOutageError

MAX_ANSWER_BYTES = 1024 * 1024
_MAX_SENTENCE = 300
_TRANSIENT = ("context canceled", "deadline exceeded", "timeout", "interrupted", "max-concurrent", "engine is closed")
"""What InfluxDB says of a query that began to run and was stopped from outside."""

_OF_THE_QUERY = frozenset((400, 404, 413, 422))
_REASONS = {
    401: "refuses the token (401)",
    403: "does not let the token read this bucket (403)",
    429: "is overloaded (429)",
}
REASONS = {
    401: "refuses the credentials (401)",
    403: "does not let these credentials query it (403)",
    429: "is overloaded (429)",
}
"""Where credentials are of any kind."""


@dataclass(frozen=True)
class Server:
    """`where` is its name in messages. One query takes at most `timeout_s` seconds. `token` is never repeated; empty
    where there is none.
    """

    url: str
    where: str
    token: str = field(repr=False)
    timeout_s: float
    tls: SSLContext
    resolve: Resolve | None = None
    """Which addresses may be connected to; None: all."""
    system: str = "InfluxDB"
    reasons: Mapping[int, str] = field(default_factory=lambda: _REASONS)
    """What a status means, where that is more than the number."""

    def unreachable(self, cause: str) -> SourceOutageError:
        return SourceOutageError(f"{self.system} at {self.where} cannot be reached: {cause}")

    def refusal(self, status: int, body: bytes) -> BrokenMetricError | SourceOutageError:
        """What an answer other than 200 means. Only InfluxDB's own words make it the query's fault: a gateway in
        between answers 400 and 404 too.
        """
        message = message_of(body, "message", "error")
        if status in _OF_THE_QUERY and message:
            said = self.shortened(message)
            return BrokenMetricError(f"{self.system} at {self.where} cannot answer the query ({status}): {said}")
        return self.refused(status, message)

    def refused(self, status: int, message: str) -> SourceOutageError:
        """Of the request, which says nothing about the query. `message`: the server's, or empty."""
        if 300 <= status < 400:  # noqa: PLR2004 - the HTTP class
            return SourceOutageError(f"{self.where} redirects ({status}), which is not followed; correct the url")
        reason = self.reasons.get(status, f"answered {status}")
        said = f": {self.shortened(message)}" if message else ""
        return SourceOutageError(f"{self.system} at {self.where} {reason}{said}")

    def failed_query(self, message: str) -> BrokenMetricError | SourceOutageError:
        """What an error inside an answer 200 means."""
        sentence = f"{self.system} at {self.where} could not finish the query: {self.shortened(message)}"
        if any(word in message for word in _TRANSIENT):
            return SourceOutageError(sentence)
        return BrokenMetricError(sentence)

    def too_large(self) -> BrokenMetricError:
        return BrokenMetricError(
            f"{self.system} at {self.where} answered with more than {MAX_ANSWER_BYTES} bytes; sum up in the query"
        )

    def unmeasured(self) -> SourceOutageError:
        return SourceOutageError(
            f"{self.where} did not say how long its answer is, so nobody can tell whether it is whole"
        )

    def nonsense(self, expected: str) -> SourceOutageError:
        return SourceOutageError(f"{self.where} answered with something that is not {self.system}'s {expected}")

    def shortened(self, text: str) -> str:
        """One line that can stand in a status: a server may say anything, even what it was sent."""
        line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
        line = line.replace(self.token, "[token]") if self.token else line
        return line if len(line) <= _MAX_SENTENCE else f"{line[:_MAX_SENTENCE]}…"


def is_measured(headers: Mapping[str, str]) -> bool:
    """Whether an end before the end would be noticed. InfluxDB's answers always are; those of a proxy may not be, and
    a number that is cut is a number.
    """
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def message_of(body: bytes, *fields: str) -> str:
    """The first of these fields of a JSON object that says something; empty: none does."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    message = next((answer[field] for field in fields if answer.get(field)), "")
    return message if isinstance(message, str) else ""
