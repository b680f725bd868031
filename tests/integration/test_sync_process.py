"""`pointsman sync` as a process with the rights that are shipped for it: its Lease, its webhooks, its end."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from controller.api.names import GIT_URLS
from controller.api.resources import CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, RELEASE_REPOSITORIES, SECRETS, Resource
from controller.kube.applying import Discovery, apply
from hack.node.process import free_port
from tests.e2e.patience import until
from tests.git_fixture import certificate, server
from tests.git_server import PASSWORD, USER, Origin
from tests.integration.rights_fixture import command, connected, control_plane
from tests.integration.sync_fixture import config_map, ready

__all__ = ["certificate", "server"]
_POINTSMAN = Path(sys.executable).parent / "pointsman"
SYNC = Path(__file__).resolve().parents[2] / "gitops" / "sync"
_AGENT = "system:serviceaccount:pointsman-system:pointsman-sync"
_WORD = "a-word-of-the-forge"
_ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
_ENOUGH_S = 120.0


@pytest.fixture
def origin(tmp_path):
    return Origin(tmp_path / "git")


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "plane") as running:
        yield running


@pytest.fixture
async def admin(plane):
    """What is shipped is installed, and namespace `shop` allows its account."""
    async with connected(plane, "admin", group="system:masters") as admin:
        for name in ("pointsman-system", "shop"):
            await admin.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        discovery = Discovery()
        for file in ("roles.yaml", "example/account.yaml"):
            for document in yaml.safe_load_all((SYNC / file).read_text()):
                kind = await discovery.find(admin, document["apiVersion"], document["kind"], older_than_s=0)
                assert kind is not None
                await apply(admin, kind.resource, document, manager="admin", force=False)
        yield admin


class Agent:
    def __init__(self, plane, log):
        self.port, self.hooks, self.log = free_port(), free_port(), log
        self._kubeconfig = plane.client_kubeconfig("agent", user=_AGENT)

    @contextlib.contextmanager
    def running(self):
        command = [
            str(_POINTSMAN), "sync", "--namespace", "pointsman-system", "--address", "127.0.0.1", "--verbose",
            "--port", str(self.port), "--hook-port", str(self.hooks), "--git-network", "127.0.0.1/32",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command, env={**os.environ, "KUBECONFIG": str(self._kubeconfig)}, stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    async def get(self, path):
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def hook(self, body, *, word=_WORD, signed=True):
        raw = json.dumps(body).encode()
        signature = hmac.new(word.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"} if signed else {}
        url = f"http://127.0.0.1:{self.hooks}/v1/hook"
        async with aiohttp.ClientSession() as session, session.post(url, data=raw, headers=headers) as answer:
            return answer.status


async def reasons(admin):
    return {one["reason"] for one in await admin.list(EVENTS, "shop")}


async def is_listed(plane, commit):
    code, output = await command(plane, "admin", "repositories", "-A", "--output", "json")
    (row,) = json.loads(output)
    assert (code, row["name"], row["appliedCommit"], row["ready"]) == (0, "shop", commit, True)
    code, output = await command(plane, "admin", "repositories", "-n", "shop")
    assert commit[:10] in output


async def refuse(agent, push, fetched):
    """Calls for which nothing is fetched."""
    assert await agent.hook(push, signed=False) == 401
    assert await agent.hook(push, word="another") == 403
    assert await agent.hook({**push, "ref": "refs/heads/other"}) == 200
    assert await agent.hook({**push, "repository": {"clone_url": "https://git.qa/other.git"}}) == 403
    assert await agent.hook({**push, "ref": "refs/tags/v1"}) == 200
    assert await agent.hook({**push, "after": fetched}) == 200


async def test_the_process_applies_what_is_pushed_with_the_rights_that_are_shipped(
    plane, admin, origin, server, certificate, tmp_path
):
    data = {"username": USER, "password": PASSWORD, "ca.crt": certificate.chain.read_text(), "token": _WORD}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": "shop-git", "annotations": {GIT_URLS: server.url}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}
    await admin.create(SECRETS, "shop", secret)
    body = yaml.safe_load((SYNC / "example" / "repository.yaml").read_text())
    hook = {"secretRef": {"name": "shop-git", "key": "token"}}
    body["spec"] |= {"url": f"{server.url}/shop.git", "interval": "1h", "webhook": hook}
    await admin.create(RELEASE_REPOSITORIES, "shop", body)
    first = await asyncio.to_thread(origin.commit, "one", {"apps/a.yaml": config_map("a")})
    agent = Agent(plane, tmp_path / "agent.log")
    push = {"ref": "refs/heads/main", "repository": {"clone_url": f"{server.url}/shop.git"}}

    async def status():
        return (await admin.get(RELEASE_REPOSITORIES, "shop", "shop")).get("status", {})

    async def applied(commit):
        async def is_applied():
            return (await status()).get("appliedCommit") == commit

        await until(is_applied, f"{commit} is applied", _ENOUGH_S)

    with agent.running() as process:
        await applied(first)
        assert (await agent.get("/healthz"), await agent.get("/readyz")) == (200, 200)
        lease = await admin.get(LEASES, "pointsman-system", "pointsman-sync")
        assert lease["spec"]["holderIdentity"]

        second = await asyncio.to_thread(origin.commit, "two", {"apps/a.yaml": config_map("a", "2")})
        requests = len(server.requests)
        await refuse(agent, push, first)
        assert len(server.requests) == requests, "none of them fetches"
        assert await agent.hook(push) == 202
        await applied(second)
        assert (await admin.get(CONFIG_MAPS, "shop", "a"))["data"] == {"key": "2"}
        requests = len(server.requests)
        assert await agent.hook(push) == 200, "it came before"
        assert len(server.requests) == requests
        assert {"Fetched", "Applied"} <= await reasons(admin), "the rights that are shipped suffice for Events"

        await is_listed(plane, second)

        await admin.delete(_ROLES, "shop", "pointsman-sync")
        assert await agent.hook(push) == 403, "the webhook's secret cannot be read any more"
        asking = {"metadata": {"annotations": {"pointsman.dev/reconcile": "now"}}}
        await admin.patch(RELEASE_REPOSITORIES, "shop", "shop", asking)

        async def is_said():
            return "cannot impersonate resource" in ready(await status()).get("message", "")

        await until(is_said, "the missing right is said", _ENOUGH_S)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0
    lease = await admin.get(LEASES, "pointsman-system", "pointsman-sync")
    assert not lease["spec"].get("holderIdentity")
    log = agent.log.read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert _WORD not in log
