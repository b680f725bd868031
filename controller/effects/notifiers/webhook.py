"""`webhook`: a POST of JSON, signed as https://www.standardwebhooks.com says, so that libraries can verify it.

webhook-id: the same for every try; a receiver that knows it already has this notification
webhook-timestamp: seconds since the epoch, of this try
webhook-signature: v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from controller.api.fields import Absent, field, record
from controller.api.notice import Notification
from controller.api.secret import SecretRef
from controller.api.shapes import Record
from controller.api.urls import HTTP_URL
from controller.ports import NotifierContext

KIND = "webhook"
EXAMPLE: dict[str, Any] = {
    "url": "https://hooks.qa/pointsman",
    "signingSecretRef": {"name": "hooks", "key": "signing"},
}
_PREFIX = "whsec_"


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
    def __init__(self, url: str, secret: str | None, context: NotifierContext) -> None:
        self._url = url
        self._secret = secret
        self._context = context

    async def send(self, notification: Notification) -> None:
        body = json.dumps(
            {
                "id": notification.id,
                "namespace": notification.namespace,
                "release": notification.release,
                "title": notification.title,
                **notification.notice.to_raw(),
                "next": notification.next,
            }
        ).encode()
        timestamp = f"{self._context.clock():.0f}"
        headers = {"webhook-id": notification.id, "webhook-timestamp": timestamp}
        if self._secret is not None:
            signed = f"{notification.id}.{timestamp}.".encode() + body
            digest = hmac.digest(_key(self._secret), signed, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        await self._context.post(self._url, body, headers)


def _key(secret: str) -> bytes:
    """What follows `whsec_` is base64; any other secret is taken as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
