"""`webhook`: a gate outside of the cluster's own signs says whether the rollout goes on.

The step only says what it wants asked; `effects/webhook.py` asks, and its docstring has the protocol. Only a `no`
rejects the version: a gate that does not answer, or answers nonsense, is waited for.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, assert_never
from urllib.parse import urlsplit

from controller.api.effect import Effect
from controller.api.fields import Absent, Rule, field, record
from controller.api.phase import Phase
from controller.api.reasons import Reason
from controller.api.secret import SecretRef
from controller.api.shapes import Duration, Record, Word
from controller.api.urls import HTTP_URL
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.step import Done, Fail, Outcome, StepView, Wait

KIND = "webhook"
EXAMPLE: dict[str, Any] = {
    "webhook": {
        "url": "http://gate.qa/check",
        "timeout": "10s",
        "every": "30s",
        "atMost": "1h",
        "onTimeout": "rollback",
    }
}
_SENT_ALONG = "is the same key as tokenSecretRef, which is sent along: name another key"


@record(
    "Call a gate over HTTP until it says yes (continue) or no (roll back). Analysis and rollbacks go on.",
    rules=[
        Rule(
            _SENT_ALONG,
            cel="!has(self.tokenSecretRef) || !has(self.signingSecretRef) || "
            "self.tokenSecretRef.name != self.signingSecretRef.name || "
            "self.tokenSecretRef.key != self.signingSecretRef.key",
            test=lambda step: step.signing_secret is None or step.signing_secret != step.token_secret,
            at="signingSecretRef",
        )
    ],
)
class Webhook:
    url: str = field(
        HTTP_URL, "Gets a POST. Loopback, link-local and the API server are not called; redirects are not followed."
    )
    timeout: float = field(Duration("100ms", "60s"), "The longest one call may take: 100ms to 60s.", default="10s")
    every: float = field(Duration("1s"), "Time until the next call when the gate says wait.", default="30s")
    at_most: float | None = field(
        Duration(), "If the gate has not said yes by then, onTimeout decides. Default: no limit.", default=Absent()
    )
    on_timeout: str = field(
        Word(("wait", "rollback")),
        "After atMost: wait (a person may approve, the gate is still asked) or rollback.",
        default="wait",
    )
    token_secret: SecretRef | None = field(
        Record(SecretRef),
        "Bearer token for the gate, in a Secret of the Release's namespace that the operator may read.",
        default=Absent(),
        key="tokenSecretRef",
    )
    signing_secret: SecretRef | None = field(
        Record(SecretRef),
        "The key that signs each call (Standard Webhooks), in a Secret of the Release's namespace that the operator "
        "may read. Default: no signature.",
        default=Absent(),
        key="signingSecretRef",
    )
    weight: None = None
    analyzes: bool = False

    @property
    def gate(self) -> str:
        """As messages name it: without the query, which may hold what is nobody's business."""
        return urlsplit(self.url).netloc

    def advance(self, view: StepView) -> Outcome:
        effect = self._effect(view)
        result = view.effects.get(effect.id)
        match result:
            case None:
                return self._wait(view, effect, f"calling {self.gate}", Phase.PROGRESSING)
            case Answered(value):
                return self._answered(view, effect, value)
            case Retrying():
                return self._wait(view, effect, f"{result.message}; it is called again", Phase.WAITING)
            case Refused():
                return self._wait(view, effect, f"{self.gate} cannot be called: {result.message}", Phase.WAITING)
            case _:
                assert_never(result)

    def _answered(self, view: StepView, effect: Effect, value: Mapping[str, Any]) -> Outcome:
        said = f": {value['message']}" if value.get("message") else ""
        match value["result"]:
            case "yes":
                return Done(f"{self.gate} says yes{said}")
            case "no":
                return Fail(Reason.WEBHOOK_REFUSED, f"{self.gate} says no{said}")
            case _:
                return self._wait(view, effect, f"{self.gate} says wait{said}", Phase.PROGRESSING)

    def _wait(self, view: StepView, effect: Effect, message: str, phase: Phase) -> Outcome:
        left = None if self.at_most is None else self.at_most - view.elapsed
        if left is None or left > 0:
            return Wait(Reason.AWAITING_WEBHOOK, message, again_in=left, phase=phase, effects=(effect,))
        late = f"no yes within {self.at_most:g} s; {message}"
        if self.on_timeout == "rollback":
            return Fail(Reason.WEBHOOK_TIMEOUT, late)
        if view.approved_by is not None:
            return Done(f"approved by {view.approved_by}, with {late}")
        return Wait(Reason.AWAITING_WEBHOOK, late, phase=Phase.PAUSED, approvable=True, effects=(effect,))

    def _effect(self, view: StepView) -> Effect:
        """Another url is another question: an answer of the gate before must not count for it."""
        question = zlib.crc32(self.url.encode())
        payload: dict[str, Any] = {
            "url": self.url,
            "timeoutSeconds": self.timeout,
            "everySeconds": self.every,
            "body": {
                "stableRevision": view.stable,
                "canaryRevision": view.canary,
                "attempt": view.attempt,
                "step": view.step,
                "weight": view.weight,
            },
        }
        for key, ref in (("tokenSecretRef", self.token_secret), ("signingSecretRef", self.signing_secret)):
            if ref is not None:
                payload[key] = {"name": ref.name, "key": ref.key}
        return Effect(f"webhook.{view.canary}.{view.attempt}.{view.step}.{question:08x}", KIND, payload)


Config = Webhook
