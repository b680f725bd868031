"""What the page says for each thing that the service may answer."""

import re

import pytest

from workloads.invitations.page import FOLDER
from workloads.invitations.problems import Code
from workloads.invitations.status import Status

WORDS = (FOLDER / "words.js").read_text()


def names(table: str) -> set[str]:
    (body,) = re.findall(rf"const {table} = {{\n(.*?)\n}};", WORDS, re.DOTALL)
    return set(re.findall(r"^  ([A-Z_]+):", body, re.MULTILINE))


def test_the_page_has_a_sentence_for_every_code():
    """I10, I27."""
    assert names("PROBLEMS") == {code.name for code in Code} | {"NO_ANSWER"}


def test_the_page_has_a_word_for_every_status():
    """I27."""
    assert names("STATUSES") == set(Status)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.html*")), ids=lambda file: file.name)
def test_markup_has_nothing_inline_and_nothing_foreign(file):
    """I27, I28."""
    text = file.read_text().replace(
        "<style>{{ style }}</style>", ""
    )  # page.css, by its hash: a full service has no more
    assert not re.search(r"\son\w+=|style=|<style|javascript:|https?://", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_button_reads_exactly_invite_friend():
    """I27."""
    assert '<button id="invite" type="submit">Invite Friend</button>' in (FOLDER / "index.html").read_text()
