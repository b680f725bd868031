"""However a Release goes, whoever was alerted hears of the end: nothing else knows of the alert afterwards."""

from __future__ import annotations

import asyncio

import pytest

from controller.api.resources import EVENTS, RELEASES
from controller.effects import notify
from controller.effects.carrier import CarriedOut, EffectFailedError
from controller.ports import RouterError
from controller.rollout.actions import SetWeights
from tests.unit.runtime.fault_world import RunningOperator, World, release, run

KEY = {"routingKeySecretRef": {"name": "pagerduty", "key": "key"}}
ON_CALL = [{"name": "rota", "topics": ["AwaitingApproval", "RolledBack"], "pagerduty": KEY}]
ROLLED_BACK = [{**ON_CALL[0], "topics": ["RolledBack"]}]
NOT_EVEN_ITS_TRAFFIC = {"service": {"ports": "eighty"}}


class Receiver:
    """The carrier of notifications."""

    def __init__(self):
        self.away, self.got = False, []

    async def carry_out(self, owner, effect):
        if self.away:
            raise EffectFailedError("alerts.qa answered 500")
        notice = effect.payload["notice"]
        self.got.append((effect.payload["to"], notice["incident"], notice["state"]))
        return CarriedOut({})

    @property
    def states(self):
        return [state for _, _, state in self.got]

    def is_told_of_the_end(self):
        opened, *later = self.got
        return opened[2] == "open" and later == [(*opened[:2], "resolved")]


@pytest.fixture
def receiver(monkeypatch):
    receiver = Receiver()
    monkeypatch.setattr(notify, "create", lambda _: receiver)
    return receiver


async def alerted(world: World, receiver: Receiver) -> RunningOperator:
    """The canary has work, a person has to approve it, and PagerDuty has an alert."""
    world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, notify=ON_CALL))
    running = world.start()
    await world.until_phase("web", "Healthy", 1)
    world.commit("web", 2)
    await world.until_reason("web", "AwaitingApproval")
    await world.until(lambda: receiver.states == ["open"] and not world.status("web").get("owed"))
    assert world.release("web")["metadata"]["finalizers"]
    return running


async def gone(world: World):
    world.delete("web")
    await world.until(lambda: not world.api.objects(RELEASES.path()), 240)
    await asyncio.sleep(90)


async def away(*_: object) -> None:
    raise RouterError("the ledger's table is gone")


def unreadable(running: RunningOperator) -> None:
    assert running.operator is not None
    running.operator.reconciler.observer.observe = away  # type: ignore[method-assign, assignment]


def refuses_weights(running: RunningOperator) -> None:
    assert running.operator is not None
    executor = running.operator.reconciler.executor
    carry_out = executor.carry_out

    async def refused(world, action, now):
        if isinstance(action, SetWeights):
            await away()
        await carry_out(world, action, now)

    executor.carry_out = refused  # type: ignore[method-assign]


@pytest.mark.parametrize("broken", [unreadable, refuses_weights])
@pytest.mark.parametrize("restarts", [False, True], ids=["the same operator", "the next one"])
def test_deleted_anyway_without_its_router(receiver, broken, restarts):
    async def story(world: World) -> None:
        running = await alerted(world, receiver)
        if restarts:
            await world.operators.pop().stop()
            running = world.start("b")
            await world.until(lambda: running.operator)
        broken(running)
        await gone(world)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_deleted_in_a_rollout_while_no_operator_runs(receiver):
    """The Release waits for the next one."""

    async def story(world: World) -> None:
        await alerted(world, receiver)
        await world.operators.pop().stop()
        world.delete("web")
        await asyncio.sleep(600)
        assert receiver.states == ["open"]
        world.start("b")
        await world.until(lambda: not world.api.objects(RELEASES.path()), 240)
        await asyncio.sleep(90)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_deleted_with_a_spec_that_cannot_be_read(receiver):
    async def story(world: World) -> None:
        await alerted(world, receiver)
        world.patch("web", {"spec": NOT_EVEN_ITS_TRAFFIC})
        await world.until_phase("web", "Invalid")
        assert receiver.states == ["open"], "it lasts: somebody has to mend the spec"
        await gone(world)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_deleted_at_rest_where_nothing_holds_up_a_deletion(receiver):
    async def story(world: World) -> None:
        world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, notify=ROLLED_BACK))
        world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        world.ask("web", "abort")
        await world.until(
            lambda: receiver.states == ["open"] and not world.release("web")["metadata"].get("finalizers")
        )
        await gone(world)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_deleted_and_made_anew_before_anybody_looks(receiver):
    async def story(world: World) -> None:
        running = await alerted(world, receiver)
        unreadable(running)
        world.patch("web", {"metadata": {"finalizers": []}})
        world.delete("web")
        world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, notify=ON_CALL))
        await asyncio.sleep(90)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_a_deletion_that_is_finished_tells_it_once(receiver):
    async def story(world: World) -> None:
        await alerted(world, receiver)
        await gone(world)
        assert receiver.is_told_of_the_end(), receiver.got

    run(story)


def test_what_was_not_delivered_before_does_not_arrive_last(receiver):
    async def story(world: World) -> None:
        receiver.away = True
        world.create(RELEASES, release("web", {"weight": 20}, {"approve": {}}, notify=ON_CALL))
        running = world.start()
        await world.until_phase("web", "Healthy", 1)
        world.commit("web", 2)
        await world.until_reason("web", "AwaitingApproval")
        await world.until(lambda: world.status("web").get("owed"))
        unreadable(running)
        world.delete("web")
        await world.until(lambda: not world.api.objects(RELEASES.path()), 240)
        await asyncio.sleep(20)
        receiver.away = False
        await asyncio.sleep(90)
        assert receiver.states == ["resolved"]
        events = world.api.objects(EVENTS.path())
        said = [event["message"] for event in events if event["reason"] == "NotificationLost"]
        assert len(said) == 1
        assert said[0].startswith("rota: not delivered before the Release was deleted: ")
        assert "(alerts.qa answered 500)" in said[0]

    run(story)
