"""`pointsman sync` inside of the test, on a real API server and real repositories over HTTPS."""

import asyncio
import base64
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.api.names import GIT_URLS
from controller.api.resources import EVENTS, RELEASE_REPOSITORIES, SECRETS, Resource
from controller.kube.client import KubeClient, KubeError
from controller.kube.objects import Key
from controller.runtime.event_router import EventRouter
from controller.runtime.settings import Settings, settings
from controller.sync.agent import Agent
from controller.sync.controller import request_of
from tests.beside import beside
from tests.git_server import PASSWORD, USER, Certificate, Origin, Served

DEADLINE_S = 60.0
ACCOUNT = "deployer"
LOOPBACK = ipaddress.ip_network("127.0.0.1/32")
RBAC = "rbac.authorization.k8s.io"
_ROLES = Resource(RBAC, "v1", "roles", "Role")
_BINDINGS = Resource(RBAC, "v1", "rolebindings", "RoleBinding")


class CountingClient(KubeClient):
    """Its writes, those with the rights of accounts included; and answers that are not the API server's."""

    writes: list[str]
    failing: dict[str, KubeError]
    """By what stands in the path."""

    def acting_as(self, namespace: str, account: str) -> KubeClient:
        other = CountingClient(self._api, namespace)
        other.__dict__ |= {
            **super().acting_as(namespace, account).__dict__,
            "writes": self.writes,
            "failing": self.failing,
        }
        return other

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if method != "GET":
            self.writes.append(f"{method} {path}")
        error = next((error for part, error in self.failing.items() if part in path), None)
        if error is not None:
            raise error
        return await super().request(method, path, **options)


