"""What people ask for at the wrong time is refused with a sentence, and nothing counts twice."""

import pytest

from controller.api.status import KEPT
from controller.rollout.observation import Request
from tests.unit.rollout.language import analyze, approve, pause, release, weight
from tests.unit.rollout.test_requests_rollback import healthy
from tests.unit.rollout.world import World

STEPS = [weight(5, analyze("5s", "1m")), approve(), weight(50, analyze("5s", "1m"))]


@pytest.mark.parametrize(
    ("action", "revision", "to", "sentence"),
    [
        ("skip", "v2", "", "no rollout is in progress (phase Healthy)"),
        ("promote", "v2", "", "no rollout is in progress (phase Healthy)"),
        ("pause", "v2", "", "no rollout is in progress (phase Healthy)"),
        ("resume", "v2", "", "no rollout is in progress (phase Healthy)"),
        ("retry", "v1", "", "v1 is not rejected (rejected: none)"),
        ("rollback", "v1", "", "it is for revision v1, but stable is v2"),
        ("rollback", "v2", "v2", "v2 is stable already"),
        ("rollback", "v2", "v9", "v9 is no longer kept (spec.revisionHistoryLimit); kept are: v1"),
    ],
)
def test_at_rest_what_does_not_fit_is_refused_with_a_sentence(world, action, revision, to, sentence):
    healthy(world)
    before = world.snapshot()
    assert world.answer(world.ask(action, revision, to=to)) == f"refused: {sentence}"
    del before["answers"]
    assert {key: value for key, value in world.snapshot().items() if key != "answers"} == before


@pytest.mark.parametrize(
    ("action", "revision", "sentence"),
    [
        ("skip", "v1", "it is for revision v1, but the canary is v2"),
        ("promote", "v1", "it is for revision v1, but the canary is v2"),
        ("pause", "v3", "it is for revision v3, but the canary is v2"),
        ("resume", "v2", "no person has paused it"),
        ("rollback", "v1", "a rollout of v2 is in progress; abort it first"),
    ],
)
def test_under_way_what_does_not_fit_is_refused_with_a_sentence(world, action, revision, sentence):
    world.given(release(STEPS).on("v2"))
    assert world.answer(world.ask(action, revision)) == f"refused: {sentence}"


def test_a_rejected_version_is_not_gone_back_to(world):
    healthy(world)
    world.ask("rollback", "v2")
    world.advance(minutes=1)
    sentence = world.answer(world.ask("rollback", "v1", to="v2"))
    assert sentence == "refused: v2 is rejected; retry it first"
    sentence = world.answer(world.ask("rollback", "v1"))
    assert sentence == "refused: no version was stable before v1; name one, kept are: none"


@pytest.mark.parametrize("action", ["skip", "promote"])
def test_what_gives_more_work_waits_for_the_end_of_a_suspension(world, action):
    world.given(release(STEPS).on("v2"))
    world.edit(suspend=True)
    assert world.answer(world.ask(action)) == "refused: the release is suspended"


def test_a_version_that_has_just_been_found_bad_is_not_promoted(world):
    world.given(release(STEPS).on("v2"))
    world.regress("v2")
    run = world.attempts[world.release.run]
    while run.judge.evidence().regression is None:
        world.cluster.now += 5
        world._look()
    name = world.ask("promote", reason="hurry")
    assert world.answer(name).startswith("refused: a regression was just found: errors ")
    assert world.release.is_rejected("v2")


# -- once, and only once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["skip", "pause", "promote", "rollback", "retry"])
def test_it_is_consumed_once_wherever_the_operator_stops(world, action):
    def begin() -> World:
        one = World()
        if action == "rollback":
            return healthy(one)
        return rejected(one) if action == "retry" else one.given(release([weight(5), *[pause("1h")] * 9]).on("v2"))

    def live(one: World) -> World:
        one.ask(action, "v2", reason="why")
        one.advance(minutes=2)
        return one

    calm = live(begin())
    for decision in range(1, 4):
        for after in range(6):
            shaken = begin()
            shaken.crash_at = (shaken.decisions + decision, after)
            assert live(shaken).snapshot() == calm.snapshot(), f"decision {decision} after {after}"


def test_so_many_at_once_that_not_all_can_be_remembered_still_count_once_each(world):
    world.given(release([weight(5), *[pause("1h")] * 40]).on("v2"))
    world.until(lambda: world.release.reason == "Pausing")
    first = world.release.step
    names = [f"skip-{number}" for number in range(KEPT + 5)]
    world.requests += [Request(f"uid-{name}", name, "skip", "v2", "ana", "") for name in names]
    world.crash_at = (world.decisions + 1, 3)
    world.advance(minutes=1)
    assert all(world.answer(name) for name in names)
    assert world.release.step == first + len(names)


def test_the_oldest_rejection_is_forgotten_when_there_is_no_room_and_it_is_said(world):
    world.given(release([weight(5, analyze("5s", "1m"))]))
    for number in range(KEPT + 1):
        world.commit(f"w{number}")
        world.ask("abort", reason="no")
        world.advance(seconds=10)
    assert len(world.release.rejected) == KEPT
    assert not world.release.is_rejected("w0")
    told = [event for event in world.cluster.events if event.reason == "RejectionForgotten"]
    assert [event.message.split()[0] for event in told] == ["w0"]


def rejected(world: World) -> World:
    world.given(release(STEPS).on("v2"))
    world.ask("abort", reason="no")
    world.advance(minutes=1)
    return world
