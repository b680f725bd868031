"""Text that came from outside, on its way into a status or to a terminal."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, what changes the direction of a text or cannot be seen, halves of surrogates, line separators."""


def one_line(text: str, longest: int) -> str:
    """Without line breaks and what no one sees: control characters, and those that turn the writing around."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:longest]


def printable(text: str) -> str:
    """With control characters as Python writes them in a string; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
