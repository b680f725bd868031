"""`pointsman board`: what is wrong use, said before any cluster is asked."""

import pytest
from typer.testing import CliRunner

from controller.cli.main import application


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a RELEASE"),
        (["web", "--board", "fleet"], "--board fleet takes no RELEASE"),
        (["web", "--output", "board.png"], "--output board.png ends in neither .html nor .svg"),
        (["web", "--since", "0s"], "--since is not above 0"),
        (["web", "--since", "soon"], "--since: "),
        (["web", "--decisions-url", "http://influx:8086"], "--decisions-url needs --decisions-org"),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_code_2(arguments, said):
    done = CliRunner().invoke(application("board"), ["board", *arguments])
    assert done.exit_code == 2
    assert f"pointsman board: {said}" in done.output
