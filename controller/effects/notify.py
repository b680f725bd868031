"""`notify`: delivers a notice by the module of `effects/notifiers/` that the Release names.

A 2xx is delivered; anything else, and no answer, is tried again with back-off. The body of an answer is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import httpx

from controller import registry
from controller.api.choice import Choice, OneOf
from controller.api.effect import Effect
from controller.api.fields import Absent, Place, field, parse, record
from controller.api.notice import Notice, Notification
from controller.api.reading import SpecError
from controller.api.shapes import Open, Record, Text
from controller.api.urls import parse_http_url
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    EffectRefusedError,
    Limits,
    Owner,
)
from controller.effects.mailing import mail
from controller.effects.posting import post
from controller.effects.secret_values import RULE, secret_text, secret_value
from controller.effects.wording import escapes_of, wording
from controller.outward.addresses import Addresses
from controller.ports import NotifierContext

KIND = "notify"
RULES = (RULE,)
LIMITS = Limits(at_once=64, per_namespace=8, timeout_s=15.0, first_retry_s=1.0, longest_retry_s=300.0)

EXAMPLE: dict[str, Any] = {
    "to": "team",
    "notifier": "webhook",
    "config": {"url": "http://hooks.qa/pointsman"},
    "notice": {
        "topic": "RolledBack",
        "reason": "Regressed",
        "message": "errors 26/812 vs 31/16240",
        "revision": "bbbbbbbbbb",
        "at": "2026-11-28T12:00:00Z",
    },
}


@record("A payload.")
class Config:
    to: str = field(Text(63), "The target's name.")
    notifier: str = field(Text(63), "The module.")
    config: Mapping[str, Any] = field(Open(), "Its fields.")
    notice: Notice = field(Record(Notice), "What happened.")
    texts: Mapping[str, str] | None = field(Open(), "Its templates.", default=Absent())


class Notify:
    def __init__(self, context: EffectContext) -> None:
        self._context = context
        self._for_notifiers = NotifierContext(
            partial(_post, context.addresses), partial(mail, context.addresses), context.clock
        )

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        payload, target = _read(effect)
        as_they_are = getattr(target.config, "as_they_are", ())
        secrets = {
            name: await (secret_text if name in as_they_are else secret_value)(self._context.kube, owner.namespace, ref)
            for name, ref in target.config.secrets().items()
        }
        module = registry.modules("notifiers")[target.kind]
        notification = Notification(effect.id, owner.namespace, owner.name, payload.notice)
        if payload.texts:
            worded = await wording(self._context.texts, notification, payload.texts, escapes_of(module))
            notification = replace(notification, wording=worded)
        await module.create(target.config, secrets, self._for_notifiers).send(notification)
        return CarriedOut({})


create = Notify
_is_carrier: type[Carrier] = Notify


def _read(effect: Effect) -> tuple[Config, Choice]:
    """Raises EffectRefusedError."""
    place = Place(effect.id, registry.kinds())
    try:
        payload = parse(Config, effect.payload, place)
        return payload, OneOf("notifiers").parse({payload.notifier: payload.config}, place)
    except SpecError as error:
        raise EffectRefusedError(str(error)) from error


async def _post(addresses: Addresses, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Raises EffectFailedError, KubeError. No sentence repeats the url: it may come from a Secret."""
    try:
        target = httpx.URL(parse_http_url(url, "url"))
    except (SpecError, httpx.InvalidURL):
        raise EffectFailedError("the url is not an http or https url such as http://hooks.qa/pointsman") from None
    await post(addresses, target, headers, body, reads=0)
