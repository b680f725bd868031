"""Which clients a version has served for the first time, and which of them it failed: for sticky canaries.

Where a router keeps each client with one version, a client is what it splits, and a client that fails a hundred times
is one that is bad. So each is counted once for a revision: `seconds` after its first request, as bad if one of its
requests failed until then. All processes share a table, because a client is stuck to a version and not to a pod. Any
process may tell of a client, so those of a pod that died are told of as well.

A client is the user of its token. The token is not verified: what cannot be answered must count too, and no token is
good for a client of another version than the router's. What is kept is a keyed hash.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from workloads.common.http_metrics import Identity
from workloads.common.line_protocol import Point
from workloads.invitations.database import Database, DatabaseGoneError, Dialect

log = logging.getLogger(__name__)

OUTCOME = "client.outcome"
_UNAUTHORIZED, _FAILED = 401, 500
_LONGEST_TOKEN, _LONGEST_ID = 8192, 200
_MOST_KNOWN = 50_000
_MOST_UNWRITTEN = 10_000
_WRITTEN_AT_ONCE, _TOLD_AT_ONCE = 200, 500
_EVERY_S = 1.0
_LAST_WRITE_S = 2.0
_SECOND_NS = 1_000_000_000

_NOTE = """
INSERT INTO clients (revision, client_hash, seen_at, bad_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (revision, client_hash) DO UPDATE SET bad_at = excluded.bad_at
WHERE clients.bad_at IS NULL AND excluded.bad_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class _Note:
    """Milliseconds since 1970."""

    seen_at: int
    bad_at: int | None


class Clients:
    """Of one process and one event loop. `clock`: milliseconds since 1970."""

    def __init__(self, identity: Identity, key: bytes, *, seconds: float, clock: Callable[[], int]) -> None:
        self._identity = identity
        self._key = key
        self._span_ms = round(seconds * 1000)
        self._clock = clock
        self._known: OrderedDict[bytes, bool] = OrderedDict()
        """Those that were noted here last, and whether as bad."""
        self._unwritten: dict[bytes, _Note] = {}
        self._told: Counter[tuple[str, int, bool]] = Counter()
        """By revision, second of the first request, and whether bad; since the last flush."""
        self.dropped = 0
        """Notes that were given up, because the database was away for too long."""

    def answered(self, authorization: bytes, code: int) -> None:
        """A request was answered; one without a user, or with a token that is refused, is no client's."""
        user = b"" if code == _UNAUTHORIZED else _user_of(authorization)
        if not user:
            return
        client = hmac.digest(self._key, b"client " + user, hashlib.sha256)
        bad, known = code >= _FAILED, self._known.get(client)
        self._known[client] = bad or bool(known)
        self._known.move_to_end(client)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        if known is None or (bad and not known):
            now = self._clock()
            self._keep(client, _Note(now, now if bad else None))

    def _keep(self, client: bytes, note: _Note) -> None:
        before = self._unwritten.get(client)
        if before is not None:
            bad = [at for at in (before.bad_at, note.bad_at) if at is not None]
            note = _Note(min(before.seen_at, note.seen_at), min(bad, default=None))
        elif len(self._unwritten) >= _MOST_UNWRITTEN:
            self.dropped += 1
            return
        self._unwritten[client] = note

    async def run(self, database: Database) -> None:
        """Until it is cancelled; what was noted until then is written before."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                await self.turn(database)
        finally:
            try:
                async with asyncio.timeout(_LAST_WRITE_S):
                    await self._write(database)
            except (DatabaseGoneError, TimeoutError) as problem:
                log.warning("the last clients are not noted", extra={"fields": {"why": str(problem)}})

    async def turn(self, database: Database) -> None:
        """Nothing that is away ends it."""
        try:
            await self._write(database)
            await self._tell(database)
        except DatabaseGoneError as problem:
            log.warning("clients cannot be counted now", extra={"fields": {"why": str(problem)}})

    async def _write(self, database: Database) -> None:
        """Raises DatabaseGoneError; nothing is lost by it."""
        while self._unwritten:
            some = dict(sorted(self._unwritten.items())[:_WRITTEN_AT_ONCE])  # sorted: all processes lock in one order
            for client in some:
                del self._unwritten[client]
            try:
                async with database.transaction() as rows:
                    for client, note in some.items():
                        await rows.execute(_NOTE, self._identity.revision, client, note.seen_at, note.bad_at)
            except BaseException:
                for client, note in some.items():
                    self._keep(client, note)
                raise

    async def _tell(self, database: Database) -> None:
        """Whoever takes a row tells of it, and nobody else does. Raises DatabaseGoneError."""
        sql = _tell_sql(database.dialect)
        told = _TOLD_AT_ONCE
        while told == _TOLD_AT_ONCE:
            now = self._clock()
            async with database.transaction() as rows:
                found = await rows.fetch(sql, now, now - self._span_ms)
            told = len(found)
            for row in found:
                bad = row["bad_at"] is not None and row["bad_at"] <= row["seen_at"] + self._span_ms
                self._told[row["revision"], row["seen_at"] // 1000, bad] += 1

    def take(self, *, time_ns: int) -> list[Point]:
        """At the second of the first request: there the client was given to its version.

        Each flush has nanoseconds of its own, so that two that tell of one second do not overwrite each other.
        """
        told, self._told = self._told, Counter()
        offset = time_ns % _SECOND_NS
        return [
            self._point(revision, _fields(told, revision, second), second * _SECOND_NS + offset)
            for revision, second in sorted({(revision, second) for revision, second, _ in told})
        ]

    def _point(self, revision: str, fields: Mapping[str, int | float], time_ns: int) -> Point:
        return Point(OUTCOME, fields, time_ns, {**self._identity.tags(), "revision": revision})


def _fields(told: Counter[tuple[str, int, bool]], revision: str, second: int) -> Mapping[str, int | float]:
    bad = told[revision, second, True]
    return {"total": bad + told[revision, second, False], "bad": bad}


def _tell_sql(dialect: Dialect) -> str:
    skip = "FOR UPDATE SKIP LOCKED" if dialect is Dialect.POSTGRESQL else ""
    return f"""
    UPDATE clients SET told_at = $1 WHERE (revision, client_hash) IN (
      SELECT revision, client_hash FROM clients WHERE told_at IS NULL AND seen_at <= $2 LIMIT {_TOLD_AT_ONCE} {skip}
    ) RETURNING revision, seen_at, bad_at
    """  # noqa: S608 - constants


def authorization_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name == b"authorization"), b"")


def _user_of(authorization: bytes) -> bytes:
    """`sub` of a JWT, whoever has signed it; empty where there is none."""
    kind, _, token = authorization.partition(b" ")
    parts = token.strip().split(b".")
    if kind.lower() != b"bearer" or len(token) > _LONGEST_TOKEN or len(parts) != 3:  # noqa: PLR2004 - a JWT
        return b""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        user = claims["sub"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return b""
    return user.encode(errors="replace") if isinstance(user, str) and 0 < len(user) <= _LONGEST_ID else b""
