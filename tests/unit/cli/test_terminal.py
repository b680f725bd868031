"""What reaches a terminal, and what a pipe."""

import io
import sys

import pytest
from rich.console import Console
from rich.text import Text

from controller.api.text import printable
from controller.cli._terminal import Terminal, echo, say
from controller.views import repositories
from controller.views.board import Drawn, Panel, Range, load
from controller.views.board_text import board_text
from controller.views.fleet import listing


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\rb\x7f\x9b1m", "a\\rb\\x7f\\x9b1m"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("two\u2028lines", "two\\u2028lines"),
        ("Grüße\tan\nalle: 5 % ━", "Grüße\tan\nalle: 5 % ━"),
    ],
)
def test_control_characters_are_shown_and_not_carried_out(text, shown):
    assert printable(text) == shown


def test_a_sentence_and_a_picture_are_escaped_alike(capsys, monkeypatch):
    echo("commit \x1b[31mred")
    terminal = Terminal()
    terminal.file = io.StringIO()
    terminal.print(Text("commit \x1b[31mred", style="bold"))
    assert capsys.readouterr().out == "commit \\x1b[31mred\n"
    assert terminal.file.getvalue() == "commit \\x1b[31mred\n"


def test_what_stands_in_an_object_is_no_markup(monkeypatch):
    """`[/x]` would end the command, and `[link]` be a link."""
    monkeypatch.delenv("COLUMNS", raising=False)
    said = "[/x] [link=http://evil.qa]up[/link] :skull:"
    terminal = Terminal()
    terminal.file = io.StringIO()
    repository = {"metadata": {"namespace": "shop", "name": "web"}, "status": {"conditions": [_ready(said)]}}
    terminal.print(repositories.listing([repository], with_namespace=True))
    table = Drawn(Panel("Actions", "table", "", "", 12, ()), [{"reason": "Weight", "message": said}])
    terminal.print(board_text(load("release"), [table], Range(0, 60), terminal.width))
    assert terminal.file.getvalue().count(said) == 2


def _ready(message):
    return {"type": "Ready", "status": "False", "reason": "FetchFailed", "message": message}


def test_a_pipe_gets_one_line_for_each_release(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a-release-with-a-name-that-is-as-long-as-names-may-be-here"
    release = {
        "metadata": {"namespace": "n" * 63, "name": name, "creationTimestamp": "2026-01-31T12:00:00Z"},
        "status": {"phase": "Progressing", "evidence": "errors: 12/40 of the canary " * 5, "reason": "Analyzing"},
    }
    terminal = Terminal()
    terminal.file = io.StringIO()
    terminal.print(listing([release, release], 1_800_000_000.0, terminal.width, with_namespace=True))
    lines = terminal.file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(name in line for line in lines[1:])


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_terminal_gets_each_name_and_all_of_its_state(width):
    """A table would break the names, and drop the columns on its right."""
    release = {
        "metadata": {"namespace": "shop", "name": "n" * 63, "creationTimestamp": "2026-01-31T12:00:00Z"},
        "status": {
            "phase": "Progressing",
            "progress": "2/4",
            "weight": 25,
            "evidence": "errors 12/720 vs 240/14400",
            "reason": "Analyzing",
        },
    }
    shown = io.StringIO()
    found = listing([release], 1_800_000_000.0, width, with_namespace=False)
    Console(file=shown, width=width, force_terminal=False).print(found)
    *name, state, evidence = (line.rstrip() for line in shown.getvalue().splitlines())
    assert "".join(name) == "n" * 63
    assert state == "  Progressing  2/4  25 %   Analyzing  348d"
    assert evidence == "  errors 12/720 vs 240/14400"


def test_a_terminal_breaks_a_sentence_between_words_and_a_command_not_at_all(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    say("  guarantee: at most 1.00% of good versions are rolled back")
    say("next: pointsman wait invitation-api -n shop")
    say("\x1b[31mred\n")
    assert capsys.readouterr().out.splitlines() == [
        "  guarantee: at most 1.00% of",
        "    good versions are rolled",
        "    back",
        "next: pointsman wait invitation-api -n shop",
        "\\x1b[31mred",
        "",
    ]


def test_a_pipe_gets_a_sentence_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    say("guarantee: at most 1.00% of good versions are rolled back")
    assert len(capsys.readouterr().out.splitlines()) == 1
