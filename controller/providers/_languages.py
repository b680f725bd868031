"""A query language as data: what the sandbox and the window need to write a value that cannot change a query.

A provider brings the dialects it speaks in its own file, as `DIALECTS`. Nothing asks for a language by its name: what
no provider brings is an error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.api import times
from controller.api.metrics import START_TOKEN, STOP_TOKEN, WINDOW_TOKEN
from controller.ports import Query, Window


class Moment(StrEnum):
    """How the language writes a point in time."""

    RFC3339 = "rfc3339"
    """`2030-01-31T12:00:00.000000Z`"""
    SECONDS = "seconds"
    """Since the epoch, with three decimals."""


@dataclass(frozen=True)
class Dialect:
    """See `literal` in `_sandbox.py`, which gets it as JSON."""

    name: str
    """What templates write as `language`."""
    quote: str
    """Around a text: `"` or `'`."""
    doubled: bool = False
    """A quote inside a text is written twice, as in standard SQL; otherwise it has a backslash before it."""
    escapes: tuple[tuple[str, str], ...] = ()
    """What else means something inside a text, and how it is written so that it does not."""
    identifier: str = ""
    """Around the name of a column or a table; empty where names are written as texts."""
    durations: str = "90s"
    """`90s` with units, or `90` as a number of seconds."""
    regex_in_text: bool = False
    """Regular expressions are string literals, not enclosed in slashes."""
    moment: Moment = Moment.RFC3339
    quoted_moment: bool = False
    tokens: tuple[str, ...] = ("start", "stop")
    """Names of the window in templates. `window` is its length, for languages that look back from its end."""
    window_required: bool = True
    """A heartbeat without `start` would beat for ever; False where the request itself carries the window."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def window_names(self) -> dict[str, str]:
        return {name: _TOKENS[name] for name in self.tokens}


_TOKENS = {"start": START_TOKEN, "stop": STOP_TOKEN, "window": WINDOW_TOKEN}


def windowed(query: Query, window: Window, dialect: Dialect) -> str:
    """The query's text for `[start, end)`, to the microsecond. ValueError for a window that is empty or has no zone."""
    if window.end <= window.start:
        raise ValueError(f"the window from {window.start} to {window.end} is empty")
    start, stop = _moment(window.start, dialect), _moment(window.end, dialect)
    milliseconds = round((window.end - window.start).total_seconds() * 1000)
    length = f"{milliseconds}ms" if dialect.durations == "90s" else format(milliseconds / 1000, ".3f")
    return query.text.replace(START_TOKEN, start).replace(STOP_TOKEN, stop).replace(WINDOW_TOKEN, length)


def _moment(moment: datetime, dialect: Dialect) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    text = times.to_text_of(moment) if dialect.moment is Moment.RFC3339 else format(moment.timestamp(), ".3f")
    return f"{dialect.quote}{text}{dialect.quote}" if dialect.quoted_moment else text
