"""InfluxDB line protocol, written so that no value can break a line or change a field's type.

Telegraf answers 400 for a whole request when one line is malformed, and InfluxDB
refuses a field whose type changes for ever after: a label with a comma in it
must cost neither. https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Number = int | float
_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_KEY = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Point:
    """One line. An `int` field stays an integer and a `float` a float, whatever its value."""

    measurement: str
    fields: Mapping[str, Number]
    time_ns: int
    tags: Mapping[str, str] = field(default_factory=dict)


def encode(point: Point) -> str:
    """The point as one line without its newline; raises ValueError for what no line can hold."""
    head = _clean(point.measurement).translate(_MEASUREMENT)
    if not head or not point.fields:
        raise ValueError(f"point {point.measurement!r} has no name or no field")
    tags = "".join(
        f",{_key(key)}={_clean(value).translate(_KEY)}"
        for key, value in sorted(point.tags.items())
        if _clean(value)  # an empty tag value is a syntax error; a missing tag reads the same
    )
    fields = ",".join(f"{_key(key)}={_number(key, value)}" for key, value in point.fields.items())
    return f"{head}{tags} {fields} {point.time_ns}"


def _key(key: str) -> str:
    return _clean(key).translate(_KEY)


def _clean(text: str) -> str:
    # A backslash at the end would escape the separator after it, and there is no
    # escape for a backslash; control characters have no escape either.
    return _CONTROL.sub("_", text).rstrip("\\")


def _number(key: str, value: Number) -> str:
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise ValueError(f"field {key}: {value} does not fit 64 bits")
        return f"{int(value)}i"
    if not math.isfinite(value):
        raise ValueError(f"field {key}: {value} is not a number that a line can hold")
    return repr(value)
