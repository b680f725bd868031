"""What a rejected version's pods say is kept before they go. Nothing else waits for it, and the pods for seconds."""

import pytest

from controller.rollout import pod_evidence
from controller.rollout.actions import Event
from controller.rollout.effect import Answered, Refused, Retrying
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, release


def owed(world):
    return [item.effect for item in world.release.owed if item.effect.kind == pod_evidence.KIND]


def test_it_is_owed_from_the_write_that_rejects_the_version(world):
    world.given(release().on("v2"))
    world.crash_loop("v2")
    (effect,) = owed(world)
    assert effect.payload["revision"] == "v2"
    assert effect.payload["verdict"] == "regression"
    assert effect.must_deliver
    assert "v2" in world.cluster.deployments, "its pods are there to be read"


def test_an_abort_keeps_it_too(world):
    world.given(release().on("v2"))
    world.ask("abort", reason="customers complain")
    assert owed(world)[0].payload["verdict"] == "aborted"


def test_leaving_a_stable_version_keeps_it_too(world):
    world.given(release([]))
    world.commit("v2")
    world.until(lambda: world.release.stable == "v2" and set(world.cluster.deployments) == {"v2"})
    world.keeps_evidence = False
    world.ask("rollback", "v2", to="v1")
    world.until(lambda: world.release.stable == "v1")
    assert owed(world)[0].payload["revision"] == "v2"


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_traffic_is_back_before_anything_waits_for_it(world, by):
    world.given(release(by=by).on("v2"))
    world.keeps_evidence = False
    world.crash_loop("v2")
    assert world.traffic.canary == 0
    first = next(entry for entry in world.log if not entry.startswith("event"))
    assert first.startswith("weights v1:100")


def test_pods_go_with_the_routers_delay_where_it_is_kept_at_once(world):
    world.given(release().on("v2"))
    world.crash_loop("v2")
    world.advance(seconds=5)
    assert "v2" not in world.cluster.deployments
    assert owed(world) == []


@pytest.mark.parametrize("known", [None, Retrying("no answer", 3, 0.0)], ids=["nothing", "failures"])
def test_pods_wait_for_it_for_seconds_only(world, known):
    world.given(release().on("v2"))
    world.keeps_evidence, world.gate = False, known
    world.crash_loop("v2")
    world.advance(seconds=5)
    assert "v2" in world.cluster.deployments
    assert world.release.phase == "RollingBack"
    world.advance(seconds=5)
    assert "v2" not in world.cluster.deployments
    assert world.release.phase == "RolledBack"
    assert owed(world), "it is still said what was not kept"
    world.keeps_evidence, world.gate = True, None
    world.advance(seconds=5)
    assert owed(world) == []


def test_the_next_version_waits_for_none_of_it(world):
    world.given(release().on("v2"))
    world.keeps_evidence = False
    world.crash_loop("v2")
    world.commit("v3")
    world.until(lambda: world.traffic.canary > 0, minutes=1)
    assert world.release.canary == "v3"


def test_a_deletion_waits_for_none_of_it(world):
    world.given(release().on("v2"))
    world.keeps_evidence = False
    world.crash_loop("v2")
    world.delete()
    assert world.cluster.gone


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Refused("the Release is gone"), "v2: the Release is gone"),
        (Retrying("exceeded quota", 9, 0.0), "v2: not written within 10 minutes: exceeded quota"),
    ],
    ids=["refused", "fails"],
)
def test_that_it_cannot_be_kept_is_said_once_and_holds_up_nothing(world, known, said):
    world.given(release().on("v2"))
    world.keeps_evidence, world.gate = False, known
    sent, carry_out = [], world.cluster.carry_out

    def record(action, run):
        if isinstance(action, Event) and action.reason == "EvidenceNotKept":
            sent.append(action.message)
        carry_out(action, run)

    world.cluster.carry_out = record
    world.crash_loop("v2")
    world.advance(seconds=30)
    assert "v2" not in world.cluster.deployments
    world.advance(minutes=11)
    assert sent == [said]
    assert owed(world) == []


def test_an_answer_of_another_effect_is_none_of_it(world):
    world.given(release().on("v2"))
    world.keeps_evidence = False
    world.crash_loop("v2")
    world.effects = {"webhook.v2.1.0.00000000": Answered({})}
    world.settle()
    assert owed(world)
