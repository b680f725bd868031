"""`python -m workloads.invitations.cli`: the service from the command line."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import httpx
import typer
from sqlalchemy.exc import SQLAlchemyError

from workloads.common.environment import Environment, SettingError
from workloads.invitations import settings
from workloads.invitations.migrating import migrate as bring_up_to_date
from workloads.invitations.seeding import seed as seed_through
from workloads.invitations.signing import Signer
from workloads.invitations.smoke import Smoke

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The invitation API. It reads the service's own variables: DATABASE_URL for `migrate`, "
    "JWT_SECRET and its companions for what makes tokens.",
)

Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
Url = Annotated[str, typer.Option(help="Where the service is.")]
Token = Annotated[str, typer.Option("--token", envvar="TOKEN", help="A user's; made with JWT_SECRET if not given.")]
_HERE = "http://127.0.0.1:8080"
_PATIENCE_S = 20.0


@app.command(epilog="Examples:  migrate   |   DATABASE_URL=sqlite:////tmp/invitations.sqlite migrate --json")
def migrate(*, as_json: Json = False) -> None:
    """Bring the database of DATABASE_URL to the newest schema. Again is fine; there is no way down."""

    def run() -> None:
        asyncio.run(bring_up_to_date(settings.database_url(os.environ)))
        _say({"migrated": True}, "the database is up to date", as_json=as_json)

    _reporting(run)


@app.command(epilog="Examples:  token --user u1   |   token --link http://127.0.0.1:8080   |   token --json")
def token(
    *,
    user: Annotated[str, typer.Option(help="The user's id (`sub`).")] = "u1",
    name: Annotated[str, typer.Option(help="The user's name, which friends read.")] = "John",
    hours: Annotated[float, typer.Option(min=0.01, help="How long it is good for.")] = 8,
    link: Annotated[str, typer.Option(help="Print the page of the service at this address, signed in.")] = "",
    as_json: Json = False,
) -> None:
    """Make a token, signed with JWT_SECRET as the app's own sign-in would."""

    def run() -> None:
        made = _signer().token(user, name=name, seconds=hours * 3600)
        found = {"token": made} | ({"link": f"{link.rstrip('/')}/#token={made}"} if link else {})
        _say(found, found.get("link", made), as_json=as_json)

    _reporting(run)


@app.command(epilog="Examples:  seed   |   seed --users 8 --each 5 --json   |   seed --first 5000")
def seed(
    *,
    url: Url = _HERE,
    users: Annotated[int, typer.Option(min=1, max=10_000, help="Who invite.")] = 4,
    each: Annotated[int, typer.Option(min=1, max=10_000, help="Friends of each.")] = 5,
    first: Annotated[
        int,
        typer.Option(
            min=0,
            max=9_999_999,
            help="The first of the numbers +1555…; the sandbox fails some that end in 0001 to 0004.",
        ),
    ] = 1_001_000,
    as_json: Json = False,
) -> None:
    """Fill a service that has the sandbox provider. The same again changes nothing. Exit code 1: some were refused."""

    def run() -> None:
        refused = False
        with _client(url) as client:
            for made in seed_through(client, _signer(), users=users, each=each, first=first):
                refused = refused or not made.status < 400  # noqa: PLR2004
                end = "  accepted" if made.accepted else ""
                _say(asdict(made), f"{made.user}  {made.phone}  {made.status}  {made.code}{end}", as_json=as_json)
        if refused:
            raise typer.Exit(1)

    _reporting(run)


@app.command(
    epilog="Examples:  smoke   |   smoke --url http://127.0.0.1:18080 --host invite.localhost   |   "
    "smoke --url https://invite.example.com --phone +14155550100 --sent-within 30 --json"
)
def smoke(
    *,
    url: Url = _HERE,
    given: Token = "",
    phone: Annotated[
        str, typer.Option(help="Whom to invite; without, a test number, which only the sandbox takes.")
    ] = "",
    host: Annotated[
        str,
        typer.Option(help="The host name to ask for where --url is a gateway's address and DNS does not lead to it."),
    ] = "",
    sent_within: Annotated[float, typer.Option(min=0, help="Seconds for the message to be sent; 0 does not wait.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a service, from outside, whether it does its work; it invites once. Exit code 1: something is wrong."""

    def run() -> None:
        user = given or _signer().token(f"smoke-{secrets.token_hex(4)}", name="Smoke test", seconds=600)
        number = phone or f"+1555{secrets.randbelow(900) + 100:03d}{secrets.randbelow(9000) + 1000}"
        wrong = False
        with _client(url, host) as client:
            for check in Smoke(client, user, number, sent_within).run():
                wrong = wrong or bool(check.wrong)
                line = f"{'FAILED' if check.wrong else 'ok':<6}  {check.name}" + (
                    f": {check.wrong}" if check.wrong else ""
                )
                _say(asdict(check), line, as_json=as_json)
        if wrong:
            raise typer.Exit(1)

    _reporting(run)


def _signer() -> Signer:
    return Signer(settings.trust(Environment(os.environ)))


def _client(url: str, host: str = "") -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Host": host} if host else {}, timeout=_PATIENCE_S)


def _reporting(run: Callable[[], None]) -> None:
    try:
        run()
    except (SettingError, SQLAlchemyError, OSError, httpx.HTTPError, httpx.InvalidURL) as problem:
        print(f"invitations: {problem}", file=sys.stderr)
        raise typer.Exit(2) from None


def _say(value: dict[str, Any], line: str, *, as_json: bool) -> None:
    print(json.dumps(value) if as_json else line)


if __name__ == "__main__":
    app()
