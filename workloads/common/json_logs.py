"""Logs, one JSON object a line. What a caller adds stands in `extra={"fields": {…}}`."""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    def __init__(self, always: Mapping[str, str], now: Callable[[], Mapping[str, str]] = dict) -> None:
        super().__init__()
        self._always = dict(always)
        self._now = now

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **self._now(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update((str(key), value) for key, value in fields.items())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(
    always: Mapping[str, str], *, now: Callable[[], Mapping[str, str]] = dict, level: int = logging.INFO
) -> None:
    """Send the whole process's logs to standard output in this form, `always` in every line, and what holds `now`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(always, now))
    logging.basicConfig(level=level, handlers=[handler], force=True)
