"""`hack.database`, and the SQL by which the README has an administrator make the same."""

import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from controller.kube.client import KubeClient
from hack.database import Database, new_secrets
from hack.install import CHECKOUT, Kubectl
from hack.node import build
from hack.node.postgres import Postgres
from tests.integration.test_plain_manifests import SECRETS
from tests.some_cluster import CLUSTER
from workloads.invitations.migrating import migrate

pytest_plugins = ["tests.integration.postgres_fixture"]


@asynccontextmanager
async def connected(postgres: Postgres, user: str, database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url(database).replace("postgres@", f"{user}@"))
    try:
        yield connection
    finally:
        await connection.close()


async def serves(postgres: Postgres, database: str, *, owner: str, user: str) -> None:
    """The owner migrates, and the user has the rows and nothing more."""
    await migrate(postgres.url(database).replace("postgres@", f"{owner}@"))
    async with connected(postgres, user, database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM invitations") == 0
        await connection.execute("DELETE FROM invitations")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DROP TABLE invitations")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE more (n int)")


async def test_the_readmes_sql_makes_what_the_migration_and_the_api_need(postgres: Postgres) -> None:
    """I23."""
    readme = (CHECKOUT / "workloads/invitations/README.md").read_text()
    [statements] = re.findall(r"```sql\n(.*?)```", readme, re.DOTALL)
    assert readme.index("```sql") < readme.index("invitations/migration\n"), "before the block that needs it"
    first, second = statements.split("\\connect invitations\n")
    async with connected(postgres, "postgres", "postgres") as connection:
        for statement in first.strip().splitlines():
            await connection.execute(statement)
    try:
        async with connected(postgres, "postgres", "invitations") as connection:
            await connection.execute(second)
        await serves(postgres, "invitations", owner="invitations_owner", user="invitations")
    finally:
        async with connected(postgres, "postgres", "postgres") as connection:
            await connection.execute("DROP DATABASE invitations WITH (FORCE)")
            await connection.execute("DROP ROLE invitations, invitations_owner")


async def test_a_database_is_made_with_its_secrets_and_nothing_is_left_of_it(
    postgres: Postgres, api_server: Path, kube: KubeClient, namespace: str
) -> None:
    cluster = replace(CLUSTER, kubeconfig=api_server, kubectl=build.program("kubectl"), postgres_url=postgres.url())
    database = Database(cluster, namespace)
    for _ in range(2):  # again forgets the one before
        await database.make(Kubectl(cluster), new_secrets())
    found = {}
    for name, expected in SECRETS.items():
        data = (await kube.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}"))["data"]
        assert set(data) == set(expected)
        found[name] = urlsplit(base64.b64decode(data["DATABASE_URL"]).decode())
    user, owner = found["invitations"], found["invitations-migration"]
    assert {url.hostname for url in found.values()} == {"postgres.databases"}
    assert user.path == owner.path
    assert user.username
    assert owner.username
    name = user.path.removeprefix("/")
    await serves(postgres, name, owner=owner.username, user=user.username)
    await database.remove()
    async with connected(postgres, "postgres", "postgres") as connection:
        assert not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name)
        assert not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname LIKE $1", f"{name}%")
