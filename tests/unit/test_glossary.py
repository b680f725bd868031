"""Names that the glossary has replaced do not come back into the code."""

import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTROLLER = Path(__file__).parents[2] / "controller"
PAGE = CONTROLLER / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<term>[^|]+) \| (?P<meaning>[^|]+) \|(?P<replaced>[^|]*)\|$", re.MULTILINE)


def replaced() -> set[str]:
    return {name for row in ROW.finditer(PAGE.read_text()) for name in re.findall(r"`([^`]+)`", row["replaced"])}


def identifiers() -> Iterator[tuple[str, str]]:
    """Each name of the code, and where it stands."""
    for file in sorted(CONTROLLER.rglob("*.py")):
        with tokenize.open(file) as lines:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.NAME:
                    yield token.string, f"{file.relative_to(CONTROLLER.parent)}:{token.start[0]}"


def forbids(entry: str, name: str) -> bool:
    """An entry with capitals is a whole name; any other is a whole word of a name, or several in a row."""
    if entry != entry.lower():
        return name.lstrip("_") == entry
    return f"_{entry}_" in f"_{'_'.join(words(name))}_"


def words(name: str) -> list[str]:
    """`told_release` and `ToldRelease` are the same words."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


@pytest.mark.parametrize(
    ("entry", "name", "forbidden"),
    [
        ("told", "_told_apart", True),
        ("told", "toldest", False),
        ("lesson", "_Lesson", True),
        ("go_on", "go_on_later", True),
        ("go_on", "gone", False),
        ("Memory", "_Memory", True),
        ("Memory", "MemoryError", False),
    ],
)
def test_a_name_is_found_as_a_whole_word(entry, name, forbidden):
    assert forbids(entry, name) is forbidden


def test_every_row_of_the_glossary_is_read():
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    heads = [line for line in table if line == "| term | meaning | not |"]
    assert len(ROW.findall(PAGE.read_text())) == len(table)
    assert len(heads) == 4


def test_replaced_names_are_gone_from_the_code():
    entries, places = replaced(), defaultdict[str, list[str]](list)
    for name, where in identifiers():
        places[name].append(where)
    forbidden = [name for name in places if any(forbids(entry, name) for entry in entries)]
    found = [f"{where}: {name}" for name in forbidden for where in places[name]]
    assert found == [], "controller/docs/glossary.md says how these are called now"
