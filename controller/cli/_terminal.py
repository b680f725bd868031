"""The one way to a terminal: what is written there has its control characters escaped."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from controller.api.text import printable
from controller.views.explanation import COMMAND

_ALL_COLUMNS = 10_000


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    typer.echo(printable(text), err=err, nl=nl)


def say(text: str) -> None:
    """For people. A terminal gets lines broken between words; a pipe, or whoever copies a command, gets them whole."""
    lines = printable(text).split("\n")
    if sys.stdout.isatty():
        width = Terminal().width
        lines = [part for line in lines for part in ([line] if line.startswith(COMMAND) else _wrapped(line, width))]
    typer.echo("\n".join(lines))


def _wrapped(line: str, width: int) -> list[str]:
    """In lines of at most `width`, as far as words go; those after the first stand further right."""
    indent = line[: len(line) - len(line.lstrip())]
    lines = textwrap.wrap(
        line,
        width,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [""]


class Terminal(Console):
    """rich writes an escape sequence that stands in a text as it is, and takes `[/x]` in one for markup.

    A pipe has no width, so nothing folds for it, unless COLUMNS in the environment says one.
    """

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _ALL_COLUMNS

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
