"""`webhook`: a gate outside of the cluster's own signs says whether the rollout goes on.

The step only says what it wants asked; `effects/webhook.py` asks, and its docstring has the protocol. Only a `no`
rejects the version: a gate that does not answer, or answers nonsense, is waited for.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import urlsplit

from controller.api.effect import Effect
from controller.api.phase import Phase
from controller.api.reading import DURATION_SCHEMA, Reader, SpecError
from controller.api.reasons import Reason
from controller.api.urls import URL_SCHEMA, parse_http_url
from controller.rollout.effect import Answered, Refused, Retrying
from controller.rollout.step import Done, Fail, Outcome, StepView, Wait

KIND = "webhook"
_LEAST_TIMEOUT_S, _MOST_TIMEOUT_S = 0.1, 60.0
_LEAST_EVERY_S = 1.0
_TIMEOUT_S, _EVERY_S = 10.0, 30.0
_ON_TIMEOUT = ("wait", "rollback")
_MOST_NAME = 253

SCHEMA: dict[str, Any] = {
    "webhook": {
        "description": "Ask a gate by HTTP until it says yes (go on) or no (roll back). Analysis and rollbacks go on.",
        "type": "object",
        "required": ["url"],
        "x-kubernetes-validations": [
            {
                # CEL's durations know no days; parse() does
                "rule": "!self.timeout.contains('d') && duration(self.timeout) >= duration('100ms') "
                "&& duration(self.timeout) <= duration('60s')",
                "message": "timeout is not between 100ms and 60s",
            },
            {
                "rule": "self.every.contains('d') || duration(self.every) >= duration('1s')",
                "message": "every is shorter than 1s",
            },
        ],
        "properties": {
            "url": {
                **URL_SCHEMA,
                "description": "Gets a POST. Loopback, link-local and the API server are not called; "
                "redirects are not followed.",
            },
            "timeout": {
                **DURATION_SCHEMA,
                "description": "The longest one call may take: 100ms to 60s.",
                "default": "10s",
            },
            "every": {
                **DURATION_SCHEMA,
                "description": "When the gate says wait: how soon to ask again.",
                "default": "30s",
            },
            "atMost": {**DURATION_SCHEMA, "description": "With no yes by then, onTimeout decides. Default: no limit."},
            "onTimeout": {
                "description": "After atMost: wait (a person may approve, the gate is still asked) or rollback.",
                "type": "string",
                "enum": list(_ON_TIMEOUT),
                "default": "wait",
            },
            "tokenSecretRef": {
                "description": "Bearer token for the gate, in a Secret of the Release's namespace "
                "that the operator may read.",
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {
                        "type": "string",
                        "description": "Name of the Secret.",
                        "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
                        "minLength": 1,
                        "maxLength": _MOST_NAME,
                    },
                    "key": {
                        "type": "string",
                        "description": "Key in the Secret's data.",
                        "pattern": r"^[-._a-zA-Z0-9]+$",
                        "default": "token",
                        "minLength": 1,
                        "maxLength": _MOST_NAME,
                    },
                },
            },
        },
    },
}
EXAMPLE: dict[str, Any] = {
    "webhook": {
        "url": "http://gate.qa/check",
        "timeout": "10s",
        "every": "30s",
        "atMost": "1h",
        "onTimeout": "rollback",
    }
}


@dataclass(frozen=True)
class Webhook:
    url: str
    timeout: float = _TIMEOUT_S
    every: float = _EVERY_S
    at_most: float | None = None
    """Seconds; None: as long as it takes."""
    on_timeout: str = "wait"
    token_secret: tuple[str, str] | None = None
    """Name and key."""
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
                return self._wait(view, effect, f"{self.gate} is being asked", Phase.PROGRESSING)
            case Answered(value):
                return self._answered(view, effect, value)
            case Retrying():
                return self._wait(view, effect, f"{result.message}; it is asked again", Phase.WAITING)
            case Refused():
                return self._wait(view, effect, f"{self.gate} cannot be asked: {result.message}", Phase.WAITING)
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
        if self.token_secret is not None:
            name, key = self.token_secret
            payload["tokenSecretRef"] = {"name": name, "key": key}
        return Effect(f"webhook.{view.canary}.{view.attempt}.{view.step}.{question:08x}", KIND, payload)

    @classmethod
    def parse(cls, step: Reader) -> Webhook:
        webhook = step.child("webhook").only("url", "timeout", "every", "atMost", "onTimeout", "tokenSecretRef")
        timeout = webhook.seconds("timeout", _TIMEOUT_S)
        if not _LEAST_TIMEOUT_S <= timeout <= _MOST_TIMEOUT_S:
            raise SpecError(webhook.at("timeout"), f"{timeout:g} s is not between 100ms and 60s")
        every = webhook.seconds("every", _EVERY_S)
        if every < _LEAST_EVERY_S:
            raise SpecError(webhook.at("every"), f"{every:g} s is shorter than 1s")
        secret = webhook.child("tokenSecretRef").only("name", "key")
        return cls(
            parse_http_url(webhook.text("url"), webhook.at("url")),
            timeout=timeout,
            every=every,
            at_most=webhook.seconds("atMost") if webhook.has("atMost") else None,
            on_timeout=webhook.choice("onTimeout", _ON_TIMEOUT, "wait"),
            token_secret=(secret.text("name"), secret.text("key", "token")) if webhook.has("tokenSecretRef") else None,
        )


Config = Webhook
