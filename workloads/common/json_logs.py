"""Logs, one JSON object a line. What a caller adds stands in `extra={"fields": {…}}`."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.trace import format_span_id, format_trace_id


class JsonFormatter(logging.Formatter):
    def __init__(self, always: Mapping[str, str]) -> None:
        super().__init__()
        self._always = dict(always)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line |= {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update((str(key), value) for key, value in fields.items())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(always: Mapping[str, str], *, level: int = logging.INFO) -> None:
    """Send the whole process's logs to standard output in this form, `always` in every line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(always))
    logging.basicConfig(level=level, handlers=[handler], force=True)
