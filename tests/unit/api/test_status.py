"""Status: what is written is what is read, and conditions keep the rules of kstatus and Flux."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api import times
from controller.api.conditions import conditions_of, write_conditions
from controller.api.phase import Phase
from controller.api.status import Attempt, Blocked, Clock, ManualRollback, Rejection, Status, Unproven
from controller.api.status_format import status_from_raw, status_to_raw

quick = settings(deadline=None, derandomize=True, max_examples=60)

words = st.text(min_size=1, max_size=40)
moments = st.integers(0, 4_000_000_000 * 10**6).map(lambda micros: times.from_text(times.to_text(micros / 10**6)))
maybe = st.none() | moments
rejections = st.builds(Rejection, words, words, st.text(max_size=50), st.text(max_size=20), moments)
clocks = st.builds(
    Clock,
    began=moments,
    step_entered=maybe,
    step_started=maybe,
    held_since=maybe,
    unready_since=maybe,
    paused_since=maybe,
)
attempts = st.builds(
    Attempt,
    canary=words,
    clock=clocks,
    step=st.integers(0, 30),
    approved_by=st.text(max_size=10),
    awaits_person=st.booleans(),
    start_blocked=st.booleans(),
    paused_by=st.text(max_size=10),
    full_by=st.text(max_size=10),
    run=st.text(max_size=10),
)
statuses = st.builds(
    Status,
    phase=st.sampled_from(Phase),
    reason=words,
    message=st.text(max_size=100),
    evidence=st.text(max_size=30),
    stable=st.text(max_size=10),
    attempt=st.none() | attempts,
    attempts=st.integers(0, 1000),
    steps=st.integers(0, 30),
    weight=st.sampled_from((0.0, 0.5, 5.0, 33.3, 100.0)),
    weight_pending=st.booleans(),
    weight_since=maybe,
    scaled_up=maybe,
    drain_since=maybe,
    handled=st.lists(words, max_size=20).map(tuple),
    unproven=st.lists(st.builds(Unproven, st.integers(0, 30), st.text(max_size=50)), max_size=5).map(tuple),
    rejected=st.lists(rejections, max_size=20).map(tuple),
    last_rollback=st.none() | rejections,
    judged=st.text(max_size=10),
    going_back=st.none() | st.builds(ManualRollback, words, st.text(max_size=50), moments),
    queued=st.lists(words, max_size=10).map(tuple),
    announced=st.lists(words, max_size=20).map(tuple),
    blocked=st.none() | st.builds(Blocked, words, st.text(max_size=50), st.sampled_from(Phase), st.text(max_size=10)),
    replicas=st.integers(0, 100),
    ready_replicas=st.integers(0, 100),
    selector=st.text(max_size=20),
)


@quick
@given(statuses)
def test_what_is_written_is_what_is_read(status):
    raw = json.loads(json.dumps(status_to_raw(status)))
    assert status_from_raw(raw) == status
    assert status_to_raw(status_from_raw(raw)) == raw


@quick
@given(st.floats(0, 4e9))
def test_a_moment_keeps_its_microsecond(moment):
    again = times.from_text(times.to_text(moment))
    assert abs(again - moment) < 1e-6
    assert times.to_text(again) == times.to_text(moment)


FORMAT_1 = {
    "phase": "Progressing",
    "reason": "Analyzing",
    "message": "step 2/3: analyzing at 20 % for at most 600 s",
    "stableRevision": "aaaaaaaaaa",
    "canaryRevision": "bbbbbbbbbb",
    "attempt": 4,
    "step": 1,
    "steps": 3,
    "weight": 20,
    "canarySince": "2026-11-28T10:00:00.000000Z",
    "stepStartedAt": "2026-11-28T10:05:00.000000Z",
    "stepEnteredAt": "2026-11-28T10:05:00.000000Z",
    "weightSince": "2026-11-28T10:05:00.000000Z",
    "analysisRun": "web-bbbbbbbbbb-4",
    "observedGeneration": 3,
}


def test_a_status_that_the_last_version_left_in_mid_rollout_goes_on():
    status = status_from_raw(FORMAT_1)
    assert (status.stable, status.canary, status.attempts, status.step, status.weight) == (
        "aaaaaaaaaa",
        "bbbbbbbbbb",
        4,
        1,
        20,
    )
    assert status.run == "web-bbbbbbbbbb-4"
    assert status.attempt is not None
    assert status.attempt.clock.step_started == times.from_text("2026-11-28T10:05:00Z")
    assert (status.attempt.awaits_person, status.attempt.start_blocked, status.blocked) == (False, False, None)
    assert status_from_raw(status_to_raw(status)) == status


@pytest.mark.parametrize("reason", ["AwaitingApproval", "AwaitingTraffic", "Suspicious", "Unproven"])
@pytest.mark.parametrize("refused", [False, True])
def test_what_the_last_version_left_waiting_for_a_person_can_be_approved(reason, refused):
    behind = {"reason": "RouterRefused", "reasonBehind": reason} if refused else {"reason": reason}
    status = status_from_raw({**FORMAT_1, "phase": "Waiting", **behind})
    assert status.attempt is not None
    assert status.attempt.awaits_person
    assert (status.blocked is not None) == refused


@pytest.mark.parametrize("reason", ["NoCapacity", "ImagePull", "Suspended"])
def test_a_version_that_the_last_version_left_without_a_chance_to_start_keeps_its_time(reason):
    status = status_from_raw({**FORMAT_1, "phase": "Waiting", "reason": reason})
    assert status.attempt is not None
    assert status.attempt.start_blocked


def test_a_template_that_was_refused_under_the_last_version_holds_up_no_other():
    status = status_from_raw({**FORMAT_1, "phase": "Invalid", "reason": "TemplateRefused", "message": "no"})
    assert status.blocked == Blocked("TemplateRefused", "no", Phase.INVALID, "bbbbbbbbbb")


def test_what_the_crd_fills_in_is_no_status_yet():
    assert status_from_raw({"observedGeneration": -1}) == Status()


def test_a_weight_is_a_whole_number_where_it_is_one():
    assert status_to_raw(Status(weight=5.0))["weight"] == 5
    assert isinstance(status_to_raw(Status(weight=5.0))["weight"], int)
    assert status_to_raw(Status(weight=0.5))["weight"] == 0.5


def test_progress_counts_from_one_and_is_there_only_during_a_release():
    assert status_to_raw(Status(attempt=Attempt("b", Clock(0.0)), steps=4))["progress"] == "1/4"
    assert status_to_raw(Status(attempt=Attempt("b", Clock(0.0), step=4), steps=4))["progress"] == "4/4"
    assert "progress" not in status_to_raw(Status(stable="a", steps=4))


def test_lists_and_sentences_have_an_end():
    rejection = Rejection("r", "Regressed", "x" * 5000, "", 0.0)
    status = Status(
        message="x" * 5000,
        handled=tuple(str(number) for number in range(50)),
        rejected=tuple(replace(rejection, revision=str(number)) for number in range(50)),
        unproven=(Unproven(0, "x" * 5000),),
    )
    raw = status_to_raw(status)
    assert raw["handledActions"][-1] == "49"
    assert [len(raw[key]) for key in ("handledActions", "rejected", "message")] == [20, 20, 1024]
    assert raw["rejected"][-1]["revision"] == "49"
    assert len(json.dumps(raw)) < 40_000


TABLE = {
    Phase.PENDING: ("False", "Reconciling", "Why"),
    Phase.PROGRESSING: ("False", "Reconciling", "Why"),
    Phase.PROMOTING: ("False", "Reconciling", "Why"),
    Phase.BAKING: ("False", "Reconciling", "Why"),
    Phase.WAITING: ("False", "Reconciling", "Why"),
    Phase.PAUSED: ("False", "Reconciling", "Paused"),
    Phase.ROLLING_BACK: ("False", "Reconciling", "Why"),
    Phase.ROLLED_BACK: ("False", "Stalled", "RevisionRejected"),
    Phase.INVALID: ("False", "Stalled", "Why"),
    Phase.HEALTHY: ("True", None, ""),
}


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_means_the_conditions_of_the_table(phase):
    ready, other, reason = TABLE[phase]
    status = Status(phase=phase, reason="Why", message="because")
    written = write_conditions(conditions_of(status), [], 3, 0.0)
    by_type = {condition["type"]: condition for condition in written}
    assert by_type["Ready"]["status"] == ready
    assert by_type["Ready"]["reason"] == "Why"
    assert set(by_type) == {"Ready", "Available", "Judged"} | ({other} if other else set())
    if other:
        assert (by_type[other]["status"], by_type[other]["reason"]) == ("True", reason)
    for condition in written:
        assert condition["observedGeneration"] == 3
        assert condition["message"] == (
            "because" if condition["type"] in ("Ready", other) else "no version is deployed yet"
        )


@quick
@given(st.lists(st.tuples(st.sampled_from(Phase), words), min_size=1, max_size=12))
def test_conditions_turn_only_when_their_status_does(lives):
    before: list[dict[str, object]] = []
    for moment, (phase, reason) in enumerate(lives):
        status = Status(phase=phase, reason=reason, message="m")
        after = write_conditions(conditions_of(status), before, moment, 60.0 * moment)
        kinds = [condition["type"] for condition in after]
        assert kinds == sorted(set(kinds))
        assert "Ready" in kinds
        assert not {"Reconciling", "Stalled"} <= set(kinds)
        for condition in after:
            old = next((one for one in before if one["type"] == condition["type"]), None)
            same = old is not None and old["status"] == condition["status"]
            now = times.to_seconds_text(60.0 * moment)
            assert condition["lastTransitionTime"] == (old["lastTransitionTime"] if same and old else now)
        before = after


def test_a_long_message_is_cut():
    long = Status(phase=Phase.HEALTHY, reason="Why", message="x" * 5000)
    by_type = {one["type"]: one for one in write_conditions(conditions_of(long), [], 1, 0.0)}
    assert len(by_type["Ready"]["message"]) == 1024


@pytest.mark.parametrize(
    ("status", "available", "reason"),
    [
        (Status(attempt=Attempt("v1", Clock(0.0)), replicas=2, ready_replicas=2), "False", "NoStable"),
        (Status(stable="v1", replicas=2, ready_replicas=1), "True", "StableServes"),
        (
            Status(
                stable="v1", attempt=Attempt("v2", Clock(0.0)), phase=Phase.PROGRESSING, replicas=2, ready_replicas=2
            ),
            "True",
            "StableServes",
        ),
        (Status(stable="v1", phase=Phase.ROLLED_BACK, replicas=2, ready_replicas=2), "True", "StableServes"),
        (Status(stable="v1", replicas=2, ready_replicas=0), "False", "StableUnready"),
        (Status(stable="v1", replicas=0, ready_replicas=0), "True", "ScaledToZero"),
    ],
)
def test_available_says_whether_stable_serves_whatever_becomes_of_the_canary(status, available, reason):
    by_type = {one["type"]: one for one in write_conditions(conditions_of(status), [], 1, 0.0)}
    assert (by_type["Available"]["status"], by_type["Available"]["reason"]) == (available, reason)


@pytest.mark.parametrize("how", ["Unproven", "NoMetrics", "FirstDeployment", "PromotedByPerson", "RolledBackByPerson"])
def test_judged_is_true_for_what_was_proven_and_for_nothing_else(how):
    def judged(status):
        return next(one for one in conditions_of(status) if one.type == "Judged")

    assert judged(Status(stable="v1", judged="Proven")).status
    other = judged(Status(stable="v1", judged=how))
    assert (other.status, other.reason) == (False, how)
    assert other.message.startswith("v1: ")
    assert judged(Status()).reason == "NoStable"
