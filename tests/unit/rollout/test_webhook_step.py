"""A gate decides whether a rollout goes on; nothing waits for it but its own step."""

from dataclasses import replace

import pytest

from controller.api.effect import Effect, Owed, owed_to_raw
from controller.api.fields import Place
from controller.api.fields import parse as read
from controller.api.reading import SpecError
from controller.api.secret import SecretRef
from controller.api.status_format import status_to_raw
from controller.rollout import pod_evidence
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.steps.webhook import Webhook
from tests.unit.rollout.language import analyze, pause, release, weight

GATE = Webhook("http://gate.qa/check?token=x")
STEPS = [weight(5), GATE, weight(50, analyze("5s", "1m"))]


def owed(world):
    """Beside what is kept of a rejected version's pods."""
    return tuple(item for item in world.release.owed if item.effect.kind != pod_evidence.KIND)


def answer(world, result, message=""):
    """The outbox has learned this of the gate that is owed."""
    (gate,) = owed(world)
    world.effects = {gate.effect.id: Answered({"result": result, "message": message})}
    world.settle()


def fail(world, message):
    (gate,) = owed(world)
    world.effects = {gate.effect.id: Retrying(message, 1, world.cluster.now + 1)}
    world.settle()


@pytest.fixture
def asked(world):
    """Version 2 has 5 % of the work, and the gate is being asked."""
    world.given(release(STEPS).on("v2"))
    world.until(lambda: world.release.step == 1)
    return world


def test_a_gate_is_owed_while_its_step_waits(asked):
    assert (asked.release.phase, asked.release.reason) == ("Progressing", "AwaitingWebhook")
    assert asked.release.message == "step 2/3: calling gate.qa"
    (gate,) = owed(asked)
    assert gate.effect.kind == "webhook"
    assert gate.effect.id.startswith("webhook.v2.1.1.")
    assert gate.effect.payload == {
        "url": "http://gate.qa/check?token=x",
        "timeoutSeconds": 10,
        "everySeconds": 30,
        "body": {"stableRevision": "v1", "canaryRevision": "v2", "attempt": 1, "step": 1, "weight": 5},
    }


def test_the_same_effect_stays_owed_at_every_pass(asked):
    before = owed(asked)
    asked.advance(minutes=5)
    assert owed(asked) == before


def test_yes_goes_on_and_nothing_is_owed_any_longer(asked):
    answer(asked, "yes")
    assert asked.release.step == 2
    assert owed(asked) == ()
    assert "owed" not in status_to_raw(asked.release)
    asked.until(lambda: asked.traffic.canary == 50)


def test_no_rolls_back_with_the_gates_words(asked):
    answer(asked, "no", "3 tests failed")
    assert asked.traffic.canary == 0
    assert asked.release.is_rejected("v2")
    assert (asked.release.reason, asked.release.message) == ("WebhookRefused", "gate.qa says no: 3 tests failed")
    assert owed(asked) == ()


def test_wait_waits_and_says_why(asked):
    answer(asked, "wait", "tests run")
    assert (asked.release.phase, asked.release.reason) == ("Progressing", "AwaitingWebhook")
    assert asked.release.message == "step 2/3: gate.qa says wait: tests run"
    answer(asked, "yes")
    assert asked.release.step == 2


def test_a_gate_that_is_away_is_waited_for_and_never_blames_the_version(asked):
    fail(asked, "gate.qa answered 503")
    asked.advance(minutes=60)
    assert (asked.release.phase, asked.traffic.canary) == ("Waiting", 5)
    assert asked.release.message == "step 2/3: gate.qa answered 503; it is called again"
    answer(asked, "yes")
    assert asked.release.step == 2


def test_a_call_that_cannot_be_made_is_said(asked):
    (gate,) = owed(asked)
    asked.effects = {gate.effect.id: Refused("its payload is too large")}
    asked.settle()
    assert asked.release.phase == "Waiting"
    assert asked.release.message == "step 2/3: gate.qa cannot be called: its payload is too large"


def test_abort_needs_no_gate(asked):
    asked.ask("abort")
    assert asked.traffic.canary == 0
    assert owed(asked) == ()


def test_a_regression_needs_no_gate(asked):
    asked.regress("v2")
    asked.until(lambda: asked.release.is_rejected("v2"), minutes=5)
    assert asked.traffic.canary == 0
    assert owed(asked) == ()


def test_a_paused_rollout_asks_no_gate_and_asks_again_when_it_goes_on(asked):
    before = owed(asked)[0].effect
    asked.ask("pause")
    assert owed(asked) == ()
    asked.ask("resume")
    assert owed(asked)[0].effect == before


def test_a_person_may_skip_the_gate(asked):
    asked.ask("skip")
    assert asked.release.step == 2
    assert owed(asked) == ()


