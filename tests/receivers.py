"""Slack, Teams and PagerDuty on loopback, as strict as their published formats: what they would refuse is refused here.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ROUTING_KEY = "R0UT1NGKEYOFTHETEAM0000000000000"
SLACK, TEAMS, PAGERDUTY = "/services/T0/B0/sesame", "/workflows/sesame", "/v2/enqueue"
_MOST_SLACK_TEXT, _MOST_TEAMS_BYTES, _MOST_PAGERDUTY_BYTES = 40_000, 28_000, 512_000
_SLACK_KEYS = {"text", "blocks", "attachments", "unfurl_links", "unfurl_media", "thread_ts", "response_type"}
_RUN_KEYS = {"type", "text", "color", "fontType", "highlight", "isSubtle", "italic", "size", "strikethrough", "weight"}
_EVENT_KEYS = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "images", "links"}
_PAYLOAD_KEYS = {
    "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"
}  # fmt: skip


def _slack(raw: Any, size: int) -> None:
    del size
    assert isinstance(raw["text"], str), "text is a string"
    assert 0 < len(raw["text"]) <= _MOST_SLACK_TEXT, "the text's length"
    assert set(raw) <= _SLACK_KEYS, f"unknown: {set(raw) - _SLACK_KEYS}"


def _teams(raw: Any, size: int) -> None:
    assert size <= _MOST_TEAMS_BYTES, "too large"
    assert raw["type"] == "message", "type is message"
    (attachment,) = raw["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "only adaptive cards"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4"), "the card's version"
    for block in card["body"]:
        assert block["type"] == "RichTextBlock", "a TextBlock obeys markdown"
        for run in block["inlines"]:
            assert run["type"] == "TextRun", "text runs"
            assert isinstance(run["text"], str), "text is a string"
            assert set(run) <= _RUN_KEYS, f"unknown: {set(run) - _RUN_KEYS}"


@dataclass
class Receivers:
    url: str = ""
    got: list[tuple[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    alerts: dict[str, str] = field(default_factory=dict)
    """PagerDuty's, by key: triggered, acknowledged, resolved."""
    actions: list[tuple[str, str]] = field(default_factory=list)
    """PagerDuty's: action and key, in their order."""

    def bodies(self, path: str) -> list[Any]:
        return [body for at, body in self.got if at == path]

    def take(self, check: Callable[[Any, int], None], status: int) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            try:
                assert request.content_type == "application/json", "not JSON"
                content = await request.read()
                raw = await request.json()
                check(raw, len(content))
            except (AssertionError, KeyError, TypeError, ValueError) as error:
                self.refused.append(f"{request.path}: {error!r}")
                return web.json_response({"status": "invalid event", "errors": [repr(error)]}, status=400)
            self.got.append((request.path, raw))
            return web.json_response({"status": "success"}, status=status)

        return handle

    def pagerduty(self, raw: Any, size: int) -> None:
        assert size <= _MOST_PAGERDUTY_BYTES, "too large"
        assert raw["routing_key"] == ROUTING_KEY, "routing_key"
        assert set(raw) <= _EVENT_KEYS, f"unknown: {set(raw) - _EVENT_KEYS}"
        action, key = raw["event_action"], raw["dedup_key"]
        assert 0 < len(key) <= 255, "dedup_key"
        match action:
            case "trigger":
                payload = raw["payload"]
                assert set(payload) <= _PAYLOAD_KEYS, f"unknown: {set(payload) - _PAYLOAD_KEYS}"
                assert 0 < len(payload["summary"]) <= 1024, "summary"
                assert payload["source"], "source"
                assert payload["severity"] in ("critical", "error", "warning", "info"), "severity"
                dt.datetime.fromisoformat(payload["timestamp"])
                self.alerts[key] = "triggered"
            case "acknowledge" | "resolve":
                if key in self.alerts:
                    self.alerts[key] = "acknowledged" if action == "acknowledge" else "resolved"
            case _:
                raise AssertionError(f"event_action {action!r}")
        self.actions.append((action, key))


@contextlib.asynccontextmanager
async def receivers() -> AsyncIterator[Receivers]:
    found = Receivers()
    app = web.Application()
    app.router.add_post(SLACK, found.take(_slack, 200))
    app.router.add_post(TEAMS, found.take(_teams, 202))
    app.router.add_post(PAGERDUTY, found.take(found.pagerduty, 202))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
