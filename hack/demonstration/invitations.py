"""The invitation API in a namespace: its database, its settings, and those who invite."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import yaml

from hack.database import Database, new_secrets
from hack.demonstration.repository import GITOPS
from hack.install import Kubectl
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
    """With a database of its own for each namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._namespace = namespace
        self._database = Database(cluster, namespace)
        self._variables = new_secrets()
        self._number = count()
        self._visits = 0
        self._signer = Signer(settings.trust(Environment(self._variables)))

    async def prepare(self, kubectl: Kubectl, **values: str) -> None:
        """`open`, and what stands beside the Release; `values` go into the settings of the namespace."""
        await self.open(kubectl)
        _apply(kubectl, FOLDER, self._namespace, values)

    async def open(self, kubectl: Kubectl) -> None:
        """An empty database, migrated by the Job, and the Secrets that lead there. No pod may use an earlier one."""
        await self._database.make(kubectl, self._variables)
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
        await self._database.remove()

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
        async with self._database.connected() as ask:
            return Kept(
                sent=await ask.fetchval("SELECT count(*) FROM invitations WHERE status = 'SENT'"),
                unsent=await ask.fetchval("SELECT count(*) FROM invitations WHERE status <> 'SENT'"),
                tried_twice=await ask.fetchval("SELECT count(*) FROM attempts WHERE number > 1"),
            )


def _apply(kubectl: Kubectl, folder: Path, namespace: str, settings: Mapping[str, str] | None = None) -> None:
    """The objects of a kustomization but for the Release; `settings` go into its ConfigMap."""
    rendered = list(yaml.safe_load_all(kubectl("kustomize", folder)))
    beside = [each for each in rendered if each["kind"] not in _NOT_BESIDE]
    for each in beside:
        each["metadata"]["namespace"] = namespace
        if each["kind"] == "ConfigMap":
            each["data"] |= settings or {}
    kubectl.apply("-f", "-", text=yaml.safe_dump_all(beside))


def _phone(number: int) -> str:
    """Of the test range; the sandbox fails some that end in less than 1000."""
    thousands, last = divmod(number, 9_000)
    return f"+1555{thousands:03d}{last + 1_000}"
