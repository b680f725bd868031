"""Invitation codes."""

import re

from workloads.invitations import codes


def test_a_code_is_six_of_31_symbols_that_nobody_mixes_up():
    """I7."""
    assert len(set(codes.SYMBOLS)) == 31
    assert not set(codes.SYMBOLS) & set("01ILO")
    assert all(re.fullmatch(codes.PATTERN, codes.draw()) for _ in range(1000))


def test_a_code_is_read_in_letters_of_any_case():
    """I7."""
    assert [codes.typed(text) for text in ("APP-8F3K92", "app-8f3k92", " App-8f3K92 ")] == ["APP-8F3K92"] * 3
    assert [codes.typed(text) for text in ("APP-000000", "APP-8F3K9", "8F3K92", "APP-8F3K92\n1", "")] == [None] * 5


def test_every_code_comes_of_one_number():
    """I7."""
    assert codes.draw(lambda _: 0) == "APP-222222"
    assert codes.draw(lambda below: below - 1) == "APP-ZZZZZZ"
    numbers = iter(range(5000))
    assert len({codes.draw(lambda _: next(numbers)) for _ in range(5000)}) == 5000
