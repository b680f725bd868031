"""A repository of 1,000 manifests: how soon one change is applied, and what nothing new costs.

An API server without nodes, `pointsman sync` as a process, a repository over HTTPS with signed webhooks. All is
applied once; then webhooks come without a new commit, and what is written then is counted by the API server's audit
log; then one manifest of the thousand changes, and the time is taken from the fetch, and from the webhook, until the
cluster has it. At last the process is started anew, and must find that there is nothing to do.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from controller.api.names import GIT_URLS
from controller.api.resources import CONFIG_MAPS, RELEASE_REPOSITORIES, SECRETS, Resource
from controller.kube.client import KubeClient
from hack.node.process import free_port
from tests.bench.plane import Plane, now, plane
from tests.bench.report import Report, Target
from tests.bench.world import say
from tests.e2e.patience import until
from tests.git_server import PASSWORD, USER, Certificate, Origin, Served, served

NAMESPACE = "shop"
SIZE, SMALL = (1_000, 5), (40, 1)
"""Manifests, and changes."""
TARGETS: dict[str, Target] = {"commit_to_applied_s": ("<=", 2.0), "writes_unchanged_1000": ("<=", 0)}
_SMALL_TARGETS: dict[str, Target] = {"writes_unchanged_1000": ("<=", 0)}
_WORD = "a-word-of-the-forge"
_READS = frozenset({"get", "list", "watch"})
_HOOKS = 3
_PATIENCE_S = 180.0
_AUDIT_S = 1.5
"""The audit log is written every half second."""
_RBAC = "rbac.authorization.k8s.io"


async def run(*, small: bool = False) -> Report:
    manifests, changes = SMALL if small else SIZE
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        folder = Path(name)
        origin, certificate = Origin(folder / "git"), Certificate.make(folder)
        with served(folder / "git", certificate=certificate) as server:
            async with plane(NAMESPACE, controllers=False) as world:
                figures = await _Measuring(world, origin, server).figures(certificate, manifests, changes)
    return Report("sync", figures, _SMALL_TARGETS if small else TARGETS)


@dataclass(frozen=True)
class _Took:
    since_fetch_s: float
    """Since git's last request."""
    since_hook_s: float


