"""`explain`: what people did, and the next useful command."""

from dataclasses import replace

import pytest

from controller.api.phase import Phase
from controller.api.status import Rejection
from controller.stats.before import Before
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.views.explanation import next_commands
from controller.views.picture import line
from tests.unit.cli.test_explanation_picture import NOW, explanation, screen


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ({"phase": Phase.PAUSED, "reason": "PausedByPerson"}, "pointsman resume invitation-api -n shop"),
        ({"phase": Phase.PAUSED, "reason": "AwaitingApproval"}, "pointsman approve invitation-api -n shop"),
        ({"phase": Phase.HEALTHY, "reason": "Promoted", "previous": "abcdefghij"}, "commit a new version"),
    ],
)
def test_the_next_useful_command_comes_first(status, first):
    assert next_commands("shop", "invitation-api", explanation(**status).status)[0] == first


def test_a_healthy_version_can_be_left_and_a_rejected_one_tried_again():
    healthy = explanation(phase=Phase.HEALTHY, reason="Promoted", previous="abcdefghij").status
    assert "pointsman rollback invitation-api -n shop --to abcdefghij" in next_commands(
        "shop", "invitation-api", healthy
    )
    rejection = Rejection("klmnopqrst", "Regressed", "", "", NOW)
    fallen = explanation(phase=Phase.ROLLED_BACK, reason="Regressed", rejected=(rejection,)).status
    assert "pointsman retry invitation-api klmnopqrst -n shop" in next_commands("shop", "invitation-api", fallen)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": Phase.HEALTHY, "reason": "Unproven"}, ["commit a new version"]),
        (
            {"phase": Phase.PROMOTING, "reason": "Proven"},
            ["pointsman wait invitation-api -n shop", "pointsman abort invitation-api -n shop --reason TEXT"],
        ),
        (
            {"phase": Phase.BAKING, "reason": "Baking", "stable": ""},
            ["pointsman wait invitation-api -n shop", "pointsman promote invitation-api -n shop --full --reason TEXT"],
        ),
    ],
)
def test_only_what_can_be_done_is_said(status, said):
    assert next_commands("shop", "invitation-api", explanation(**status).status) == said


def test_who_paused_and_who_ended_the_judging_is_said():
    text = "\n".join(explanation(paused_by="ana: campaign", paused_since=NOW - 300, full_by="ben").lines(NOW))
    assert "paused  by ana: campaign 5 min ago" in text
    assert "analysis ended by ben" in text


@pytest.mark.parametrize(("age", "said"), [(20, True), (59, True), (61, False), (-5, False)])
def test_a_regression_of_pods_that_were_just_added_says_so(age, said):
    rejection = Rejection("klmnopqrst", "Regressed", "latency: 18 of 141", "", NOW - 100)
    fallen = explanation(
        phase=Phase.ROLLED_BACK,
        reason="Regressed",
        last_rollback=rejection,
        rejected=(rejection,),
        scaled_up=NOW - 100 - age,
    )
    text = "\n".join(fallen.lines(NOW))
    assert (f"pods were added {age} s before" in text and "spec.analysis.advanced.warmUp" in text) is said


def test_a_rejected_version_is_left_by_a_fix_whatever_the_word_of_its_step():
    rejection = Rejection("klmnopqrst", "TooLittleTraffic", "12 units in a day", "", NOW)
    fallen = explanation(phase=Phase.ROLLED_BACK, reason="TooLittleTraffic", rejected=(rejection,)).status
    assert next_commands("shop", "invitation-api", fallen)[0] == "push a fix, or revert to the stable template"


KEPT = {
    "at": "2026-11-29T12:00:00.000000Z",
    "pods": 1,
    "exits": [
        {"pod": "web-1", "container": "app", "restarts": 4, "reason": "OOMKilled", "exitCode": 137},
        {"pod": "web-2", "reason": "Evicted", "message": "low on memory"},
        {"pod": "web-3", "container": "app", "restarts": 0, "waiting": "ImagePullBackOff", "message": "no such image"},
    ],
    "events": [{"object": "Pod web-1", "reason": "Unhealthy", "message": "probe failed", "count": 12}],
    "errors": [{"count": 41, "line": "ValueError: 7"}],
    "logs": [{"pod": "web-1", "container": "app", "previous": True, "lines": ["Traceback", "  ValueError: 7"]}],
    "notKept": ["events: no answer within 4 s"],
}


def test_what_the_pods_of_a_rejected_version_said_is_shown():
    found = replace(explanation(looks=0), rejected="klmnopqrst", pod_evidence=KEPT)
    text = "\n".join(found.lines(NOW))
    assert (
        """
  kept of klmnopqrst, before its pods were scaled down (1 pod):
    web-1, container app: exit code 137 (SIGKILL), OOMKilled, 4 restarts
    web-2: Evicted: low on memory
    web-3, container app: waits (ImagePullBackOff): no such image
    event Unhealthy of Pod web-1 (12 times): probe failed
    most frequent errors:
      41 × ValueError: 7
    last lines of web-1, container app before its last restart:
      Traceback
        ValueError: 7
    not kept: events: no answer within 4 s
"""
        in text
    )
    assert found.as_json()["podEvidence"] == KEPT


def test_a_record_that_was_made_for_the_pods_alone_says_that_nothing_was_compared():
    nothing = Judge.over(AnalysisPlan(0.0, 1, ()), []).evidence()
    found = replace(explanation(), run="web-1", evidence=nothing, rejected="klmnopqrst", pod_evidence=KEPT)
    text = "\n".join(found.lines(NOW))
    assert "nothing was compared (AnalysisRun web-1)" in text
    assert "guarantee" not in text


