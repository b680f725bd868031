"""`pagerduty`: PagerDuty's Events API v2. What lasts is one alert: triggered, acknowledged and resolved by its key.

https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from controller.api.fields import field, record
from controller.api.notice import Notification, State, Topic
from controller.api.secret import SecretRef
from controller.api.shapes import Record
from controller.api.urls import HTTP_URL
from controller.ports import NotifierContext

KIND = "pagerduty"
_URL = "https://events.pagerduty.com/v2/enqueue"
EXAMPLE: dict[str, Any] = {"url": _URL, "routingKeySecretRef": {"name": "pagerduty", "key": "routing-key"}}

_ACTIONS = {State.OPEN: "trigger", State.ACKNOWLEDGED: "acknowledge", State.RESOLVED: "resolve"}
_MOST_SUMMARY = 1024
_WARNINGS = {Topic.AWAITING_APPROVAL, Topic.SOURCE_OUTAGE, Topic.WAITING, Topic.SUSPICIOUS}


@record("Alert the people on call by PagerDuty's Events API v2.")
class Config:
    alerts: ClassVar[bool] = True
    routing_key: SecretRef = field(
        Record(SecretRef),
        "The integration's routing key, in a Secret of the Release's namespace that the operator may read.",
        key="routingKeySecretRef",
    )
    url: str = field(HTTP_URL, "Gets the events. In the EU: https://events.eu.pagerduty.com/v2/enqueue.", default=_URL)

    def secrets(self) -> Mapping[str, SecretRef]:
        return {"routing-key": self.routing_key}


def create(config: Config, secrets: Mapping[str, str], context: NotifierContext) -> PagerDuty:
    return PagerDuty(config.url, secrets["routing-key"], context)


class PagerDuty:
    def __init__(self, url: str, routing_key: str, context: NotifierContext) -> None:
        self._url = url
        self._routing_key = routing_key
        self._context = context

    async def send(self, notification: Notification) -> None:
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": _ACTIONS[notification.notice.state],
            "dedup_key": _key(notification),
        }
        if notification.notice.state is State.OPEN:
            event |= {"client": "Pointsman", "payload": _payload(notification)}
        await self._context.post(self._url, json.dumps(event).encode(), {"Idempotency-Key": notification.id})


def _key(notification: Notification) -> str:
    """At most 255 characters; names alone can be longer than that."""
    what = f"{notification.namespace}/{notification.release}/{notification.notice.incident or notification.id}"
    return f"pointsman-{hashlib.sha256(what.encode()).hexdigest()}"


def _payload(notification: Notification) -> dict[str, Any]:
    notice = notification.notice
    return {
        "summary": notification.title[:_MOST_SUMMARY],
        "source": f"{notification.namespace}/{notification.release}",
        "severity": "warning" if notice.topic in _WARNINGS else "error",
        "timestamp": notice.at,
        "component": notification.release,
        "group": notification.namespace,
        "class": notice.reason,
        "custom_details": {
            "what": "\n".join(notification.lines),
            "revision": notice.revision,
            "stable": notice.stable,
            "next": list(notification.commands),
        },
    }
