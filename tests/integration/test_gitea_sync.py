"""The whole circle on a real forge: a push is released, and what is rolled back is pushed, and applied, and no release.

Nobody applies anything here but `pointsman sync`, which hears of pushes by Gitea's webhooks alone.
"""

import contextlib
from collections.abc import AsyncIterator

import pytest
import yaml

from controller.api.resources import RELEASE_REPOSITORIES, SECRETS
from controller.runtime.listening import listening
from controller.sync.hooks import PATH, Hooks
from tests.integration.forge_fixture import ForgeRepository, forge, forged
from tests.integration.in_process import Stall
from tests.integration.operator_fixture import APPROVE, release, set_version, weight
from tests.integration.sync_fixture import ACCOUNT, Followed
from tests.integration.test_notifications import opens, stall

__all__ = ["forge", "forged", "opens", "stall"]
FILE = "apps/web.yaml"
_WORD = "a word that Gitea signs by"


class FollowedForge(Followed):
    """What stands on the forge, at the next hour or by webhook."""

    def __init__(self, stall: Stall, forged: ForgeRepository) -> None:
        self.kube, self.namespace, self.forged = stall.kube, stall.namespace, forged

    async def follow(self) -> None:
        await self.kube.create(SECRETS, self.namespace, self.forged.forge.secret())
        await self._secret("hook", {"token": _WORD})
        spec = {
            "url": self.forged.url,
            "serviceAccountName": ACCOUNT,
            "secretRef": {"name": "shop-git"},
            "interval": "1h",
            "webhook": {"secretRef": {"name": "hook", "key": "token"}},
        }
        kind = RELEASE_REPOSITORIES
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "shop"}, "spec": spec}
        await self.kube.create(kind, self.namespace, body)

    @contextlib.asynccontextmanager
    async def hooked(self) -> AsyncIterator[None]:
        async with self.running() as agent:
            hooks = Hooks(agent.kube, agent.controller, lambda: True)
            async with listening(hooks.routes(), "127.0.0.1", 0, most=4) as port:
                config = {"url": f"http://127.0.0.1:{port}{PATH}", "content_type": "json", "secret": _WORD}
                self.forged.api("POST", "/hooks", type="gitea", active=True, events=["push"], config=config)
                yield


@pytest.fixture
async def followed(stall, forged) -> AsyncIterator[FollowedForge]:
    found = FollowedForge(stall, forged)
    await found.allow()
    async with found.hooked():
        yield found


def manifest(forged: ForgeRepository, version: str) -> dict[str, str]:
    where = {"url": forged.url, "path": "apps", "secretRef": {"name": "shop-git"}, "forge": "Gitea", "write": "Push"}
    wanted = release(weight(10), APPROVE, gitOrigin={**where, "report": "Status"})
    set_version(wanted, version)
    return {FILE: yaml.safe_dump(wanted)}


async def test_a_push_is_released_and_its_rollback_is_pushed_and_applied(stall, forged: ForgeRepository, followed):
    first = forged.commit("version 1", manifest(forged, "1"))
    good = forged.read(FILE)
    await followed.follow()
    await followed.until_applied(first)
    stable = (await stall.until_phase("Healthy"))["stableRevision"]

    second = forged.commit("version 2", manifest(forged, "2"))
    await followed.until_applied(second)
    waiting = await stall.until(lambda status: status["reason"] == "AwaitingApproval")
    await stall.ask("abort", waiting["canaryRevision"])
    back = await stall.until(lambda status: status.get("lastRollback", {}).get("git", {}).get("commit"))

    written = back["lastRollback"]["git"]["commit"]
    await followed.until_applied(written)
    assert forged.read(FILE) == good
    after = await stall.until_phase("Healthy")
    assert (after["stableRevision"], after["attempt"]) == (stable, waiting["attempt"]), "a rollback is no new release"
    (shown,) = forged.api("GET", f"/commits/{second}/status")["statuses"]
    assert shown["status"] == "failure"
