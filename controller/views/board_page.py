"""A board as a page or as one picture, without any script, font or file from elsewhere. Pure.

Whatever comes from the database is text here, and escaped.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from html import escape as escape_html

from controller.api.text import printable
from controller.views.board import FULL_SPAN, Board, Drawn, Range
from controller.views.board_text import cell, number, title

_COLORS = ("#1f6fb2", "#b5480f", "#1b7a43", "#7a4fb0", "#a3217d", "#5c6670", "#8a6d00", "#0f7480")
"""Each has a contrast of 4.5 to 1 and more on white."""
_STATES = {
    "Healthy": "#1b7a43",
    "RolledBack": "#b3261e",
    "RollingBack": "#b3261e",
    "Invalid": "#b3261e",
    "Waiting": "#8a6d00",
    "Paused": "#8a6d00",
}
_W, _PLOT_H, _LEFT, _RIGHT, _TOP, _LINE = 460, 150, 58, 14, 12, 19
_CHARACTERS = 64
"""Of a line of text in a picture."""
_MOST_ROWS = 8
_STYLE = """
:root{color-scheme:light}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:78rem;padding:1rem;color:#1d2329;background:#f4f5f7}
h1{font-size:1.35rem;margin:.2rem 0}
main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr))}
section{background:#fff;border:1px solid #d5d9de;border-radius:6px;padding:.7rem;min-width:0}
section.wide{grid-column:1/-1}
h2{font-size:1rem;margin:0}
p{margin:.2rem 0 .5rem;color:#525c66}
svg{width:100%;max-width:40rem;height:auto;display:block}
.table{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e4e7ea;vertical-align:top}
th{color:#525c66;font-weight:600;white-space:nowrap}
"""


def escape(text: str, *, quote: bool = True) -> str:
    """Control characters have no place in XML, whatever they are escaped as."""
    return escape_html(printable(text), quote=quote)


def page(board: Board, drawn: Sequence[Drawn], shown: Range) -> str:
    """HTML."""
    sections = "\n".join(_section(one, shown) for one in drawn)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(board.title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(board.title)}</h1><p>{_range(shown)}</p>\n<main>\n{sections}\n</main></body></html>\n"
    )


def _section(drawn: Drawn, shown: Range) -> str:
    panel = drawn.panel
    wide = ' class="wide"' if panel.span > FULL_SPAN / 2 else ""
    said = f"<p>{escape(panel.description)}</p>" if panel.description else ""
    return f"<section{wide}><h2>{escape(panel.title)}</h2>{said}{_body(drawn, shown)}</section>"


def _body(drawn: Drawn, shown: Range) -> str:
    if not drawn.rows:
        return "<p>Nothing in this time.</p>"
    if drawn.panel.kind in ("timeseries", "state-timeline"):
        content, height = _chart(drawn, shown)
        label = escape(drawn.panel.title)
        return f'<svg viewBox="0 0 {_W} {height}" role="img" aria-label="{label}">{content}</svg>'
    head = "".join(f'<th scope="col">{escape(title(column))}</th>' for column in drawn.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(row.get(column)))}</td>" for column in drawn.columns) + "</tr>"
        for row in drawn.rows
    )
    # what can be scrolled has to be reached by the keyboard
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(drawn.panel.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def picture(board: Board, drawn: Sequence[Drawn], shown: Range) -> str:
    """One SVG with all panels, in two columns."""
    gap, parts, columns = 16, list[str](), [56, 56]
    for one in drawn:
        content, height = _in_picture(one, shown)
        column = 0 if columns[0] <= columns[1] else 1
        x, y = gap + column * (_W + gap), columns[column]
        box = f'<rect x="{x - 6}" y="{y}" width="{_W + 8}" height="{height + 34}" rx="6" fill="#fff" stroke="#d5d9de"/>'
        name = _text(x + 4, y + 21, one.panel.title, weight="600", size=15)
        parts.append(f'{box}{name}<svg x="{x}" y="{y + 30}" width="{_W}" height="{height}">{content}</svg>')
        columns[column] += height + 34 + gap
    width, height = 2 * _W + 3 * gap, max(columns)
    head = _text(gap, 26, board.title, weight="700", size=18) + _text(gap, 45, _range(shown), color="#525c66")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13"><rect width="{width}" height="{height}" fill="#f4f5f7"/>'
        f"{head}{''.join(parts)}</svg>\n"
    )


def _in_picture(drawn: Drawn, shown: Range) -> tuple[str, int]:
    if not drawn.rows:
        return _text(6, 16, "nothing in this time", color="#525c66"), 28
    if drawn.panel.kind in ("timeseries", "state-timeline"):
        return _chart(drawn, shown)
    columns = [column for column in drawn.columns if any(cell(row.get(column)) for row in drawn.rows)]
    lines = [" · ".join(map(title, columns))]
    for row in drawn.rows[:_MOST_ROWS]:
        values = "  ".join(filter(None, (cell(row.get(column)) for column in columns)))
        lines += textwrap.wrap(values, _CHARACTERS, subsequent_indent="    ") or [""]
    if len(drawn.rows) > _MOST_ROWS:
        lines.append(f"and {len(drawn.rows) - _MOST_ROWS} more")
    text = "".join(
        _text(6, 16 + _LINE * index, line, color="#1d2329" if index else "#525c66") for index, line in enumerate(lines)
    )
    return text, 8 + _LINE * len(lines) + 6


def _chart(drawn: Drawn, shown: Range) -> tuple[str, int]:
    return _graph(drawn, shown) if drawn.panel.kind == "timeseries" else _states(drawn, shown)


def _x(at: float, shown: Range) -> float:
    part = min(1.0, max(0.0, (at - shown.start) / (shown.stop - shown.start)))
    return _LEFT + part * (_W - _LEFT - _RIGHT)


def _graph(drawn: Drawn, shown: Range) -> tuple[str, int]:
    series, unit = sorted(drawn.series.items()), drawn.panel.unit
    highest = max((value for _, points in series for _, value in points), default=0.0) or 1.0
    bottom = _TOP + _PLOT_H
    parts = [_axes(shown, highest, unit, bottom)]
    for index, (name, points) in enumerate(series):
        color = _COLORS[index % len(_COLORS)]
        path = _path(points, shown, highest, bottom, holds=drawn.panel.holds)
        dash = "" if index < len(_COLORS) else ' stroke-dasharray="5 3"'
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"{dash} stroke-linecap="round"/>')
        y = bottom + 36 + _LINE * index
        parts.append(f'<rect x="{_LEFT}" y="{y - 9}" width="14" height="4" fill="{color}"/>')
        parts.append(_text(_LEFT + 22, y - 3, f"{name or drawn.panel.title}: {number_of(points, unit)}"))
    return "".join(parts), bottom + 30 + _LINE * len(series)


def _path(points: Sequence[tuple[float, float]], shown: Range, highest: float, bottom: int, *, holds: bool) -> str:
    parts = list[str]()
    for at, value in points:
        x, y = _x(at, shown), bottom - max(0.0, value) / highest * _PLOT_H
        if not parts:
            parts.append(f"M{x:.1f} {y:.1f}")
        else:
            parts.append(f"H{x:.1f} V{y:.1f}" if holds else f"L{x:.1f} {y:.1f}")
    return " ".join([*parts, f"H{_x(shown.stop, shown):.1f}"] if holds else parts)


def number_of(points: Sequence[tuple[float, float]], unit: str) -> str:
    return number(points[-1][1], unit)


def _axes(shown: Range, highest: float, unit: str, bottom: int) -> str:
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * _PLOT_H
        parts.append(f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y}" y2="{y}" stroke="#e4e7ea"/>')
        parts.append(_text(_LEFT - 6, y + 4, number(part * highest, unit), anchor="end", color="#525c66"))
    return "".join(parts) + _times(shown, bottom)


def _times(shown: Range, bottom: int) -> str:
    parts = []
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = shown.start + part * (shown.stop - shown.start)
        parts.append(_text(_x(at, shown), bottom + 17, _clock(at), anchor=anchor, color="#525c66"))
    return "".join(parts)


def _states(drawn: Drawn, shown: Range) -> tuple[str, int]:
    """Each state as a bar until the next one."""
    parts, height = list[str](), 30
    legend = dict[str, str]()
    for index, points in enumerate(drawn.series.values()):
        y = _TOP + index * (height + 4)
        for place, (at, value) in enumerate(points):
            end = points[place + 1][0] if place + 1 < len(points) else shown.stop
            color = _STATES.get(str(value), _COLORS[0])
            legend[str(value)] = color
            x = _x(at, shown)
            width = max(1.0, _x(end, shown) - x)
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{color}">'
                f"<title>{escape(str(value))}</title></rect>"
            )
    bottom = _TOP + len(drawn.series) * (height + 4)
    parts.append(_times(shown, bottom))
    for index, (value, color) in enumerate(legend.items()):
        y = bottom + 36 + _LINE * index
        parts.append(f'<rect x="{_LEFT}" y="{y - 11}" width="14" height="8" fill="{color}"/>')
        parts.append(_text(_LEFT + 22, y - 3, value))
    return "".join(parts), bottom + 30 + _LINE * len(legend)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = "#1d2329", weight: str = "400", size: int = 13
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}" '
        f'font-size="{size}">{escape(text)}</text>'
    )


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _range(shown: Range) -> str:
    return " to ".join(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) for at in (shown.start, shown.stop))
