"""A sender that dies, or loses the database, at each statement that it makes: never two messages, and none lost."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from tests.invitation_sending import Sends, sends
from tests.twilio_server import TwilioServer
from workloads.invitations.database import DatabaseGoneError, Rows, Session
from workloads.invitations.sending.sender import Ended
from workloads.invitations.status import Status

pytest_plugins = ["tests.integration.invitations_fixture"]


class KilledError(BaseException):
    """The process is gone. No Exception: nobody may catch it and go on."""


class Mortal:
    """A database whose use ends at one of its statements, or commits: before it is done, or after."""

    def __init__(self, database: Session) -> None:
        self._database = database
        self.dialect = database.dialect
        self.answered = 0
        self.last = 0
        """Which statement is the last one; 0: none."""
        self.arrives = False
        self.raises: type[BaseException] = KilledError
        self.statements = 0

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Rows]:
        async with self._database.transaction() as rows:
            yield _Watched(self, rows)
            self.begin()
        self.end()

    async def once(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        self.begin()
        found = await self._database.once(sql, *args)
        self.end()
        return found

    async def close(self) -> None:
        await self._database.close()

    def begin(self) -> None:
        self.statements += 1
        if self.statements == self.last and not self.arrives:
            raise self.raises

    def end(self) -> None:
        if self.statements == self.last and self.arrives:
            raise self.raises


class _Watched:
    def __init__(self, mortal: Mortal, rows: Rows) -> None:
        self._mortal = mortal
        self._rows = rows

    async def fetch(self, sql: str, *args: object) -> list[Mapping[str, Any]]:
        self._mortal.begin()
        found = await self._rows.fetch(sql, *args)
        self._mortal.end()
        return found

    async def execute(self, sql: str, *args: object) -> int:
        self._mortal.begin()
        changed = await self._rows.execute(sql, *args)
        self._mortal.end()
        return changed


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    async with TwilioServer().running() as server:
        yield server


def each_moment() -> Iterator[tuple[int, bool]]:
    """Before and after each statement, without an end."""
    return ((last, arrives) for last in itertools.count(1) for arrives in (False, True))


async def deliver_until(mortal: Mortal, it: Sends, invitation: str, *, last: int, arrives: bool) -> bool:
    """Whether it came to its end before the last statement."""
    mortal.statements, mortal.last, mortal.arrives = 0, last, arrives
    try:
        await it.deliver(invitation)
    except KilledError:
        return False
    finally:
        mortal.last = 0
    return mortal.statements < last


async def test_wherever_a_sender_dies_there_is_at_most_one_message_and_it_is_found(
    database_url: str, database: Session, server: TwilioServer
) -> None:
    """I15"""
    mortal = Mortal(database)
    ends = []
    async with sends(database_url, mortal, server) as it:
        for last, arrives in each_moment():
            number = f"+1202555{last:03d}{int(arrives)}"
            invitation = await it.invite(number, user=number)
            if await deliver_until(mortal, it, invitation, last=last, arrives=arrives):
                break
            await it.deliver(invitation)
            await it.look()
            [attempt] = await it.attempts(invitation)
            sent, status = len(server.to(number)), await it.status(invitation)
            assert (sent, status, attempt["outcome"]) in {
                (1, "SENT", "ACCEPTED"),
                (0, "UNKNOWN", "UNKNOWN"),  # it died between the attempt's row and the call: that is not known either
            }, f"statement {last}, done: {arrives}"
            ends.append((sent, status))
    assert len(ends) > 20
    assert ends.count((0, "UNKNOWN")) == 1


async def test_wherever_the_database_is_lost_for_a_moment_it_is_sent_once(
    database_url: str, database: Session, server: TwilioServer
) -> None:
    """I15, I24: whether what was under way arrived or not."""
    mortal = Mortal(database)
    mortal.raises = DatabaseGoneError
    async with sends(database_url, mortal, server) as it:
        for last, arrives in each_moment():
            number = f"+1202555{last:03d}{int(arrives)}"
            invitation = await it.invite(number, user=number)
            mortal.statements, mortal.last, mortal.arrives = 0, last, arrives
            assert await it.deliver(invitation) == Ended(Status.SENT)
            came_to_it, mortal.last = mortal.statements >= last, 0
            if not came_to_it:
                break
            assert len(server.to(number)) == 1
            assert [attempt["outcome"] for attempt in await it.attempts(invitation)] == ["ACCEPTED"]
    assert last > 10
