"""Values are read at the edge, and what cannot be meant is said with its path."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

import crds
from controller.api.reading import SpecError, parse_duration, parse_percent
from controller.api.times import as_datetime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1d", 86400), ("1d12h", 129600), ("0s", 0)],
)
def test_a_duration_is_its_seconds(text, seconds):
    assert parse_duration(text, "at") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "90", "1.5h", "-1s", "1h ", "1w", "s", "1m!", "٣s x"])
def test_what_is_no_duration_is_said(text):
    with pytest.raises(SpecError) as refused:
        parse_duration(text, "spec.drain.max")
    assert str(refused.value) == f"spec.drain.max: {text!r} is not a duration such as 90s, 10m or 1h30m"


@pytest.mark.parametrize("text", ["3651d", "99999h", "3650d1ms", "9999d", "999999h999999h"])
def test_a_duration_of_more_than_ten_years_is_refused(text):
    with pytest.raises(SpecError, match=rf"at: '{text}' is longer than 3650d"):
        parse_duration(text, "at")


def test_no_field_takes_a_duration_that_no_calendar_has():
    """`heartbeat.maxAge: 999999d` ended each look of all who had this source."""
    fields = dict(durations())
    assert len(fields) > 12
    assert "MetricSource.spec.heartbeat.maxAge" in fields
    for path, pattern in fields.items():
        assert re.search(pattern, "3650d"), path
        assert not re.search(pattern, "999999d"), path
    as_datetime(-parse_duration("3650d", "at"))


def durations() -> Iterator[tuple[str, str]]:
    """Each field whose text is a duration, and its pattern."""
    for definition in crds.definitions():
        for version in definition["spec"]["versions"]:
            yield from _durations(version["schema"]["openAPIV3Schema"], definition["spec"]["names"]["kind"])


def _durations(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    pattern = schema.get("pattern", "")
    if re.search(pattern or "$^", "90s") and not re.search(pattern, "a"):
        yield path, pattern
    for name, below in schema.get("properties", {}).items():
        yield from _durations(below, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _durations(schema[key], path)


@pytest.mark.parametrize(("value", "percent"), [(0, 0), (5, 5), (100, 100), ("0.5%", 0.5), ("100%", 100), ("7%", 7)])
def test_a_share_is_its_percent(value, percent):
    assert parse_percent(value, "at") == percent


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (140, "140 is not between 0 and 100"),
        (-1, "-1 is not between 0 and 100"),
        ("101%", "101% is not between 0 and 100"),
        ("5", "'5' has no percent sign: write 5%"),
        (2.5, "2.5 is not a share such as 5 or 0.5%"),
        (True, "True is not a share such as 5 or 0.5%"),
        (None, "None is not a share such as 5 or 0.5%"),
    ],
)
def test_what_is_no_share_is_said(value, problem):
    with pytest.raises(SpecError) as refused:
        parse_percent(value, "weight")
    assert str(refused.value) == f"weight: {problem}"