class _Measuring:
    def __init__(self, world: Plane, origin: Origin, server: Served) -> None:
        self._world, self._kube, self._origin, self._server = world, world.kube, origin, server
        self._hooks = free_port()
        self._sent = 0

    async def figures(self, certificate: Certificate, manifests: int, changes: int) -> dict[str, float]:
        first = await asyncio.to_thread(
            self._origin.commit, "all", {f"apps/{one:04}.yaml": _manifest(one) for one in range(manifests)}
        )
        await _given(self._kube, self._server.url, certificate)
        self._start()
        began = now()
        await self._until_applied(first)
        figures = {"first_apply_s": round(now() - began, 2)}
        say(f"{manifests} manifests are applied after {figures['first_apply_s']:g} s")
        writes, reads = await self._unchanged(_HOOKS)
        figures |= {"writes_unchanged_1000": writes, "reads_unchanged_1000": reads / _HOOKS}
        took = [await self._change(number) for number in range(changes)]
        figures |= {
            "commit_to_applied_s": round(max(one.since_fetch_s for one in took), 2),
            "webhook_to_applied_s": round(max(one.since_hook_s for one in took), 2),
        }
        self._world.stop_operator()
        writes = await self._writes()
        fetched = len(self._server.requests)
        self._start()
        await until(lambda: len(self._server.requests) > fetched, "the next process fetches", _PATIENCE_S)
        await self._hook()
        figures |= {"writes_after_restart": await self._writes() - writes}
        return figures | {"manifests": manifests, "rss_mib": round(self._world.rss_mib(), 1)}

    def _start(self) -> None:
        self._world.start(
            "sync", "--namespace", NAMESPACE, "--hook-port", str(self._hooks), "--git-network", "127.0.0.1/32"
        )

    async def _unchanged(self, hooks: int) -> tuple[int, int]:
        writes, requests = await self._writes(), self._world.requests_without_leases()
        for _ in range(hooks):
            await self._hook()
        after = await self._writes()
        say(f"{hooks} times nothing new: {after - writes} writes")
        return after - writes, self._world.requests_without_leases() - requests - (after - writes)

    async def _change(self, number: int) -> "_Took":
        """Until the cluster has it."""
        value = f"changed in round {number}"
        files = {f"apps/{number:04}.yaml": _manifest(number, value)}
        commit = await asyncio.to_thread(self._origin.commit, f"change {number}", files)
        began = now()
        await self._send()
        fetched, answered = len(self._server.requests), began

        async def is_there() -> bool:
            nonlocal fetched, answered
            if len(self._server.requests) > fetched:
                fetched, answered = len(self._server.requests), now()
            found = await self._kube.get(CONFIG_MAPS, NAMESPACE, f"settings-{number:04}")
            return bool(found["data"]["value"] == value)

        await until(is_there, f"change {number} is applied", _PATIENCE_S)
        took = _Took(now() - answered, now() - began)
        say(f"change {number}: {took.since_fetch_s:.2f} s after its fetch, {took.since_hook_s:.2f} s after its webhook")
        await self._until_applied(commit)
        return took

    async def _hook(self) -> None:
        """Until its fetch and its pass are over."""
        fetched, passes = len(self._server.requests), await self._passes()
        await self._send()
        await until(lambda: len(self._server.requests) > fetched, "a webhook fetches", _PATIENCE_S)

        async def is_over() -> bool:
            metrics = await self._world.metrics()
            busy = metrics.get("pointsman_fetches_active", 1.0) + metrics.get(_ACTIVE, 1.0)
            return not busy and await self._passes() >= passes + 2

        await until(is_over, "its pass is over", _PATIENCE_S)

    async def _passes(self) -> float:
        return (await self._world.metrics()).get(_DONE, 0.0)

    async def _send(self) -> None:
        self._sent += 1  # the same once more would fetch nothing
        repository = {"clone_url": f"{self._server.url}/shop.git"}
        body = json.dumps({"ref": "refs/heads/main", "repository": repository, "number": self._sent}).encode()
        signature = hmac.new(_WORD.encode(), body, hashlib.sha256).hexdigest()

        async def is_taken() -> bool:
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(
                        f"http://127.0.0.1:{self._hooks}/v1/hook",
                        data=body,
                        headers={"X-Hub-Signature-256": f"sha256={signature}"},
                    ) as answer,
                ):
                    return answer.status == _ACCEPTED
            except aiohttp.ClientError:
                return False  # it is being started

        await until(is_taken, "a webhook is taken", _PATIENCE_S)

    async def _writes(self) -> int:
        await asyncio.sleep(_AUDIT_S)
        return sum(
            count
            for name, count in self._world.requests().items()
            if name.split()[0] not in _READS and not name.endswith(" leases")
        )

    async def _until_applied(self, commit: str) -> None:
        async def is_applied() -> bool:
            found = await self._kube.get(RELEASE_REPOSITORIES, NAMESPACE, "shop")
            return bool(found.get("status", {}).get("appliedCommit") == commit)

        await until(is_applied, "everything is applied", _PATIENCE_S)


_ACCEPTED = 202
_DONE = 'pointsman_reconciles_total{kind="ReleaseRepository",result="done"}'
_ACTIVE = 'pointsman_queue_active{kind="ReleaseRepository"}'


def _manifest(number: int, value: str = "as it was") -> str:
    metadata = {"name": f"settings-{number:04}", "labels": {"app": "web"}}
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value, "other": "x" * 500}}
    )


async def _given(kube: KubeClient, url: str, certificate: Certificate) -> None:
    data = {"username": USER, "password": PASSWORD, "ca.crt": certificate.chain.read_text(), "token": _WORD}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    marked = {"name": "git", "annotations": {GIT_URLS: url}}
    await kube.create(SECRETS, NAMESPACE, {**_object("v1", "Secret", "git", data=encoded), "metadata": marked})
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    await kube.create(_ROLES, NAMESPACE, _object(f"{_RBAC}/v1", "Role", "deployer", rules=rules))
    binding = _object(
        f"{_RBAC}/v1",
        "RoleBinding",
        "deployer",
        roleRef={"apiGroup": _RBAC, "kind": "Role", "name": "deployer"},
        subjects=[{"kind": "ServiceAccount", "name": "deployer", "namespace": NAMESPACE}],
    )
    await kube.create(_BINDINGS, NAMESPACE, binding)
    spec = {
        "url": f"{url}/shop.git",
        "path": "apps",
        "secretRef": {"name": "git"},
        "serviceAccountName": "deployer",
        "interval": "1h",
        "webhook": {"secretRef": {"name": "git", "key": "token"}},
    }
    repository = _object(RELEASE_REPOSITORIES.api_version, RELEASE_REPOSITORIES.kind, "shop", spec=spec)
    await kube.create(RELEASE_REPOSITORIES, NAMESPACE, repository)


_ROLES = Resource(_RBAC, "v1", "roles", "Role")
_BINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")


def _object(version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
