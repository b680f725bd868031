"""One kind of write is refused for ever: a version is judged all the same, and can be rolled back (invariant 2).

`rules.py` holds after every action: no version gets work that the stored status does not name.
"""

from typing import Any

import pytest

from controller.rollout import converge, traffic
from controller.rollout.actions import (
    Action,
    AddFinalizer,
    EnsureRevision,
    FinishAnalysis,
    KeepTemplate,
    PointService,
    RemoveFinalizer,
    Retire,
    Scale,
    SetPreview,
)
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, PREVIEWED, analyze, approve, blue_green, release, weight

STEPS = [weight(25, analyze("10s", "1m")), approve(), weight(50, analyze("10s", "1m"))]
WRITES: list[Any] = [
    AddFinalizer,
    FinishAnalysis,
    EnsureRevision,
    KeepTemplate,
    PointService,
    RemoveFinalizer,
    Retire,
    Scale,
    "status",
]


def _name(write: Any) -> str:
    return write if isinstance(write, str) else write.__name__


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
@pytest.mark.parametrize("write", WRITES, ids=_name)
def test_a_canary_that_regresses_loses_its_work_whatever_write_is_refused(world, write, by):
    world.given(release(STEPS, by=by).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.broken = write
    world.regress("v2")
    world.advance(seconds=30)
    assert world.traffic.of("v2") == 0
    world.broken = ""
    world.advance(minutes=1)
    assert (world.release.phase, world.release.stable) == ("RolledBack", "v1")
    assert set(world.cluster.deployments) == {"v1"}


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
@pytest.mark.parametrize("write", WRITES, ids=_name)
def test_an_abort_is_carried_out_whatever_write_is_refused(world, write, by):
    world.given(release(STEPS, by=by).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.broken = write
    world.ask("abort")
    assert world.traffic.of("v2") == 0


@pytest.mark.parametrize(("by", "baseline"), [(BY_WEIGHT, "stable"), (BY_PODS, "stable"), (BY_WEIGHT, "fresh")])
@pytest.mark.parametrize("moment", range(0, 105, 15))  # from 75 s on it waits for a person
@pytest.mark.parametrize("write", WRITES, ids=_name)
def test_a_write_refused_at_any_moment_leaves_no_version_unjudged_and_the_release_ends_as_without(
    world, write, moment, by, baseline
):
    world.given(release(STEPS, by=by, baseline=baseline))
    world.target = "v2"
    world.advance(seconds=moment)
    world.broken = write
    world.advance(seconds=60)
    named = {world.release.stable, world.release.canary, world.release.previous, world.release.baseline}
    assert {one for one in world.cluster.weights() or {} if world.traffic.of(one) > 0} <= named
    world.broken = ""
    for _ in range(20):
        world.advance(seconds=20)
        if world.release.reason == "AwaitingApproval":
            world.ask("approve")
        if (world.release.phase, world.release.stable) == ("Healthy", "v2"):
            break
    world.advance(minutes=1)
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")
    assert set(world.cluster.deployments) == {"v2"}
    assert not world.cluster.finalizer


@pytest.mark.parametrize("write", [*WRITES, SetPreview], ids=_name)
@pytest.mark.parametrize("ends", ["abort", "crash"])
def test_a_switch_is_taken_back_whatever_write_is_refused(world, write, ends):
    """Of the preview too: it comes after the answer."""
    world.given(blue_green(at=PREVIEWED))
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") == 100)
    world.broken = write
    if ends == "abort":
        name = world.ask("abort")
        assert write is not SetPreview or world.answer(name) == "abort taken"
    else:
        world.crash_loop("v2")
    assert world.traffic.of("v2") == 0
    assert write is PointService or world.cluster.service == "v1" or write in ("status", FinishAnalysis)


def test_without_the_write_ahead_a_version_has_work_that_no_status_knows_of(world, monkeypatch):
    monkeypatch.setattr(traffic, "_gives_work", lambda *_: False)
    world.given(release(STEPS))
    world.cluster.carry_out(EnsureRevision("v2", 2), "")  # left by a leader that died
    world.cluster.now += START_S
    world.broken = "status"
    with pytest.raises(AssertionError, match="which the status does not name"):
        world.commit("v2")


def test_without_weights_first_a_refused_write_keeps_a_bad_version_at_work(world, monkeypatch):
    decide = converge.converge

    def tidy_first(draft, desired):
        decision = decide(draft, desired)
        rest: tuple[Action, ...] = tuple(one for one in decision.then if isinstance(one, Scale | RemoveFinalizer))
        return converge.Decision(rest + decision.first, decision.status, (), decision.again_in)

    world.given(release(STEPS).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    monkeypatch.setattr("controller.rollout.decide.converge", tidy_first)
    world.checked = False
    world.broken = RemoveFinalizer
    world.ask("abort")
    assert world.traffic.of("v2") == 25
