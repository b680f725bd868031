"""What a row may hold of a job's result."""

from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from workloads.common.job_result import MOST_BYTES, ResultError, stored_form
from workloads.common.job_row import Row, typed


def read_back(result: dict[str, Any]) -> Any:
    return Row.of(typed({"job_id": "j", "state": "COMPLETED", "result": stored_form(result)})).result


def test_a_result_comes_back_as_it_was() -> None:
    result = {"score": 0.5, "n": 3, "none": None, "yes": True, "words": ["a", ("b", 1e-9)], "more": {"state": ""}}
    assert read_back(result) == {**result, "words": ["a", ["b", 1e-9]]}


def test_times_are_stored_as_text_and_numbers_exactly() -> None:
    result = {"at": datetime(2026, 11, 29, 12, 0, tzinfo=UTC), "day": date(2026, 11, 29), "d": Decimal("0.10")}
    assert read_back(result) == {"at": "2026-11-29T12:00:00+00:00", "day": "2026-11-29", "d": 0.1}
    assert stored_form({"x": 0.1}) == {"x": Decimal("0.1")}
    assert read_back({"m": OrderedDict(a=1)}) == {"m": {"a": 1}}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "set cannot be stored"), (b"x", "bytes cannot be stored"), (object(), "object cannot be stored"),
        (float("nan"), "not a finite number"), (float("inf"), "not a finite number"), (10**39, "38 digits"),
        (1e200, "38 digits"), ("\ud800", "not valid Unicode"), ({1: 2}, "the key 1 must be a string"),
        ({"": 2}, "must be a string that is not empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_named_with_its_place(value: object, says: str) -> None:
    with pytest.raises(ResultError, match=says) as refused:
        stored_form({"a": [{"b": value}]})
    assert str(refused.value).startswith("result.a[0].b: ")


def test_a_result_that_is_too_large_or_too_deep_says_so() -> None:
    with pytest.raises(ResultError, match=f"maximum is {MOST_BYTES}. Put it into S3"):
        stored_form({"text": "x" * MOST_BYTES})
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(ResultError, match="nested more than 30 levels"):
        stored_form(deep)
    assert stored_form({f"a.{'b.' * 50}": 1}), "points in a key are no levels"


def test_a_row_of_the_first_release_still_has_its_result() -> None:
    """0.1.0 kept each key as an attribute of its own."""
    row = Row.of(typed({"job_id": "j", "state": "COMPLETED", "s3_path": "s3://b/k"}))
    assert row.result == {"s3_path": "s3://b/k"}
