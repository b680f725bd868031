"""The operator may stop after any action of any decision; what comes out is the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.rollout.actions import EnsureRevision
from controller.rollout.bake import Bake
from controller.rollout.steps.mirror import Mirror
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import (
    BY_CLAIMS,
    BY_PODS,
    BY_WEIGHT,
    Given,
    analyze,
    approve,
    blue_green,
    pause,
    release,
    weight,
)
from tests.unit.rollout.world import CrashError, World

COPIED = Mirror(50.0, analyze("5s", "20s"))
STEPS = [weight(25, analyze("5s", "20s")), approve(), weight(50, analyze("5s", "20s")), pause("10s")]


def _comes_out(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    world.advance(minutes=3)


def _regresses(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.release.step == 1)
    world.regress("v2")
    world.advance(minutes=1)


def _is_aborted(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.ask("abort")
    world.advance(minutes=1)


def _is_replaced_twice(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.release.step == 1)
    world.commit("v3")
    world.until(lambda: world.release.step == 1)
    world.commit("v1")
    world.advance(minutes=1)


def _loses_pods_metrics_and_size(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.unready("v2")
    world.recover("v2")
    world.metrics.go_dark()
    world.advance(seconds=10)
    world.edit(replicas=8)
    world.metrics.come_back()
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.edit(replicas=2)


def _loses_its_baseline(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    baseline = world.release.baseline
    world.unready(baseline)
    world.advance(seconds=10)
    world.recover(baseline)
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    world.advance(minutes=3)


def _changes_its_baseline(world: World) -> None:
    fresh, stable = world.spec.strategy, release().spec.strategy
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.edit(strategy=stable)
    world.advance(seconds=10)
    world.edit(strategy=fresh)
    world.until(lambda: world.release.reason == "AwaitingApproval")


def _starts(world: World) -> None:
    world.commit("v1")
    world.advance(seconds=5)
    world.commit("v2")
    world.advance(minutes=2)


def _is_tried_alone(world: World) -> None:
    world.regress("v1")
    world.commit("v1")
    world.advance(seconds=40)
    world.commit("v2")
    world.advance(minutes=2)


def _is_switched_back(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.regress("v2")
    world.advance(minutes=1)


def _is_replaced_after_the_switch(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.commit("v3")
    world.until(lambda: world.traffic.of("v3") > 0)
    world.advance(seconds=20)
    world.commit("v1")
    world.advance(minutes=1)


def _changes_its_strategy(world: World) -> None:
    before = {name: getattr(world.spec, name) for name in ("strategy", "strategy_kind", "steps")}
    other = release(STEPS).spec
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.edit(strategy=other.strategy, strategy_kind="canary", steps=other.steps)
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.edit(**before)
    world.advance(minutes=2)


def _regresses_on_copies(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.release.copied > 0)
    world.regress("v2")
    world.advance(minutes=1)


def _loses_pods_and_metrics_on_copies(world: World) -> None:
    world.commit("v2")
    world.until(lambda: world.release.copied > 0)
    world.unready("v2")
    world.recover("v2")
    world.metrics.go_dark()
    world.advance(seconds=10)
    world.metrics.come_back()
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.ask("approve")
    world.advance(minutes=2)


def _leaves_a_pod_for_a_look(world: World) -> None:
    world.edit(keep_failed=60.0)
    world.commit("v2")
    world.until(lambda: world.traffic.of("v2") > 0)
    world.crash_loop("v2")
    world.advance(seconds=20)
    world.commit("v3")
    world.until(lambda: world.traffic.of("v3") > 0)
    world.crash_loop("v3")
    world.advance(minutes=2)


LIVES: dict[str, tuple[Given, Callable[[World], None]]] = {
    "comes out": (release(STEPS), _comes_out),
    "regresses": (release(STEPS), _regresses),
    "is aborted": (release(STEPS), _is_aborted),
    "is replaced twice": (release(STEPS), _is_replaced_twice),
    "loses pods, metrics and size": (release(STEPS), _loses_pods_metrics_and_size),
    "is switched and kept": (blue_green(approve(), preview=2, keep=20), _comes_out),
    "is switched back": (blue_green(pause("5s")), _is_switched_back),
    "is replaced after the switch": (blue_green(), _is_replaced_after_the_switch),
    "changes its strategy": (blue_green(keep=20), _changes_its_strategy),
    "leaves a pod for a look": (release(STEPS), _leaves_a_pod_for_a_look),
    "comes out beside a baseline": (release(STEPS, baseline="fresh"), _comes_out),
    "regresses beside a baseline": (release(STEPS, baseline="fresh"), _regresses),
    "is aborted beside a baseline": (release(STEPS, baseline="fresh"), _is_aborted),
    "is replaced twice beside a baseline": (release(STEPS, baseline="fresh"), _is_replaced_twice),
    "bakes beside a baseline": (
        release([*STEPS, Bake(weight=95, seconds=20)], baseline="fresh"),
        _comes_out,
    ),
    "loses its baseline": (release(STEPS, baseline="fresh"), _loses_its_baseline),
    "changes its baseline": (release(STEPS, baseline="fresh"), _changes_its_baseline),
    "starts": (release(STEPS).first(), _starts),
    "comes out after copies": (release([COPIED, approve(), *STEPS[2:]]), _comes_out),
    "regresses on copies": (release([COPIED, approve()]), _regresses_on_copies),
    "is switched after copies": (blue_green(COPIED, approve(), keep=20), _comes_out),
    "loses pods and metrics on copies": (blue_green(COPIED, approve(), keep=20), _loses_pods_and_metrics_on_copies),
    "is tried alone": (release([*STEPS, Bake(weight=95, seconds=60)], limits={"floor": 0.02}).first(), _is_tried_alone),
}


def _live(given: Given, life: Callable[[World], None], crash: tuple[int, int] | None) -> World:
    world = World(checked=crash is None).given(given)  # up to its crash a life is the calm one, of which all is checked
    world.crash_at = crash
    life(world)
    assert world.crash_at is None or crash is None, "the life has not come to that decision"
    world.restart()
    return world


SPLITS = [
    (name, by)
    for name, (given, _) in LIVES.items()
    for by in (BY_WEIGHT, BY_PODS)
    # work that pods split cannot be split in three: the spec refuses it
    # and copies are a router's
    if by is BY_WEIGHT or not (given.spec.strategy.fresh_baseline or COPIED in given.spec.steps)
] + [(name, BY_CLAIMS) for name in ("is switched and kept", "is switched back")]


@pytest.mark.parametrize(("name", "by"), SPLITS)
def test_a_crash_after_any_action_ends_the_same(name, by):
    given, life = LIVES[name]
    given = replace(given, sizing=by)
    calm = _live(given, life, None)
    places = [(number, after) for number, actions in calm.sizes for after in range(actions)]
    assert len(places) > 8
    for place in places:
        shaken = _live(given, life, place)
        assert shaken.snapshot() == calm.snapshot(), f"after a crash in decision {place[0]} after {place[1]} actions"


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
def test_a_canary_keeps_its_pods_until_the_router_has_followed_also_after_a_lost_status(world, by):
    world.given(release(STEPS, by=by).on("v2"))
    world.crash_at = (world.decisions + 1, 2)
    world.ask("abort")
    assert "v2" in world.cluster.deployments
    world.advance(seconds=5)
    assert "v2" not in world.cluster.deployments


def test_a_lost_status_does_not_shorten_the_look_at_a_step(world):
    world.given(release([weight(25, analyze("5s", "1m")), weight(50)]))
    world.commit("v2")
    world.crash_at = (world.decisions + 2, 2)
    world.until(lambda: world.traffic.of("v2") > 0)
    assert world.crash_at is None
    world.advance(seconds=55)
    assert world.release.reason == "Analyzing"


def test_a_promotion_whose_weights_were_lost_is_finished_when_another_version_is_asked_for(world):
    world.given(release([weight(50, analyze("5s", "30s"))]).on("v2"))
    world.until(lambda: world.release.step == 1)
    world.cluster.now += START_S
    _stops(world, 2)
    assert (world.release.stable, world.cluster.service, world.traffic.of("v2")) == ("v2", "v1", 50)
    world.commit("v3")
    assert world.cluster.service == "v2"
    assert world.traffic.of("v2") == 100
    world.advance(minutes=3)
    assert world.release.stable == "v3"


def _stops(world: World, after: int) -> None:
    world.crash_at = (world.decisions + 1, after)
    with pytest.raises(CrashError):
        world.reconcile()


def test_a_lost_status_leaves_the_router_its_time(world):
    world.given(release().on("v2"))
    world.target = "v3"
    _stops(world, 1)
    assert (world.release.canary, world.traffic.of("v2")) == ("v2", 0)
    world.settle()
    assert "v2" in world.cluster.deployments
    world.advance(seconds=5)
    assert "v2" not in world.cluster.deployments


def test_a_first_weight_that_the_router_never_had_does_not_rise_when_the_metrics_go_dark(world):
    world.given(release())
    world.commit("v2")
    world.cluster.now += START_S
    _stops(world, 1)
    assert (world.release.weight, world.traffic.of("v2")) == (5, 0)
    world.metrics.go_dark()
    world.settle()
    assert (world.release.weight, world.traffic.of("v2")) == (0, 0)
    assert not world.cluster.finalizer


def test_a_first_version_whose_weights_were_lost_gets_them_when_another_version_is_asked_for(world):
    world.given(release().first())
    world.settle()
    world.cluster.now += START_S
    _stops(world, 1)
    assert (world.release.stable, world.traffic.of("v1")) == ("v1", 0)
    world.commit("v2")
    assert (world.release.canary, world.traffic.of("v1")) == ("v2", 100)


def test_a_version_gets_work_only_once_it_is_written_that_the_one_before_it_has_none(world):
    world.given(release([weight(25), approve()]).on("v2"))
    world.until(lambda: world.release.reason == "AwaitingApproval")
    world.cluster.carry_out(EnsureRevision("v3", 2), "")
    world.cluster.now += START_S
    world.target = "v3"
    world.reconcile()
    assert (world.release.canary, world.traffic.of("v1"), world.traffic.of("v3")) == ("v3", 100, 0)
    world.reconcile()
    assert world.traffic.of("v3") == 25
