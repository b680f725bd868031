"""What the command line says when it cannot do what it is asked for."""

import pytest
from typer.testing import CliRunner

from tests.invitation_service import SECRET
from workloads.invitations.cli import app

NOTHING = {"DATABASE_URL": "", "JWT_ALGORITHM": "", "JWT_PUBLIC_KEY": "", "JWT_JWKS_URL": ""}


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["migrate"], {}, "DATABASE_URL is not set"),
        (["migrate"], {"DATABASE_URL": "mysql://x/y"}, "names no database"),
        (["token"], {"JWT_SECRET": "short"}, "JWT_SECRET is 5 bytes long"),
        (["token"], {"JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY": "k"}, "only its issuer makes such tokens"),
        (["seed", "--url", "http://127.0.0.1:9"], {}, "onnect"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, variables, said):
    """I32."""
    done = CliRunner().invoke(app, arguments, env=NOTHING | {"JWT_SECRET": SECRET} | variables)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["migrate", "token", "seed", "smoke"])
def test_every_command_shows_examples(command):
    """I32."""
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.stdout
    assert "--json" in shown.stdout
