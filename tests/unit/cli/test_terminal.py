"""What reaches a terminal, and what a pipe."""

import io

import pytest
from rich.text import Text

from controller.cli._terminal import Terminal, echo
from controller.views.fleet import table
from controller.views.printable import printable


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


def test_a_pipe_gets_one_line_for_each_release(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a-release-with-a-name-that-is-as-long-as-names-may-be-here"
    release = {
        "metadata": {"namespace": "n" * 63, "name": name, "creationTimestamp": "2026-01-31T12:00:00Z"},
        "status": {"phase": "Progressing", "evidence": "errors: 12/40 of the canary " * 5, "reason": "Analyzing"},
    }
    terminal = Terminal()
    terminal.file = io.StringIO()
    terminal.print(table([release, release], 1_800_000_000.0, with_namespace=True))
    lines = terminal.file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(name in line for line in lines[1:])
