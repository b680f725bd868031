"""Values are read at the edge, and what cannot be meant is said with its path."""

import pytest

from controller.api.reading import SpecError, parse_duration, parse_percent


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
