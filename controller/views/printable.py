"""What came from outside (messages, reasons, names, commits, files), so that a terminal only shows it."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, what changes the direction of a text or cannot be seen, halves of surrogates, line separators."""


def printable(text: str) -> str:
    """With control characters as Python writes them in a string; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
