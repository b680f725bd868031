"""The README tells of what there is: every variable, every error, every requirement and where it is tested."""

import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from tests.invitation_service import environment
from workloads.invitations import settings
from workloads.invitations.problems import Code

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
