"""`python -m hack.database up|down NAMESPACE`: the invitation API's database on the cluster of this checkout.

`up` makes an empty database, its owner and its user, and the Secrets `invitations` and `invitations-migration`, which
lead there, in a namespace that exists. `up` again forgets the one before. `down` removes database and users; the
Secrets go with the namespace.
"""

import argparse
import asyncio
import secrets
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from hack.install import Kubectl, make_secret
from hack.node.cluster import Cluster, load_cluster
from hack.node.trouble import TroubleError


def new_secrets() -> dict[str, str]:
    """What the API needs besides its database, by the variables that it reads."""
    return {"JWT_SECRET": secrets.token_urlsafe(32), "PHONE_KEYS": f"k1:{_key()}", "PHONE_HASH_KEY": _key()}


class Database:
    """One for each namespace, and two users of it as in production: one owns the tables, one has the rows."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = f"invitations_{namespace}".replace("-", "_")
        self._owner = f"{self._name}_owner"

    async def make(self, kubectl: Kubectl, variables: dict[str, str]) -> None:
        """An empty one, and the Secrets that lead there; `variables` are the API's. No pod may use an earlier one."""
        await self.remove()
        passwords = {user: secrets.token_urlsafe(24) for user in (self._name, self._owner)}
        async with self._as_administrator("postgres") as connection:
            for user, password in passwords.items():
                await connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            await connection.execute(f"CREATE DATABASE {self._name} OWNER {self._owner}")
        async with self.connected() as connection:
            grant = f"ALTER DEFAULT PRIVILEGES FOR ROLE {self._owner} GRANT"
            await connection.execute(f"{grant} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {self._name}")
            await connection.execute(f"{grant} USAGE ON SEQUENCES TO {self._name}")
        urls = {user: self._url_in_cluster(user, password) for user, password in passwords.items()}
        make_secret(kubectl, "invitations-migration", self._namespace, DATABASE_URL=urls[self._owner])
        make_secret(kubectl, "invitations", self._namespace, DATABASE_URL=urls[self._name], **variables)

    async def remove(self) -> None:
        """Database and users; connections to it are cut."""
        async with self._as_administrator("postgres") as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
            await connection.execute(f"DROP ROLE IF EXISTS {self._name}, {self._owner}")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """As administrator."""
        async with self._as_administrator(self._name) as connection:
            yield connection

    @asynccontextmanager
    async def _as_administrator(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await asyncpg.connect(self._cluster.postgres_url, database=database)
        except (OSError, asyncpg.PostgresError) as problem:
            raise TroubleError(f"PostgreSQL does not answer ({problem}): see `hack/cluster logs postgres`.") from None
        try:
            yield connection
        finally:
            await connection.close()

    def _url_in_cluster(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@{self._cluster.in_cluster.postgres}/{self._name}"


def _key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hack.database", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("namespace", help="of the API's pods; the database is called after it")
    arguments = parser.parse_args()
    try:
        cluster = load_cluster()
        database = Database(cluster, arguments.namespace)
        if arguments.what == "up":
            kubectl = Kubectl(cluster)
            kubectl("get", "namespace", arguments.namespace)  # before anything is made that nobody uses
            asyncio.run(database.make(kubectl, new_secrets()))
        else:
            asyncio.run(database.remove())
    except TroubleError as trouble:
        print(f"hack.database: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
