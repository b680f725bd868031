"""The shipped dashboards as `pointsman board` reads and draws them."""

import io
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from controller.views.board import (
    BOARDS,
    BoardError,
    Drawn,
    Panel,
    Range,
    board_of,
    filled,
    load,
    range_of_last_rollout,
)
from controller.views.board_page import page, picture
from controller.views.board_text import board_text

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SHOWN = Range(NOON.timestamp(), NOON.timestamp() + 3600)
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def at(minutes):
    return NOON + timedelta(minutes=minutes)


GRAPH = Drawn(
    Panel("Bad units", "timeseries", "Of both versions.", "percent", 12, ()),
    [
        {"_time": at(minute), "_value": value, "series": series}
        for series, values in (("errors, new", (0.0, 5.0, 20.0)), ("errors, stable", (1.0, 1.0, 1.0)))
        for minute, value in zip((0, 30, 59), values, strict=True)
    ],
)
STATES = Drawn(
    Panel("Phase", "state-timeline", "", "", 24, ()),
    [
        {"_time": at(minute), "_value": value, "series": "web"}
        for minute, value in ((0, "Healthy"), (10, "Progressing"), (11, "Progressing"), (40, "RolledBack"))
    ],
)
TABLE = Drawn(
    Panel("Actions", "table", "", "", 12, ()),
    [
        {"_time": at(1), "reason": "Weight", "message": HOSTILE},
        {"_time": at(2), "reason": "Regressed", "message": None},
    ],
)
NOTHING = Drawn(Panel("Latency", "table", "", "", 12, ()), [])
DRAWN = [GRAPH, STATES, TABLE, NOTHING]
BOARD = load("release")


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_has_a_query_and_a_place(name):
    board = load(name)
    titles = [panel.title for panel in board.panels]
    assert len(set(titles)) == len(titles) > 3
    for panel in board.panels:
        assert panel.queries
        assert 0 < panel.span <= 24


@pytest.mark.parametrize("name", BOARDS)
def test_no_variable_is_left_in_a_query(name):
    board = load(name)
    values = {"namespace": ["shop"], "release": ["web"]}
    for query in (*(query for panel in board.panels for query in panel.queries), *board.marks):
        text = filled(query, values, SHOWN, "metrics")
        assert "${" not in text
        assert text.count("option v = ") == 1
        assert text.index("option v") > text.rfind("\nimport") or not text.startswith("import")


def test_a_value_cannot_change_a_query():
    text = filled('r.a == "${release}" and r.b =~ /^${namespace:regex}$/', {
        "release": ['web") |> drop() ${x} \\'], "namespace": ["a.b/c", "d"],
    }, SHOWN, 'm"x')  # fmt: skip
    assert 'r.a == "web\\") |> drop() \\${x} \\\\"' in text
    assert "r.b =~ /^(a\\.b\\/c|d)$/" in text
    assert 'defaultBucket: "m\\"x"' in text


def test_a_variable_without_a_value_means_all_or_is_refused():
    assert "=~ /^.*$/" in filled("r.b =~ /^${namespace:regex}$/", {}, SHOWN, "metrics")
    with pytest.raises(BoardError, match="variable release needs one value"):
        filled('r.a == "${release}"', {}, SHOWN, "metrics")


def test_a_graph_has_no_more_points_than_are_seen():
    assert Range(0, 3600).window_s == 30
    assert Range(0, 60).window_s == 1


def test_what_is_shown_is_the_last_rollout():
    beginnings = [{"_time": at(0), "_value": 1}, {"_time": at(100), "_value": 2}]
    noon = NOON.timestamp()
    late = noon + 86_400
    assert range_of_last_rollout(beginnings, [{"_time": at(130)}], late) == Range(noon + 97 * 60, noon + 133 * 60)
    assert range_of_last_rollout(beginnings, [{"_time": at(100)}], late) == Range(noon + 99 * 60, noon + 101 * 60)
    assert range_of_last_rollout([], [], late) is None


def test_a_definition_that_lacks_something_is_a_sentence():
    with pytest.raises(BoardError, match="dashboard x: 'title' is missing"):
        board_of("x", {})


@pytest.mark.parametrize("width", [40, 80, 160])
def test_text_fits_the_terminal_and_says_the_last_values(width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(board_text(BOARD, DRAWN, SHOWN, width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "20 %" in text
    assert re.search(r"Healthy .*\d\d:\d\d:\d\d Progressing\s+.*RolledBack", text.replace("\n", " "))
    assert text.count("Progressing") == 1
    assert "nothing in this time" in text


def test_a_page_escapes_what_came_from_the_database():
    text = page(BOARD, DRAWN, SHOWN)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text.replace("http-equiv", ""), "nothing comes from elsewhere"


def test_a_picture_is_well_formed_and_shows_each_series():
    text = picture(BOARD, DRAWN, SHOWN)
    assert "<script" not in text
    root = ET.fromstring(text)  # noqa: S314 - our own
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "errors, new: 20 %" in words
    assert "nothing in this time" in words
    assert "RolledBack" in words
