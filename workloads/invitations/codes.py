"""Invitation codes: `APP-8F3K92`. Short enough to be read aloud, too many to be guessed by trying."""

import re
import secrets
from collections.abc import Callable

SYMBOLS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""31: none is taken for another when read aloud or written down (0 O, 1 I L)."""
PREFIX = "APP-"
LENGTH = 6
PATTERN = f"^{PREFIX}[{SYMBOLS}]{{{LENGTH}}}$"
TYPED = f"^[Aa][Pp][Pp]-[{SYMBOLS}{SYMBOLS[8:].lower()}]{{{LENGTH}}}$"
"""As people type it."""
TRIES = 5
"""Of finding a free one. Among a hundred million taken, five collisions in a row come once in 55,000 times."""

_TYPED = re.compile(TYPED)

Draw = Callable[[int], int]
"""A whole number from 0 to below its argument."""


def draw(below: Draw = secrets.randbelow) -> str:
    """One of 31⁶, 887 million."""
    number = below(len(SYMBOLS) ** LENGTH)
    symbols = []
    for _ in range(LENGTH):
        number, rest = divmod(number, len(SYMBOLS))
        symbols.append(SYMBOLS[rest])
    return PREFIX + "".join(symbols)


def typed(text: str) -> str | None:
    """The code that somebody wrote, in letters of any case; None for what is none."""
    written = text.strip()
    return written.upper() if _TYPED.fullmatch(written) else None
