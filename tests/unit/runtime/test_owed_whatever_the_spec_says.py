"""What is owed to git stands in the status: it is carried out whatever the spec says, or holds up the passes."""

import asyncio

import pytest

from controller.effects import git_record, git_recovery, git_report, git_rollback
from controller.effects.carrier import CarriedOut, EffectFailedError
from controller.ports import RouterError
from tests.unit.runtime.fault_world import World, rolled_back, run

ORIGIN = {"url": "https://git.qa/team/shop.git", "path": "apps", "write": "Push", "report": "Status", "forge": "Gitea"}
UNREADABLE = {
    "a field of another part": {"drain": {"quiet": "1d", "max": "5m"}},
    "the origin itself": {"gitOrigin": {**ORIGIN, "url": "git.qa:team/shop"}},
    "all of it": {"service": {"ports": "eighty"}},
}


class Git:
    """The carriers that write to git. It is away until it is back."""

    def __init__(self):
        self.away, self.written = True, []

    async def carry_out(self, owner, effect):
        if effect.kind in ("git", "gitReport") and self.away:
            raise EffectFailedError("git.qa cannot be reached")
        self.written.append(effect.id)
        return CarriedOut({"revision": "", "note": "", "commit": "c" * 40})

    @property
    def rollbacks(self):
        return [one for one in self.written if one.startswith("git.")]


@pytest.fixture
def git(monkeypatch):
    git = Git()
    for module in (git_record, git_recovery, git_report, git_rollback):
        monkeypatch.setattr(module, "create", lambda _: git)
    return git


async def owes_a_rollback(world: World):
    await rolled_back(world, gitOrigin=ORIGIN)
    assert {one["kind"] for one in world.status("web")["owed"]} >= {"git", "gitReport"}


async def back_in_git(world: World, git: Git):
    """Once, and said."""
    git.away = False
    await world.until(lambda: not {"git", "gitReport"} & {one["kind"] for one in world.status("web").get("owed", [])})
    assert len(git.rollbacks) == 1
    assert world.status("web")["lastRollback"]["git"] == {"commit": "c" * 40}
    assert "GitWritePending" not in {one["type"] for one in world.status("web")["conditions"]}


@pytest.mark.parametrize("restarts", [False, True], ids=["the same operator", "the next one"])
@pytest.mark.parametrize("broken", UNREADABLE)
def test_a_spec_that_cannot_be_read_drops_no_rollback(git, broken, restarts):
    async def story(world: World) -> None:
        await owes_a_rollback(world)
        world.patch("web", {"spec": UNREADABLE[broken]})
        await world.until_phase("web", "Invalid")
        if restarts:
            await world.operators.pop().stop()
            world.start("b")
        await back_in_git(world, git)
        assert world.status("web")["phase"] == "Invalid"

    run(story)


def test_a_repository_that_is_gone_for_an_hour_delays_the_commit_and_nothing_else(git):
    async def story(world: World) -> None:
        await owes_a_rollback(world)
        began = world.now()
        world.commit("web", 3)
        await world.until_reason("web", "AwaitingApproval")
        assert world.now() - began < 60
        world.ask("web", "approve")
        await world.until_phase("web", "Healthy", 3)
        await asyncio.sleep(3600)
        assert git.rollbacks == []
        await back_in_git(world, git)

    run(story)


def test_a_router_that_cannot_be_read_drops_no_rollback(git):
    async def away(*_: object) -> None:
        raise RouterError("the ledger's table is gone")

    async def story(world: World) -> None:
        await owes_a_rollback(world)
        await world.operators.pop().stop()
        running = world.start("b")
        await world.until(lambda: running.operator)
        assert running.operator is not None
        running.operator.reconciler.observer.observe = away  # type: ignore[method-assign, assignment]
        await world.until_reason("web", "RouterRefused")
        await back_in_git(world, git)

    run(story)


def test_an_origin_that_forbids_it_beside_another_fault_is_heard(git):
    async def story(world: World) -> None:
        await owes_a_rollback(world)
        never = {**ORIGIN, "write": "Never"}
        world.patch("web", {"spec": {**UNREADABLE["a field of another part"], "gitOrigin": never}})
        await world.until_phase("web", "Invalid")
        await world.until(lambda: "git" not in {one["kind"] for one in world.status("web").get("owed", [])})
        assert git.rollbacks == []

    run(story)
