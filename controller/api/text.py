"""Text that came from outside, on its way into a status."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """Without line breaks and what no one sees: control characters, and those that turn the writing around."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:longest]
