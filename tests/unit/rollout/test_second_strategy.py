"""The seam for strategies: another one is its steps and its sizes, and the walker passes it as it is."""

from dataclasses import dataclass, replace

from controller.rollout.sizing import Sizes, Sizing
from tests.unit.rollout.cluster import START_S
from tests.unit.rollout.language import analyze, pause, release, weight
from tests.unit.rollout.test_rollout import told


@dataclass(frozen=True)
class AllAtOnce:
    """The new version at full size without work, then everything to it in one switch."""

    def sizes(self, sizing: Sizing, replicas: int, weight: float) -> Sizes:
        return Sizes(replicas, replicas)


def all_at_once(keep="1m", **given):
    found = release([pause("20s"), weight(100, analyze("5s", keep))], **given)
    return replace(found, spec=replace(found.spec, strategy=AllAtOnce()))


def test_it_waits_at_full_size_without_work_and_switches_once(world):
    world.given(all_at_once())
    world.commit("v2")
    world.advance(seconds=START_S + 5)
    assert (world.cluster.deployments["v2"].wanted, world.traffic.canary) == (4, 0)
    world.advance(minutes=3)
    assert told(world) == [
        "make v2 4",
        "finalizer on",
        "weights v2:100",
        "close promoted",
        "service v2",
        "finalizer off",
        "retire v1",
    ]
    assert (world.release.phase, world.release.stable) == ("Healthy", "v2")


def test_a_regression_after_the_switch_goes_back_without_a_pod_start(world):
    world.given(all_at_once(keep="10m"))
    world.commit("v2")
    world.until(lambda: world.traffic.canary == 100)
    world.log.clear()
    world.crash_loop("v2")
    assert told(world)[0] == "weights v1:100"
    assert world.cluster.deployments["v1"].wanted == 4
    assert world.release.is_rejected("v2")
