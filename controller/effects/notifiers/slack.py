"""`slack`: an incoming webhook of Slack. Its URL is a secret: who has it can write to the channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.api.fields import field, record
from controller.api.notice import Notification
from controller.api.secret import SecretRef
from controller.api.shapes import Record
from controller.ports import NotifierContext

KIND = "slack"
EXAMPLE: dict[str, Any] = {"urlSecretRef": {"name": "slack-team", "key": "url"}}


@record("Post to a Slack channel by an incoming webhook.")
class Config:
    url_secret: SecretRef = field(
        Record(SecretRef),
        "The webhook's URL, in a Secret of the Release's namespace that the operator may read.",
        key="urlSecretRef",
    )

    def secrets(self) -> Mapping[str, SecretRef]:
        return {"url": self.url_secret}


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> Slack:
    del config
    return Slack(secrets["url"], context)


class Slack:
    def __init__(self, url: str, context: NotifierContext) -> None:
        self._url = url
        self._context = context

    async def send(self, notification: Notification) -> None:
        notice = notification.notice
        lines = [f"*{_text(notification.title)}*", _text(notice.message)]
        if notice.evidence and notice.evidence not in notice.message:
            lines.append(_text(notice.evidence))
        lines += [f"• `{_text(command)}`" for command in notification.next]
        body = json.dumps({"text": "\n".join(lines)}).encode()
        # Slack does not tell repeated messages apart; whoever reads its traffic can
        await self._context.post(self._url, body, {"Idempotency-Key": notification.id})


def _text(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text: text in < > can mention people."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")
