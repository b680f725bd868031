"""`teams`: a channel of Microsoft Teams, by a webhook of its Workflows app. Its URL is a secret, with a signature.

The card holds text runs, which Teams shows letter by letter: no markdown, no mention, no link comes of a message.
https://adaptivecards.io/explorer/RichTextBlock.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.api.fields import record
from controller.api.notice import Notification
from controller.effects.notifiers._secret_url import SecretUrl
from controller.ports import NotifierContext

KIND = "teams"
EXAMPLE: dict[str, Any] = {"urlSecretRef": {"name": "teams-channel", "key": "url"}}


@record("Post a card to a channel of Microsoft Teams, by a webhook of its Workflows app.")
class Config(SecretUrl):
    """Nothing but that URL."""


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> Teams:
    del config
    return Teams(secrets["url"], context)


class Teams:
    def __init__(self, url: str, context: NotifierContext) -> None:
        self._url = url
        self._context = context

    async def send(self, notification: Notification) -> None:
        blocks = [_block(notification.title, weight="Bolder", size="Medium")]
        blocks += [_block(line) for line in notification.lines]
        blocks += [_block(line, fontType="Monospace") for line in notification.next]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": notification.title,
            "body": blocks,
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        body = json.dumps({"type": "message", "attachments": [attachment]}).encode()
        await self._context.post(self._url, body, {"Idempotency-Key": notification.id})


def _block(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **looks}]}
