"""`watch`: what a person sees, on wide and on narrow terminals, and in a log."""

import io
from typing import Any

import pytest
from rich.console import Console

from controller.api.choice import Choice, OneOf
from controller.api.phase import Phase
from controller.api.status import Attempt, Clock, Rejection, Status
from controller.api.status_format import status_to_raw
from controller.cli.watching import lines
from controller.rollout.steps.pause import Pause
from controller.rollout.steps.weight import Weight
from controller.stats.counts import Counts, Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan, MetricPlan
from controller.views.explanation import Explanation
from controller.views.picture import line, picture

NOW = 1_700_000_000.0
OF_ATTEMPT = ("step", "paused_by", "full_by", "copied", "chosen")
STEPS = [{"weight": 5, "analyze": {"atMost": "10m"}}, {"approve": {}}, {"weight": "50%"}, {"pause": {"for": "10m"}}]


def explanation(looks=12, bad=1, metrics=("errors", "latency"), **status) -> Explanation:
    """A release at its first step, with so many looks in which the canary has `bad` bad units of 60."""
    known: dict[str, Any] = {
        "phase": Phase.PROGRESSING,
        "reason": "Analyzing",
        "message": "step 1/4: analyzing at 5 % for at most 600 s",
        "stable": "abcdefghij",
        "steps": 4,
        "weight": 5.0,
        "weight_since": NOW - 90,
        "replicas": 4,
        "ready_replicas": 4,
        "evidence": "errors 12/720 vs 240/14400",
    }
    of_attempt = {name: status.pop(name) for name in OF_ATTEMPT if name in status}
    clock = Clock(NOW, paused_since=status.pop("paused_since", None))
    canary = status.pop("canary", "klmnopqrst")
    attempt = Attempt(canary, clock, **of_attempt) if canary else None
    plan = AnalysisPlan(0.01, 5, tuple(MetricPlan(name, 1.1) for name in metrics))
    counts = Counts(bad, 60, 20, 1200)
    rows = dict.fromkeys(metrics, counts)
    judged = Judge.over(plan, [Look(number, NOW, NOW + 5, 5, rows) for number in range(1, looks + 1)])
    release = {
        "metadata": {"name": "invitation-api", "namespace": "shop", "generation": 1},
        "spec": {"strategy": {"canary": {"steps": STEPS}}},
        "status": {**status_to_raw(Status(attempt=attempt, **(known | status))), "observedGeneration": 1},
    }
    return Explanation(release, run="invitation-api-1", alpha=0.01, evidence=judged.evidence() if looks else None)


def screen(found: Explanation, width: int) -> str:
    shown = io.StringIO()
    Console(file=shown, width=width, force_terminal=False).print(picture(found, width, NOW))
    return shown.getvalue()


def test_both_rates_the_boundary_the_steps_and_what_to_do_next_are_there():
    text = screen(explanation(), 80)
    assert "invitation-api in shop: Progressing (Analyzing)" in text
    assert "5% > approve > 50% > pause" in text
    assert "klmnopqrst, 90 s at this weight" in text
    assert "1.67% 12/720" in text
    assert "1.67% 240/14400" in text
    assert "next: pointsman abort invitation-api -n shop --reason TEXT" in text
    row = next(row for row in text.splitlines() if row.startswith("errors"))
    bad, convicts = row.split()[-1].split("/")
    assert (bad, int(convicts) > 12) == ("12", True)
    assert "━━━" in row


@pytest.mark.parametrize(("looks", "said"), [(1, "1 look\n"), (2, "2 looks\n")])
def test_one_look_is_no_looks(looks, said):
    rows = [row.rstrip() + "\n" for row in screen(explanation(looks), 80).splitlines()]
    assert f"evidence so far, {said}" in rows


@pytest.mark.parametrize("width", [120, 80, 60, 40, 30])
@pytest.mark.parametrize("state", ["analyzing", "regressed", "without metrics", "no data", "first"])
def test_nothing_is_wider_than_the_terminal_and_the_phase_is_always_there(width, state):
    rejection = Rejection("klmnopqrst", "Regressed", "errors: 20 of 60", "errors 20/60 vs 20/1200", NOW)
    found = {
        "analyzing": explanation,
        "regressed": lambda: explanation(
            bad=20, canary="", phase=Phase.ROLLED_BACK, reason="Regressed", weight=0.0, rejected=(rejection,)
        ),
        "without metrics": lambda: explanation(metrics=()),
        "no data": lambda: explanation(looks=0),
        "first": lambda: explanation(looks=0, stable="", canary="", phase=Phase.PENDING, reason="New", weight=0.0),
    }[state]()
    rows = screen(found, width).splitlines()
    assert max(len(row) for row in rows) <= width
    assert str(found.status.phase) in " ".join(rows)


def test_a_narrow_terminal_keeps_the_rates_and_the_boundary():
    row = next(row for row in screen(explanation(), 60).splitlines() if row.startswith("errors"))
    assert row.split()[:3] == ["errors", "1.67%", "1.67%"]
    assert "━" not in row


def test_a_pause_is_shown_with_the_way_out():
    text = screen(
        explanation(phase=Phase.PAUSED, reason="PausedByPerson", message="paused by ana", paused_by="ana"), 80
    )
    assert "next: pointsman resume invitation-api -n shop" in text


def test_in_a_log_there_is_a_line_for_each_change_and_no_more(capsys):
    say = lines()
    say(explanation())
    say(explanation())
    say(explanation(weight=50.0, step=2))
    out = capsys.readouterr().out.splitlines()
    assert [row.split(" ", 1)[1] for row in out] == [
        "Progressing (Analyzing), step 1/4, weight 5 %, errors 12/720 vs 240/14400",
        "Progressing (Analyzing), step 3/4, weight 50 %, errors 12/720 vs 240/14400",
    ]
    assert line(explanation(canary="", weight=0.0, evidence="")) == "Progressing (Analyzing), weight 0 %"


def test_the_steps_are_those_that_the_strategy_compiles_to(monkeypatch):
    class AllAtOnce:
        steps = (Pause(60.0), Weight(100.0), Pause(60.0))

    monkeypatch.setattr(OneOf, "parse", lambda *_: Choice("allAtOnce", AllAtOnce()))
    assert "pause > 100% > pause" in screen(explanation(), 80)


def test_a_strategy_of_another_installation_has_no_steps_to_show():
    found = explanation()
    found.release["spec"]["strategy"] = {"unheardOf": {}}
    assert "abcdefghij, 4 of 4 pods ready" in screen(found, 80)
