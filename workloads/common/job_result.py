"""What a job's work brought, in the form in which the row holds it.

It is made before the claim is finished: a result that DynamoDB would refuse is a failure of the job with its reason,
and not an attempt without an end, which would do the work again and then say that the worker died.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, DecimalException
from typing import Any

from workloads.common.job_row import typed

MOST_BYTES = 350_000
"""DynamoDB takes items of 400 KB; the rest is for the row's own attributes."""
_DEEPEST = 30
"""DynamoDB takes 32 levels, and the attribute itself is one."""
_OVERHEAD = 3


class ResultError(ValueError):
    """Names the field."""


def stored_form(result: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as Decimal, times in ISO 8601. Raises ResultError."""
    stored = _mapping(result, "result", 1)
    if (size := _size(stored)) > MOST_BYTES:
        raise ResultError(f"result: {size} bytes, maximum is {MOST_BYTES}. Put it into S3 and return its name")
    return stored


def _stored(value: Any, at: str, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, at)
        case int() | float() | Decimal():
            return _number(value, at)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return _mapping(value, at, depth)
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            _not_too_deep(at, depth)
            return [_stored(each, f"{at}[{place}]", depth + 1) for place, each in enumerate(value)]
        case _:
            raise ResultError(
                f"{at}: {type(value).__name__} cannot be stored. Use text, numbers, times, lists and mappings"
            )


def _mapping(value: Mapping[Any, Any], at: str, depth: int) -> dict[str, Any]:
    _not_too_deep(at, depth)
    for key in value:
        if not isinstance(key, str) or not key:
            raise ResultError(f"{at}: the key {key!r} must be a string that is not empty")
        _text(key, at)
    return {str(key): _stored(each, f"{at}.{key}", depth + 1) for key, each in value.items()}


def _text(value: str, at: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ResultError(f"{at}: {value[:40]!r} is not valid Unicode") from None
    return str(value)


def _number(value: float | Decimal, at: str) -> Decimal:
    """As DynamoDB holds it: 38 digits, and neither NaN nor infinity."""
    try:
        number = Decimal(value) if isinstance(value, int | Decimal) else Decimal(repr(float(value)))
        if not math.isfinite(number):
            raise ResultError(f"{at}: {value} is not a finite number")
        typed({"it": number})
    except (DecimalException, TypeError):
        raise ResultError(f"{at}: a number must have at most 38 digits and an exponent from -130 to 125") from None
    return number


def _not_too_deep(at: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ResultError(f"{at[:80]}: nested more than {_DEEPEST} levels deep")


def _size(value: Any) -> int:
    """At least what DynamoDB counts."""
    match value:
        case str():
            return len(value.encode()) + _OVERHEAD
        case Decimal():
            return 21
        case dict():
            return sum(len(key.encode()) + 1 + _size(each) for key, each in value.items()) + _OVERHEAD
        case list():
            return sum(1 + _size(each) for each in value) + _OVERHEAD
        case _:
            return 1
