"""The README tells of what there is: every variable, every error, every requirement and where it is tested."""

import re
import sqlite3
from collections import ChainMap
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from starlette.routing import Route

from tests.invitation_service import environment
from workloads.invitations import settings
from workloads.invitations.app import create
from workloads.invitations.migrating import migrate
from workloads.invitations.problems import Code
from workloads.invitations.status import Status

CHECKOUT = Path(__file__).resolve().parents[3]
README = (CHECKOUT / "workloads/invitations/README.md").read_text()
SENDING = (CHECKOUT / "workloads/invitations/sending/README.md").read_text()


class Asked(dict[str, str]):
    """An environment that notes what was looked for in it."""

    def __init__(self, *given: Mapping[str, str]) -> None:
        super().__init__(ChainMap(*(dict(each) for each in given)))
        self.names: set[str] = set()

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)


def test_every_variable_is_told():
    """I16, I33: here or in the README of sending."""
    some = environment("sqlite:///x")
    queued = Asked({"ROLES": "relay,sender", "QUEUE_URL": "q", "DEAD_LETTER_QUEUE_URL": "d", "JOBS_TABLE": "j"}, some)
    by_key = Asked({"JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY": "k"}, some)
    for each in (queued, by_key):
        settings.read(each)
    asked = queued.names | by_key.names
    assert len(asked) > 50
    assert [name for name in sorted(asked) if f"`{name}`" not in README + SENDING] == []


def test_the_error_table_is_that_of_the_service():
    """I10."""
    rows = re.findall(r"^\| (\d{3}) \| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert sorted((int(status), code) for status, code in rows) == sorted((code.status, code.name) for code in Code)


def test_every_requirement_has_tests_that_name_it():
    """I1 to I34."""
    rows = re.findall(r"^\| I(\d+) \| .+ \| ([^|]+) \|$", README, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 35))
    for number, files in rows:
        for file in re.findall(r"`([^`]+)`", files):
            docstrings = re.findall(r'"""(.*?)"""', (CHECKOUT / "tests" / file).read_text(), re.DOTALL)
            assert any(re.search(rf"\bI{number}\b", each) for each in docstrings), (number, file)


def test_every_endpoint_is_in_the_table():
    """I28."""
    app = create(settings.read(environment("sqlite:///x")))
    included = [getattr(each, "original_router", None) for each in app.routes]
    there = {
        f"{method} {route.path}"
        for routes in (app.routes, *(router.routes for router in included if router))
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert len(there) > 10
    assert set(re.findall(r"^\| `((?:GET|POST|DELETE|PUT) /\S*)` \|", README, re.MULTILINE)) == there


async def test_every_table_and_column_of_the_schema_is_told(tmp_path):
    """I9, I23."""
    file = tmp_path / "made.sqlite"
    await migrate(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        there = {
            name: {row[1] for row in database.execute(f"PRAGMA table_info({name})")}
            for name in tables
            if not name.startswith("sqlite_")
        }
    section = README.split("## Schema")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", columns)) for name, columns in rows} == there
    assert all(status in section for status in Status)
