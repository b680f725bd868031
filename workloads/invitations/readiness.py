"""Whether requests can be answered, found out once a second at most: whoever can ask may ask often."""

import time
from asyncio import Lock
from collections.abc import Callable

from workloads.invitations import schema
from workloads.invitations.database import Database, DatabaseGoneError

GOOD_FOR_S = 1.0


class Readiness:
    """Not while the database is away, as another pod may reach it; nor before it is migrated."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asking = Lock()
        self._until = clock()
        self._trouble = ""

    async def trouble(self) -> str:
        """Empty: ready."""
        async with self._asking:
            if self._clock() >= self._until:
                self._trouble = await self._found()
                self._until = self._clock() + GOOD_FOR_S
            return self._trouble

    async def _found(self) -> str:
        try:
            migrated = await schema.is_there(self._database)
        except DatabaseGoneError as problem:
            return f"the database does not answer: {problem}"
        return "" if migrated else f"the schema is older than {schema.NEEDED}"