def test_a_pod_that_stays_of_a_rejected_version_has_the_commands_for_a_look():
    last = Rejection("klmnopqrst", "CrashLoop", "it crashed", "", NOW - 100)
    status = {
        "canary": "",
        "phase": Phase.ROLLED_BACK,
        "reason": "CrashLoop",
        "rejected": (last,),
        "last_rollback": last,
    }
    lines = explanation(**status, failed_kept_until=NOW + 800).lines(NOW)
    assert "  kept    1 pod of klmnopqrst for a look, 13 min more; it gets no work" in lines
    pod = "deployment/invitation-api-klmnopqrst -n shop"
    assert lines[-2:] == [
        f"next: kubectl logs {pod} --all-containers --tail=100",
        f"next: kubectl exec -it {pod} -- sh",
    ]
    over = "\n".join(explanation(**status, failed_kept_until=NOW - 1).lines(NOW))
    assert "kept" not in over
    assert "kubectl" not in over


def switched(rate, before=((1, 1000),) * 20):
    """A blue/green release after its switch; old looks of stable, and six new ones with this rate of bad units."""
    plan = AnalysisPlan(0.01, 5, (MetricPlan("errors", 2.0, slack=0.005, before=Before.of(before)),))
    rows = {"errors": Counts(round(rate * 1000), 1000, 0, 2)}
    looks = [Look(number, NOW, NOW + 5, 100, rows) for number in range(1, 7)]
    found = explanation(weight=100.0, phase=Phase.BAKING, reason="KeepingOld")
    release = {**found.release, "spec": {"strategy": {"blueGreen": {}}}}
    return replace(found, release=release, evidence=Judge.over(plan, looks).evidence())


def test_a_blue_green_release_has_a_new_version_and_what_was_before_and_no_guarantee():
    text = "\n".join(switched(0.001).lines(NOW))
    assert "new     klmnopqrst, all of the work for 90 s, 4 of 4 pods ready" in text
    assert "stable  abcdefghij, kept without work to take it back" in text
    assert "errors: new 6 of 6000 (0.10%), before the switch 20 of 20000 (0.10%)" in text
    assert "a rollback needs more than 0.72% bad in two looks in a row" in text
    assert "no guarantee" in text
    assert "canary" not in text
    shown = screen(switched(0.001), 100)
    assert "BEFORE" in shown
    assert "klmnopqrst, all of the work for 90 s" in shown
    assert "weight" not in shown
    assert "STABLE" not in shown


def test_before_a_switch_the_new_version_has_no_work_and_no_weight():
    found = switched(0.001)
    raw = {**found.release["status"], "weight": 0, "phase": "Paused", "reason": "AwaitingApproval", "message": ""}
    spec: dict = {"strategy": {"blueGreen": {"steps": [{"approve": {}}]}}}
    found = replace(found, release={**found.release, "spec": spec, "status": raw}, evidence=None)
    shown, text = screen(found, 80), "\n".join(found.lines(NOW))
    assert "approve > switch" in shown
    for said in (shown, text):
        assert "klmnopqrst, no work before the switch" in said
        assert " %" not in said
        assert "kept" not in said
    assert line(found) == (
        "Paused (AwaitingApproval), step 1/4, new version klmnopqrst: no work before the switch, "
        "errors 12/720 vs 240/14400"
    )


def test_a_limit_after_a_switch_is_one_of_the_new_version():
    found = switched(0.05)
    plan = AnalysisPlan(0.01, 5, (MetricPlan("floor", None, limit=0.02),))
    looks = [Look(number, NOW, NOW + 5, 100, {"floor": Counts(50, 1000, 0, 2)}) for number in range(1, 7)]
    text = "\n".join(replace(found, evidence=Judge.over(plan, looks).evidence()).lines(NOW))
    assert "limit: at most 2.00% of the new version's may be bad" in text
    assert "canary" not in text


def test_a_regression_after_a_switch_shows_no_chance_that_does_not_hold():
    text = "\n".join(switched(0.05).lines(NOW))
    assert "regression: more than 0.72% bad in two looks in a row" in text
    assert " p " not in text


def test_too_little_before_a_switch_is_said():
    assert "not compared: too few looks before the switch" in "\n".join(switched(0.05, before=()).lines(NOW))


ROW = {"errors": Counts(1, 50, 1, 50)}


def test_a_fresh_baseline_is_a_version_beside_stable_and_what_is_compared_with():
    found = explanation(weight=5.0)
    attempt = {"baselineRevision": "qrstuvwxyz", "baselineWeight": 5}
    release = {**found.release, "status": found.release["status"] | attempt}
    judge = Judge.over(AnalysisPlan(0.01, 5, (MetricPlan("errors", 1.1),)), [Look(1, 0, 5, 5, ROW, baseline=5.0)])
    found = replace(found, release=release, evidence=judge.evidence(), fresh_baseline=True)
    text = "\n".join(found.lines(NOW))
    assert "baseline  qrstuvwxyz, 5 % of the work: new pods of stable" in text
    assert "errors: canary 1 of 50 (2.00%), baseline 1 of 50 (2.00%)" in text
    shown = screen(found, 100)
    assert "qrstuvwxyz, 5 %: new pods of stable" in shown
    assert "BASELINE" in shown


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        ({"copied": 10.0}, "no work, copies of 10 % of the requests"),
        ({"chosen": True}, "no work but the requests with its header"),
    ],
)
def test_a_version_that_is_judged_without_work_has_no_share_of_it(reached, said):
    found = explanation(weight=0.0, **reached)
    found = replace(found, copies="copied" in reached)
    text = "\n".join(found.lines(NOW))
    assert f"klmnopqrst, {said}" in text
    assert ("nobody got the new version's answers" in text) is ("copied" in reached)
    assert " 0 %" not in screen(found, 120)
