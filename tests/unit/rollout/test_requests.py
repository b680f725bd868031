"""What people ask for: taken once, refused with a sentence where it does not fit."""

import pytest

from controller.rollout.decide import decide
from controller.rollout.observation import Request
from tests.unit.rollout.language import BY_PODS, BY_WEIGHT, analyze, approve, pause, release, weight
from tests.unit.rollout.world import World

APPROVALS = [weight(5), approve(), approve(), weight(50, analyze("5s", "1m"))]


def waiting(world: World) -> World:
    world.given(release(APPROVALS).on("v2", at_step=1))
    assert world.release.reason == "AwaitingApproval"
    return world


def test_an_approval_passes_one_step_and_only_one(world):
    waiting(world)
    name = world.ask("approve")
    assert world.answer(name) == "approve taken"
    assert (world.release.step, world.release.reason) == (2, "AwaitingApproval")
    world.ask("approve")
    assert world.release.step == 3


def test_an_approval_is_answered_after_the_status_that_keeps_it(world):
    waiting(world)
    world.log.clear()
    name = world.ask("approve")
    assert world.log.index("status Paused AwaitingApproval") < world.log.index(f"answer {name}")


def test_an_approval_whose_answer_was_lost_does_not_pass_a_second_step(world):
    waiting(world)
    world.crash_at = (world.decisions + 1, len(decide(world.observe(), world.cluster.now).actions) + 2)
    name = world.ask("approve")
    world.advance(minutes=1)
    assert world.answer(name) == "approve taken"
    assert world.release.step == 2


def test_an_approval_whose_status_was_lost_still_passes_its_step(world):
    waiting(world)
    world.crash_at = (world.decisions + 1, 0)
    world.ask("approve")
    assert world.release.step == 2


def test_two_approvals_at_once_do_not_both_count(world):
    waiting(world)
    world.requests += [_request(world, name) for name in ("one", "two")]
    world.settle()
    assert world.release.step == 2
    assert world.answer("one") == "approve taken"
    assert world.answer("two") == "refused: it is already approved by ana"


def _request(world: World, name: str) -> Request:
    return Request(f"uid-{name}", name, "approve", world.release.canary, "ana", "")


@pytest.mark.parametrize(
    ("action", "revision", "sentence"),
    [
        ("approve", "v9", "refused: it is for revision v9, but the canary is v2"),
        ("abort", "v9", "refused: it is for revision v9, but the canary is v2"),
        ("abort", "v1", "refused: it is for revision v1, but the canary is v2"),
        ("approve", "v2", "refused: nothing waits for approval (phase Progressing, reason Analyzing)"),
        ("dance", "v2", "refused: unknown action dance"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence_and_changes_nothing(world, action, revision, sentence):
    world.given(release([weight(5, analyze("1m", "10m"))]).on("v2"))
    before = world.snapshot()
    name = world.ask(action, revision)
    assert world.answer(name) == sentence
    del before["answers"]
    assert {key: value for key, value in world.snapshot().items() if key != "answers"} == before


@pytest.mark.parametrize("action", ["approve", "abort"])
def test_at_rest_there_is_nothing_to_ask_for(world, action):
    world.given(release())
    name = world.ask(action, "v1")
    assert world.answer(name) == "refused: no rollout is in progress (phase Healthy)"
    assert world.traffic.of("v1") == 100


def test_the_first_deployment_cannot_be_aborted(world):
    world.given(release().first())
    world.settle()
    name = world.ask("abort", "v1")
    assert world.answer(name) == "refused: no rollout is in progress (phase Pending)"


SITUATIONS = {
    "starting": lambda world: world.unready("v2"),
    "analyzing": lambda world: world.advance(seconds=30),
    "more pods awaited": lambda world: (world.edit(replicas=8), world.advance(seconds=60)),
    "out of metrics": lambda world: (world.metrics.go_dark(), world.advance(seconds=30)),
    "no room": lambda world: world.no_room("v2"),
    "suspended": lambda world: world.edit(suspend=True),
    "another template, suspended": lambda world: (world.edit(suspend=True), world.commit("v3")),
    "scaled to zero": lambda world: world.edit(replicas=0),
    "second step": lambda world: world.until(lambda: world.release.step == 1),
    "paused": lambda world: world.until(lambda: world.release.step == 2),
    "approval": lambda world: world.until(lambda: world.release.step == 3),
    "promotion": lambda world: (
        world.until(lambda: world.release.step == 3),
        world.ask("approve"),
        world.unready("v2"),
    ),
}


@pytest.mark.parametrize("by", [BY_WEIGHT, BY_PODS])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_abort_takes_all_work_from_the_canary_in_that_same_decision(world, situation, by):
    steps = [weight(25, analyze("5s", "1m")), weight(50, analyze("5s", "30s")), pause("20s"), approve()]
    world.given(release(steps, by=by).on("v2"))
    SITUATIONS[situation](world)
    assert world.release.canary == "v2"
    before = world.decisions
    name = world.ask("abort", reason="bad feeling")
    assert world.answer(name) == "abort taken"
    assert world.decisions <= before + 3
    assert world.traffic.of("v2") == 0
    assert world.traffic.of("v1") == 100
    assert world.release.is_rejected("v2")
    assert world.release.last_rollback.message == "aborted by ana: bad feeling"
    assert world.cluster.deployments["v1"].wanted == world.spec.replicas


def test_an_abort_comes_before_all_answers(world):
    waiting(world)
    world.requests.append(_request(world, "useless"))
    world.log.clear()
    world.ask("abort")
    assert world.log[0] == "weights v1:100"


def test_approval_does_not_wake_a_suspended_release(world):
    waiting(world)
    world.edit(suspend=True)
    name = world.ask("approve")
    assert world.answer(name) == "refused: the release is suspended"
    world.edit(suspend=False)
    assert world.release.step == 1