def test_another_url_is_another_question(asked):
    before = owed(asked)[0].effect
    asked.effects = {before.id: Answered({"result": "wait", "message": "old"})}
    asked.edit(steps=(weight(5), Webhook("http://other.qa"), STEPS[2]))
    (gate,) = owed(asked)
    assert gate.effect.id != before.id
    assert asked.release.message == "step 2/3: calling other.qa"


def test_each_attempt_asks_anew(asked):
    answer(asked, "no")
    asked.annotate("v2")
    asked.until(lambda: asked.release.step == 1)
    (gate,) = owed(asked)
    assert gate.effect.id.startswith("webhook.v2.2.1.")


def test_what_must_be_delivered_outlives_the_rollout_and_its_end(asked):
    """A notification, of a kind that no module has yet."""
    note = Owed(Effect("note.v2", "note", {"text": "v2 comes out"}, must_deliver=True), asked.cluster.now)
    raw = status_to_raw(asked.release)
    asked._keep({**raw, "owed": [*raw["owed"], *owed_to_raw([note])]})
    asked.ask("abort")
    asked.advance(minutes=5)
    assert owed(asked) == (note,)
    asked.effects = {"note.v2": Answered({})}
    asked.settle()
    assert owed(asked) == ()


# -- when it takes too long -------------------------------------------------------------------------------------------


def late(world, on_timeout):
    gate = Webhook("http://gate.qa", at_most=600, on_timeout=on_timeout)
    world.given(release([weight(5), gate, pause("1h")]).on("v2"))
    world.until(lambda: world.release.step == 1)
    answer(world, "wait", "tests run")
    world.advance(minutes=9)
    assert world.release.step == 1
    assert not world.release.rejected
    world.advance(minutes=2)
    return world


def test_at_most_rolls_back_where_that_is_asked_for(world):
    late(world, "rollback")
    assert world.release.reason == "WebhookTimeout"
    assert world.release.message == "no yes within 600 s; gate.qa says wait: tests run"
    assert world.traffic.canary == 0


def test_at_most_waits_for_a_person_and_still_for_the_gate(world):
    late(world, "wait")
    assert (world.release.phase, world.release.reason) == ("Paused", "AwaitingWebhook")
    answer(world, "yes")
    assert world.release.step == 2


def test_after_at_most_a_person_can_approve(world):
    late(world, "wait")
    name = world.ask("approve")
    assert world.cluster.answers[name].accepted
    assert world.release.step == 2


def test_before_at_most_there_is_nothing_to_approve(asked):
    name = asked.ask("approve")
    assert not asked.cluster.answers[name].accepted
    assert asked.release.step == 1


# -- what is written --------------------------------------------------------------------------------------------------


def parse(**fields):
    return read(Webhook, fields, Place("step.webhook"))


def test_defaults():
    assert parse(url="https://gate.qa") == Webhook("https://gate.qa", timeout=10, every=30)


def test_a_token_is_named_and_never_written():
    webhook = parse(url="https://gate.qa", tokenSecretRef={"name": "gate"})
    assert webhook.token_secret == SecretRef("gate", "token")


def test_a_signing_key_is_named_and_never_written():
    webhook = parse(
        url="https://gate.qa", tokenSecretRef={"name": "gate"}, signingSecretRef={"name": "gate", "key": "b"}
    )
    assert webhook.signing_secret == SecretRef("gate", "b")


def test_an_edit_of_the_signing_key_calls_again_under_the_same_id(asked):
    before = owed(asked)[0].effect
    asked.edit(steps=(weight(5), replace(GATE, signing_secret=SecretRef("gate", "signing")), STEPS[2]))
    (gate,) = owed(asked)
    assert gate.effect.id == before.id
    assert gate.effect.payload == {**before.payload, "signingSecretRef": {"name": "gate", "key": "signing"}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "step.webhook.url: is required"),
        (
            {"url": "http://gate.qa", "tokenSecretRef": {"name": "gate"}, "signingSecretRef": {"name": "gate"}},
            "step.webhook.signingSecretRef: is the same key as tokenSecretRef, which is sent along: name another key",
        ),
        ({"url": "gate.qa"}, "step.webhook.url: is not an http or https url"),
        ({"url": "http://me:secret@gate.qa"}, "step.webhook.url: holds credentials: use tokenSecretRef"),
        ({"url": "http://gate.qa/#a"}, "step.webhook.url: has a fragment"),
        ({"url": "http://gate.qa", "timeout": "61s"}, "step.webhook.timeout: is not between 100ms and 60s"),
        ({"url": "http://gate.qa", "every": "10ms"}, "step.webhook.every: is shorter than 1s"),
        ({"url": "http://gate.qa", "onTimeout": "proceed"}, "step.webhook.onTimeout: "),
        ({"url": "http://gate.qa", "retries": 3}, "step.webhook.retries: "),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_path(fields, said):
    with pytest.raises(SpecError) as error:
        parse(**fields)
    assert str(error.value).startswith(said)
    assert "secret@" not in str(error.value)
