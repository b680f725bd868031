"""Whether requests can be answered, found out once a second at most: whoever can ask may ask often."""

import time
from asyncio import Lock
from collections.abc import Callable

from workloads.invitations import schema
from workloads.invitations.database import Database, DatabaseGoneError

GOOD_FOR_S = 1.0


class Readiness:
    """Not while the database is away, as another pod may reach it; nor before it is migrated.

    Who waits in vain for a connection that requests have is busy, and stays ready: its requests would go to other pods,
    which are as busy, until none is left.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asking = Lock()
        self._until = clock()
        self._trouble = ""
        self._migrated = False

    async def trouble(self) -> str:
        """Empty: ready."""
        async with self._asking:
            if self._clock() >= self._until:
                self._trouble = await self._found()
                self._until = self._clock() + GOOD_FOR_S
            return self._trouble

    async def _found(self) -> str:
        before = self._database.answered
        try:
            self._migrated = await schema.is_there(self._database)
        except DatabaseGoneError as problem:
            if self._migrated and self._database.answered > before:
                return ""
            return f"the database does not answer: {problem}"
        return "" if self._migrated else f"the schema is older than {schema.NEEDED}"
