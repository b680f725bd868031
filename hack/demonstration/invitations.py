"""The invitation API in a namespace: its database, its settings, and those who invite."""

import json
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import yaml

from hack.demonstration.repository import GITOPS
from hack.install import Kubectl, make_secret
from hack.load import Call
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError
from workloads.common.environment import Environment
from workloads.invitations import settings
from workloads.invitations.signing import Signer

FOLDER = GITOPS / "demo/invitations"
MANIFEST = FOLDER / "release.yaml"
_EACH = 5
"""Invitations of one user: half of what a day allows."""
_VISITS = 5
"""To the page for one invitation."""
_HOUR_S = 3600.0
_MIGRATED_S = 120
_NOT_BESIDE = {"Namespace", "Release"}


@dataclass(frozen=True)
class Kept:
    """What the database says of the invitations."""

    sent: int
    unsent: int
    tried_twice: int

    def missing(self, invited: int) -> int:
        """Of so many answers that somebody was invited: those that no invitation stands for."""
        return max(0, invited - self.sent - self.unsent)


class Invitations:
    """One database for each namespace, and two users of it as in production: one owns the tables, one has the rows."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._database = f"invitations_{namespace}".replace("-", "_")
        self._owner = f"{self._database}_owner"
        secret = secrets.token_urlsafe(32)
        self._variables = {"JWT_SECRET": secret, "PHONE_KEYS": f"k1:{_key()}", "PHONE_HASH_KEY": _key()}
        self._number = count()
        self._visits = 0
        self._signer = Signer(settings.trust(Environment({"JWT_SECRET": secret})))

    async def prepare(self, kubectl: Kubectl, **values: str) -> None:
        """`open`, and what stands beside the Release; `values` go into the settings of the namespace."""
        await self.open(kubectl)
        _apply(kubectl, FOLDER, self._namespace, values)

    async def open(self, kubectl: Kubectl) -> None:
        """An empty database, migrated by the Job, and the Secrets that lead there. No pod may use an earlier one."""
        await self.remove()
        passwords = {user: secrets.token_urlsafe(24) for user in (self._database, self._owner)}
        async with self._asking() as ask:
            for user, password in passwords.items():
                await ask.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
            await ask.execute(f"CREATE DATABASE {self._database} OWNER {self._owner}")
        async with self._asking(self._database) as ask:
            grant = f"ALTER DEFAULT PRIVILEGES FOR ROLE {self._owner} GRANT"
            await ask.execute(f"{grant} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {self._database}")
            await ask.execute(f"{grant} USAGE ON SEQUENCES TO {self._database}")
        urls = {user: self._url_in_cluster(user, password) for user, password in passwords.items()}
        owner = {"DATABASE_URL": urls[self._owner]}
        make_secret(kubectl, "invitations-migration", self._namespace, **owner)
        make_secret(kubectl, "invitations", self._namespace, DATABASE_URL=urls[self._database], **self._variables)
        self._migrate(kubectl)

    def _migrate(self, kubectl: Kubectl) -> None:
        there = f"--namespace={self._namespace}"
        kubectl("delete", "job", "invitations-migration", there, "--ignore-not-found", "--wait")
        _apply(kubectl, FOLDER / "migration", self._namespace)
        try:
            kubectl("wait", "--for=condition=Complete", "job/invitations-migration", there, f"--timeout={_MIGRATED_S}s")
        except TroubleError:
            raise TroubleError(
                f"the database was not migrated within {_MIGRATED_S} s: see `kubectl describe pods {there} "
                f"--selector=job-name=invitations-migration` and `kubectl logs {there} job/invitations-migration`."
            ) from None

    async def remove(self) -> None:
        """Database and users; connections to it are cut."""
        async with self._asking() as ask:
            await ask.execute(f"DROP DATABASE IF EXISTS {self._database} WITH (FORCE)")
            await ask.execute(f"DROP ROLE IF EXISTS {self._database}, {self._owner}")

    def call(self) -> Call:
        """A user invites a friend who was never invited; every other call would be safe to repeat."""
        number = next(self._number)
        token = self._signer.token(f"user-{number // _EACH}", name="Ada", seconds=_HOUR_S)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if number % 2:
            headers["Idempotency-Key"] = f"call-{number}"
        body = json.dumps({"phoneNumber": _phone(number)}).encode()
        return Call("POST", "/api/invitations", headers, body)

    def visit(self) -> Call:
        """Of five who come to the page one invites somebody."""
        self._visits += 1
        return Call() if self._visits % _VISITS else self.call()

    async def kept(self) -> Kept:
        async with self._asking(self._database) as ask:
            return Kept(
                sent=await ask.fetchval("SELECT count(*) FROM invitations WHERE status = 'SENT'"),
                unsent=await ask.fetchval("SELECT count(*) FROM invitations WHERE status <> 'SENT'"),
                tried_twice=await ask.fetchval("SELECT count(*) FROM attempts WHERE number > 1"),
            )

    @asynccontextmanager
    async def _asking(self, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
        """As administrator."""
        try:
            connection = await asyncpg.connect(self._cluster.postgres_url, database=database)
        except (OSError, asyncpg.PostgresError) as problem:
            raise TroubleError(f"PostgreSQL does not answer ({problem}): see `hack/cluster logs postgres`.") from None
        try:
            yield connection
        finally:
            await connection.close()

    def _url_in_cluster(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@{self._cluster.in_cluster.postgres}/{self._database}"


def _apply(kubectl: Kubectl, folder: Path, namespace: str, settings: Mapping[str, str] | None = None) -> None:
    """The objects of a kustomization but for the Release; `settings` go into its ConfigMap."""
    rendered = list(yaml.safe_load_all(kubectl("kustomize", folder)))
    beside = [each for each in rendered if each["kind"] not in _NOT_BESIDE]
    for each in beside:
        each["metadata"]["namespace"] = namespace
        if each["kind"] == "ConfigMap":
            each["data"] |= settings or {}
    kubectl.apply("-f", "-", text=yaml.safe_dump_all(beside))


def _key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def _phone(number: int) -> str:
    """Of the test range; the sandbox fails some that end in less than 1000."""
    thousands, last = divmod(number, 9_000)
    return f"+1555{thousands:03d}{last + 1_000}"
