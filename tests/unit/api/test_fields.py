"""One declaration of a field: its schema, and how it is read."""

from typing import Any

import pytest

from controller.api.choice import Choice, Entry, OneOf
from controller.api.fields import NO_KINDS, Absent, Kinds, Place, Rule, field, parse, record, schema
from controller.api.reading import SpecError
from controller.api.shapes import Duration, Flag, Integer, List, Number, Record, Share, Text, Word


@record(rules=[Rule("low is above high", cel="self.low <= self.high", test=lambda it: it.low <= it.high, at="low")])
class Bounds:
    low: int = field(Integer(0, 9), "The least.", default=1)
    high: int = field(Integer(0, 9), "The most.", default=5)


@record("All there is.")
class Everything:
    name: str = field(Text(5, 1, "^[a-z]+$"), "Its name.")
    path: str = ""
    word: str = field(Word(("a", "b")), "A word.", default="a")
    flag: bool = field(Flag(), "Yes or no.", default=False)
    ratio: float = field(Number(0, 1), "A number.", default=0.5)
    wait_for: float = field(Duration("1s", "1h"), "How long.", default="10s")
    share: float = field(Share(50), "A share.", default="5%", key="part", convert=lambda percent: percent / 100)
    bounds: Bounds = field(Record(Bounds), "Bounds.", default={}, filled=True)
    items: tuple[Bounds, ...] = field(List(Record(Bounds, "One."), 2, unique=("low",)), "Many.", default=[])
    tags: tuple[str, ...] = field(List(Text(3), 3, kind="set"), "Tags.", default=Absent(()))


def read(**raw: Any) -> Everything:
    return parse(Everything, {"name": "x", **raw}, Place("spec"))


def test_what_is_absent_or_null_is_its_default_and_a_duration_is_read_from_its_text() -> None:
    expected = Everything("x", path="spec")
    assert read() == expected
    assert read(word=None, bounds=None, items=None, tags=None) == expected
    assert (expected.wait_for, expected.share, expected.bounds, expected.tags) == (10.0, 0.05, Bounds(1, 5), ())


def test_the_schema_has_the_default_as_a_manifest_writes_it() -> None:
    properties = schema(Everything, NO_KINDS)["properties"]
    defaults = {key: one["default"] for key, one in properties.items() if "default" in one}
    assert defaults == {
        "word": "a",
        "flag": False,
        "ratio": 0.5,
        "waitFor": "10s",
        "part": "5%",
        "bounds": {"low": 1, "high": 5},
        "items": [],
    }
    assert schema(Everything, NO_KINDS)["required"] == ["name"]
    assert all(one["description"] for one in properties.values())


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"name": None}, "spec.name: is required"),
        ({"name": 7}, "spec.name: must be a string, not 7"),
        ({"name": ""}, "spec.name: is empty"),
        ({"name": "abcdef"}, "spec.name: 6 characters, maximum is 5"),
        ({"name": "A"}, "spec.name: 'A' does not match ^[a-z]+$"),
        ({"nme": "x"}, "spec.nme: is not a known field (known: name, word, flag, ratio, waitFor, "),
        ({"word": "c"}, "spec.word: 'c' is not one of a, b"),
        ({"flag": "yes"}, "spec.flag: 'yes' is not true or false"),
        ({"ratio": "1"}, "spec.ratio: '1' is not a number"),
        ({"ratio": float("inf")}, "spec.ratio: inf is not a number"),
        ({"ratio": 2}, "spec.ratio: 2 is not between 0 and 1"),
        ({"waitFor": 5}, "spec.waitFor: 5 is not a duration such as 90s, 10m or 1h30m"),
        ({"waitFor": "2h"}, "spec.waitFor: is not between 1s and 1h"),
        ({"part": "51%"}, "spec.part: is not above 0% and at most 50%"),
        ({"bounds": []}, "spec.bounds: must be an object, not []"),
        ({"bounds": {"low": True}}, "spec.bounds.low: True is not a whole number"),
        ({"bounds": {"low": 7}}, "spec.bounds.low: low is above high"),
        ({"items": "x"}, "spec.items: must be a list, not 'x'"),
        ({"items": [{}, 2]}, "spec.items[1]: must be an object, not 2"),
        ({"items": [{}, {"low": 1}]}, "spec.items[1].low: duplicate 1"),
        ({"items": [{}, {"low": 2}, {"low": 3}]}, "spec.items: 3 entries, maximum is 2"),
        ({"tags": ["a", "a"]}, "spec.tags[1]: duplicate 'a'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_with_its_path(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        read(**raw)
    assert str(refused.value).startswith(sentence)


@record("A ring.")
class Ring:
    size: int = field(Integer(1, 3), "How large.", default=2)


@record()
class Weigh:
    weigh: int = field(Integer(0, 9), "How much.")
    twice: bool = field(Flag(), "Whether twice.", default=False)


KINDS = Kinds({"tools": {"ring": Ring, "weigh": Weigh}, "rings": {"ring": Ring}})


@record()
class Chooses:
    tool: Choice = field(OneOf("rings"), "A tool.")
    steps: tuple[Any, ...] = field(List(Entry("tools", "One."), 5), "Steps.", default=[])


def test_the_chosen_module_reads_what_stands_under_its_word_or_beside_it() -> None:
    found = parse(Chooses, {"tool": {"ring": {"size": 3}}, "steps": [{"ring": {}}, {"weigh": 5}]}, Place("", KINDS))
    assert found.tool == Choice("ring", Ring(3))
    assert found.steps == (Ring(2), Weigh(5, twice=False))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"tool": {}}, "tool: needs exactly one of ring; found none"),
        ({"tool": {"rong": {}}}, "tool.rong: is not a known field (known: ring)"),
        ({"steps": [{"ring": {}, "weigh": 1}]}, "steps[0]: needs exactly one of ring, weigh; found ring, weigh"),
        ({"steps": [{"ring": {}, "twice": True}]}, "steps[0].twice: is not a known field (known: ring)"),
        ({"steps": [{"ring": {"size": 4}}]}, "steps[0].ring.size: 4 is not between 1 and 3"),
        ({"steps": [{"weigh": 1, "thrice": 1}]}, "steps[0].thrice: is not a known field (known: weigh, twice)"),
    ],
)
def test_exactly_one_module_is_chosen(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(Chooses, {"tool": {"ring": {}}, **raw}, Place("", KINDS))
    assert str(refused.value) == sentence
