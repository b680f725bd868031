"""Puts a look's window into a rendered query, in the language's own way."""

from __future__ import annotations

from datetime import datetime

from controller.api import times
from controller.api.metrics import START_TOKEN, STOP_TOKEN
from controller.ports import Query, Window


def windowed(query: Query, window: Window) -> str:
    """The query's text for `[start, end)`, to the microsecond. ValueError for a window that is empty or has no zone."""
    if window.end <= window.start:
        raise ValueError(f"the window from {window.start} to {window.end} is empty")
    quote = "'" if query.language == "influxql" else ""
    start, stop = (f"{quote}{_rfc3339(moment)}{quote}" for moment in (window.start, window.end))
    return query.text.replace(START_TOKEN, start).replace(STOP_TOKEN, stop)


def _rfc3339(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return times.to_text_of(moment)
