"""`webhook`: a POST of JSON, with the headers of `effects/signing.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.api.fields import Absent, field, record
from controller.api.notice import Notification
from controller.api.secret import SecretRef
from controller.api.shapes import Record
from controller.api.urls import HTTP_URL
from controller.effects.signing import message_headers
from controller.ports import NotifierContext

KIND = "webhook"
EXAMPLE: dict[str, Any] = {
    "url": "https://hooks.qa/pointsman",
    "signingSecretRef": {"name": "hooks", "key": "signing"},
}


@record("POST the notification as JSON.")
class Config:
    url: str = field(
        HTTP_URL, "Gets a POST. Loopback, link-local and the API server are not called; redirects are not followed."
    )
    signing_secret: SecretRef | None = field(
        Record(SecretRef),
        "The key that signs each request (Standard Webhooks), in a Secret of the Release's namespace that the operator "
        "may read. Default: no signature.",
        default=Absent(),
        key="signingSecretRef",
    )

    def secrets(self) -> Mapping[str, SecretRef]:
        return {} if self.signing_secret is None else {"signing": self.signing_secret}


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> Webhook:
    return Webhook(config.url, secrets.get("signing"), context)


class Webhook:
    def __init__(self, url: str, key: str | None, context: NotifierContext) -> None:
        self._url = url
        self._key = key
        self._context = context

    async def send(self, notification: Notification) -> None:
        body = json.dumps(
            {
                "id": notification.id,
                "namespace": notification.namespace,
                "release": notification.release,
                "title": notification.title,
                **notification.notice.to_raw(),
                "next": notification.commands,
                **({"text": notification.wording.text} if notification.wording.text else {}),
            }
        ).encode()
        headers = message_headers(notification.id, body, self._key, self._context.clock())
        await self._context.post(self._url, body, headers)
