"""`slack`: an incoming webhook of Slack. Its URL is a secret: who has it can write to the channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.api.fields import record
from controller.api.notice import Notification
from controller.effects.notifiers._secret_url import SecretUrl
from controller.ports import NotifierContext

KIND = "slack"
EXAMPLE: dict[str, Any] = {"urlSecretRef": {"name": "slack-team", "key": "url"}}
ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'"))
"""https://docs.slack.dev/messaging/formatting-message-text: text in < > can mention people."""


@record("Post to a Slack channel by an incoming webhook.")
class Config(SecretUrl):
    """Nothing but that URL."""


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> Slack:
    del config
    return Slack(secrets["url"], context)


class Slack:
    def __init__(self, url: str, context: NotifierContext) -> None:
        self._url = url
        self._context = context

    async def send(self, notification: Notification) -> None:
        own = notification.wording
        lines = [f"*{own.title or _text(notification.title)}*"]
        lines += notification.lines if own.text else map(_text, notification.lines)
        lines += [f"• `{_text(command)}`" for command in notification.next]
        # Slack fetches no page that a message names
        text = {"text": "\n".join(lines), "unfurl_links": False, "unfurl_media": False}
        body = json.dumps(text).encode()
        # Slack does not tell repeated messages apart; whoever reads its traffic can
        await self._context.post(self._url, body, {"Idempotency-Key": notification.id})


def _text(text: str) -> str:
    for special, escape in ESCAPES:
        text = text.replace(special, escape)
    return text