class Followed:
    """A namespace, a repository that it follows, and the agent."""

    def __init__(self, kube: KubeClient, namespace: str, origin: Origin, server: Served, chain: str) -> None:
        self.kube, self.namespace, self.origin, self.server, self._chain = kube, namespace, origin, server, chain
        self.agent: Agent | None = None
        self.client: CountingClient | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """An agent of this namespace; without a Lease, and with a list in place of kopf's watch."""
        client = CountingClient(self.kube._api)
        client.writes, client.failing = [], {}
        self.client = client
        self.agent = agent = Agent.assemble(client, networks=[LOOPBACK])
        agent.leads = True
        chosen = settings(namespace=self.namespace, only=self.namespace)
        async with beside(agent.run(chosen, self._feed)):
            yield agent

    async def _feed(self, router: EventRouter, chosen: Settings) -> None:
        seen: dict[str, Any] = {}
        while True:
            items = await self.kube.list(RELEASE_REPOSITORIES, self.namespace)
            versions = {item["metadata"]["name"]: self._written(item) for item in items}
            for name in versions.keys() | seen.keys():
                if versions.get(name) != seen.get(name):
                    router.add(request_of(Key(self.namespace, name)))
            seen = versions
            await asyncio.sleep(0.1)

    @property
    def is_busy(self) -> bool:
        agent = self.agent
        return agent is not None and bool(agent.controller.fetches.active or len(agent.queue) or agent.queue.active)

    @staticmethod
    def _written(item: Mapping[str, Any]) -> Any:
        """What people write of it."""
        return item["metadata"]["generation"], item["metadata"].get("annotations"), item["metadata"]["uid"]

    async def given(self, *, name: str = "shop", account: str = ACCOUNT, **spec: Any) -> None:
        """The ReleaseRepository, and the Secret that opens its repository."""
        whole = {"serviceAccountName": account, "interval": "10s", **spec}
        if "url" not in spec or "secretRef" not in spec:
            data = {"username": USER, "password": PASSWORD, "ca.crt": self._chain}
            await self._secret("git", data, urls=f"{self.server.url}, {spec.get('url', '')}")
            whole = {"url": f"{self.server.url}/shop.git", "secretRef": {"name": "git"}, **whole}
        await self.kube.create(
            RELEASE_REPOSITORIES,
            self.namespace,
            {
                "apiVersion": RELEASE_REPOSITORIES.api_version,
                "kind": RELEASE_REPOSITORIES.kind,
                "metadata": {"name": name},
                "spec": whole,
            },
        )

    async def _secret(self, name: str, data: Mapping[str, str], *, urls: str = "") -> None:
        """`urls`: of the repositories that it opens."""
        metadata = {"name": name, "annotations": {GIT_URLS: urls} if urls else {}}
        if await self.kube.find(SECRETS, self.namespace, name) is not None:
            await self.kube.patch(SECRETS, self.namespace, name, {"metadata": metadata})
        else:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}
            await self.kube.create(SECRETS, self.namespace, body)

    async def allow(self, *rules: Mapping[str, Any], account: str = ACCOUNT) -> None:
        """Of an account, by a Role; by default everything in the namespace."""
        whole = rules or ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": account}, "rules": list(whole)}
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": account},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}],
        }
        await self.kube.create(_ROLES, self.namespace, role)
        await self.kube.create(_BINDINGS, self.namespace, binding)

    async def events(self, name: str = "shop") -> list[tuple[str, str, str]]:
        """Type, reason and message of each on the ReleaseRepository, oldest first."""
        items = await self.kube.list(EVENTS, self.namespace)
        items.sort(key=lambda one: one["metadata"]["creationTimestamp"])
        return [(one["type"], one["reason"], one["message"]) for one in items if one["involvedObject"]["name"] == name]

    async def until_event(self, reason: str, name: str = "shop") -> tuple[str, str]:
        """Type and message."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for kind, found, message in await self.events(name):
                    if found == reason:
                        return kind, message
                await asyncio.sleep(0.05)

    async def read(self, name: str = "shop") -> dict[str, Any]:
        return await self.kube.get(RELEASE_REPOSITORIES, self.namespace, name)

    async def status(self, name: str = "shop") -> dict[str, Any]:
        status: dict[str, Any] = (await self.read(name)).get("status") or {}
        return status

    async def until(self, holds: Callable[[dict[str, Any]], bool], name: str = "shop") -> dict[str, Any]:
        """The status that it holds of."""
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds(status := await self.status(name)):  # noqa: ASYNC110 - no event says it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {status}") from None
        return status

    async def until_applied(self, commit: str, name: str = "shop") -> dict[str, Any]:
        return await self.until(lambda status: status.get("appliedCommit") == commit, name)

    async def until_reason(self, reason: str, name: str = "shop") -> dict[str, Any]:
        return await self.until(lambda status: ready(status).get("reason") == reason, name)

    async def now(self, word: str, name: str = "shop") -> None:
        """Fetches without waiting for the interval."""
        body = {"metadata": {"annotations": {"pointsman.dev/reconcile": word}}}
        await self.kube.patch(RELEASE_REPOSITORIES, self.namespace, name, body)

    async def commit(self, message: str, files: Mapping[str, str | None], name: str = "shop") -> str:
        made = await asyncio.to_thread(self.origin.commit, message, files)
        await self.now(made, name)
        return made


def ready(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions: dict[str, dict[str, Any]] = {one["type"]: one for one in status.get("conditions") or ()}
    return conditions.get("Ready", {})


@contextlib.asynccontextmanager
async def followed(
    kube: KubeClient, namespace: str, origin: Origin, server: Served, certificate: Certificate
) -> AsyncIterator[Followed]:
    found = Followed(kube, namespace, origin, server, certificate.chain.read_text())
    async with found.running():
        yield found


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "git")


@pytest.fixture
async def shop(
    kube: KubeClient, namespace: str, origin: Origin, server: Served, certificate: Certificate
) -> AsyncIterator[Followed]:
    async with followed(kube, namespace, origin, server, certificate) as shop:
        yield shop


async def settled(shop: Followed, fetched: int) -> None:
    """A fetch was made after so many requests, and its pass."""
    async with asyncio.timeout(DEADLINE_S):
        while len(shop.server.requests) == fetched or shop.is_busy:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.02)


def config_map(name: str, value: str = "1", **metadata: Any) -> str:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"key": value}}
    return json.dumps(body)


def deployment(name: str, image: str = "registry.qa/web:1", **spec: Any) -> str:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
    whole = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole})
