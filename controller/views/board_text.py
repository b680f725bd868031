"""A board in the terminal: a line of blocks for each line of a graph, tables as they are. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.views.board import Board, Drawn, Range

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDE = 60
_MOST_GAP = 4
_MOST_BLOCKS = 60
_NAME = 34
_LAST = 12
"""Columns of the last value."""
_UNITS = {"percent": "%", "s": "s", "none": "", "short": "", "bytes": "B"}


def board_text(board: Board, drawn: Sequence[Drawn], shown: Range, width: int) -> RenderableType:
    parts: list[RenderableType] = [
        Text(board.title, style="bold"),
        Text(f"{_moment(shown.start)} to {_moment(shown.stop)}", style="dim"),
    ]
    for one in drawn:
        parts += [Text(""), Text(one.panel.title, style="bold cyan"), _panel(one, shown, width)]
    return Group(*parts)


def _panel(drawn: Drawn, shown: Range, width: int) -> RenderableType:
    if not drawn.rows:
        return Text("nothing in this time", style="dim")
    match drawn.panel.kind:
        case "timeseries":
            return _graph(drawn, shown, width)
        case "state-timeline":
            return _states(drawn)
        case _:
            return _table(drawn, width)


def _graph(drawn: Drawn, shown: Range, width: int) -> RenderableType:
    series = drawn.series
    highest = max((value for points in series.values() for _, value in points), default=0.0)
    unit = drawn.panel.unit
    names = min(_NAME, max(map(len, series)))
    room = width - names - _LAST - 4
    stacked = room < _WIDE // 3
    blocks = max(8, min(_MOST_BLOCKS, width - _LAST - 2 if stacked else room))
    table = Table.grid(padding=(0, 1))
    lines: list[RenderableType] = []
    for name, points in sorted(series.items()):
        bar = Text(_line(points, shown, highest, blocks, holds=drawn.panel.holds), style="green")
        last = number(points[-1][1], unit)
        if stacked:
            lines += [Text(name, style="dim", overflow="fold"), Text.assemble("  ", bar, f" {last}")]
        else:
            table.add_row(Text(name[:names].ljust(names), style="dim"), bar, last)
    return Group(*lines) if stacked else table


def _line(points: Sequence[tuple[float, float]], shown: Range, highest: float, blocks: int, *, holds: bool) -> str:
    """The last value in each part of the range. What holds has no gaps; other values have none of a few parts."""
    cells = [" "] * blocks
    for at, value in points:
        index = min(blocks - 1, max(0, int((at - shown.start) / (shown.stop - shown.start) * blocks)))
        level = 0 if highest <= 0 else round(max(0.0, value) / highest * (len(_BLOCKS) - 1))
        cells[index] = _BLOCKS[level]
    return _without_gaps(cells, blocks if holds else _MOST_GAP)


def _without_gaps(cells: list[str], most: int) -> str:
    """Gaps of at most so many cells, and after the last value none."""
    last = max((index for index, cell in enumerate(cells) if cell != " "), default=0)
    gap = 0
    for index, cell in enumerate(cells):
        gap = 0 if cell != " " else gap + 1
        if 0 < gap <= most and index and (index < last or most >= len(cells)):
            cells[index] = cells[index - 1]
    return "".join(cells)


def _states(drawn: Drawn) -> RenderableType:
    text = Text()
    for points in drawn.series.values():
        before = None
        for at, value in points:
            if value != before:
                text.append(f"{_clock(at)} {value}  ")
            before = value
    return text


def _table(drawn: Drawn, width: int) -> RenderableType:
    columns = drawn.columns
    rows = [[cell(row.get(column)) for column in columns] for row in drawn.rows]
    widths = [max(len(column), *(len(row[index]) for row in rows)) for index, column in enumerate(columns)]
    if sum(widths[:-1]) + 2 * len(widths) + 20 <= width:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for column in columns[:-1]:
            table.add_column(title(column), no_wrap=True)
        table.add_column(title(columns[-1]), overflow="fold")
        for row in rows:
            table.add_row(*row)
        return table
    lines: list[RenderableType] = []
    for row in rows:
        text = "  ".join(f"{title(column)} {value}" for column, value in zip(columns, row, strict=True) if value)
        lines.append(Text(text, overflow="fold"))
    return Group(*lines)


def title(column: str) -> str:
    """`_time` as `time`, `new_percent` as `new %`."""
    name = column.strip("_").replace("_", " ")
    return f"{name.removesuffix(' percent')} %" if name.endswith(" percent") else name


def cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return _clock(value.timestamp())
        case float():
            return format(value, ".4g")
        case _:
            return str(value)


def number(value: float, unit: str) -> str:
    word = _UNITS.get(unit, "")
    return f"{value:.4g}{' ' if word else ''}{word}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
