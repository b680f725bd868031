"""Each numbered rule of the page about rollbacks in git has a test that is named after it."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "controller" / "docs" / "gitops.md"
TESTS = [path.read_text() for path in Path(__file__).parents[2].rglob("test_*.py")]
NAMED = {"What is written": "rule", "A cluster that is built anew": "record_rule"}


def numbered():
    sections = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    return [
        pytest.param(word, int(number), id=f"{word} {number}")
        for title, word in NAMED.items()
        for number in re.findall(r"^(\d+)\. ", sections[title], re.MULTILINE)
    ]


def test_the_page_has_its_rules():
    assert [one.values for one in numbered()] == [
        *(("rule", number) for number in range(1, 9)),
        *(("record_rule", number) for number in range(1, 4)),
    ]


@pytest.mark.parametrize(("word", "number"), numbered())
def test_each_has_a_test_named_after_it(word, number):
    assert any(re.search(rf"^(async )?def test_{word}_{number}_\w+", text, re.MULTILINE) for text in TESTS)
