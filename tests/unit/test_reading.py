"""Values are read at the edge, and what cannot be meant is said with its path."""

import pytest

from controller.api.reading import Reader, SpecError, parse_duration, parse_percent


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
        ("5", "'5' is not a share such as 5 or 0.5%"),
        (2.5, "2.5 is not a share such as 5 or 0.5%"),
        (True, "True is not a share such as 5 or 0.5%"),
        (None, "None is not a share such as 5 or 0.5%"),
    ],
)
def test_what_is_no_share_is_said(value, problem):
    with pytest.raises(SpecError) as refused:
        parse_percent(value, "weight")
    assert str(refused.value) == f"weight: {problem}"


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda spec: spec.only("a"), "spec.text: is not a known field (known: a)"),
        (lambda spec: spec.child("text"), "spec.text: expected fields, found 'a'"),
        (lambda spec: spec.items("text"), "spec.text: expected a list, found 'a'"),
        (lambda spec: spec.items("list"), "spec.list[1]: expected fields, found 2"),
        (lambda spec: spec.one_of({"x": 1, "y": 2}), "spec: needs exactly one of x, y; found none"),
        (lambda spec: spec.one_of({"text": 1, "list": 2}), "spec: needs exactly one of text, list; found text, list"),
        (lambda spec: spec.text("none"), "spec.none: is required"),
        (lambda spec: spec.text("empty"), "spec.empty: '' is not a text"),
        (lambda spec: spec.text("number"), "spec.number: 7 is not a text"),
        (lambda spec: spec.choice("text", ("b", "c"), "b"), "spec.text: 'a' is not one of b, c"),
        (lambda spec: spec.flag("text"), "spec.text: 'a' is not true or false"),
        (lambda spec: spec.integer("none"), "spec.none: is required"),
        (lambda spec: spec.integer("flag"), "spec.flag: True is not a whole number"),
        (lambda spec: spec.integer("number", least=8, most=9), "spec.number: 7 is not between 8 and 9"),
        (lambda spec: spec.number("text"), "spec.text: 'a' is not a number"),
        (lambda spec: spec.number("number", most=1), "spec.number: 7 is not between 0 and 1"),
        (lambda spec: spec.number("infinite"), "spec.infinite: inf is not a number"),
        (lambda spec: spec.seconds("none"), "spec.none: is required"),
        (lambda spec: spec.seconds("number"), "spec.number: 7 is not a duration such as 90s, 10m or 1h30m"),
        (lambda spec: spec.percent("none"), "spec.none: is required"),
    ],
)
def test_every_refusal_is_one_sentence_with_its_path(ask, sentence):
    raw = {"text": "a", "list": [{}, 2], "number": 7, "empty": "", "flag": True, "infinite": float("inf")}
    with pytest.raises(SpecError) as refused:
        ask(Reader.of(raw, "spec"))
    assert str(refused.value) == sentence


def test_what_is_absent_reads_as_its_default():
    spec = Reader.of({"null": None}, "spec")
    assert spec.child("null").raw == {}
    assert spec.items("null") == []
    assert not spec.has("null")
    assert (spec.text("a", "b"), spec.flag("a", default=True), spec.integer("a", 3)) == ("b", True, 3)
    assert (spec.seconds("null", 2.0), spec.percent("a", 4.0), spec.number("a", 5.0)) == (2.0, 4.0, 5.0)


def test_a_path_grows_with_the_way_down():
    spec = Reader.of({"steps": [{"weight": {"x": {}}}]}, "")
    assert spec.items("steps")[0].child("weight").at("x") == "steps[0].weight.x"
