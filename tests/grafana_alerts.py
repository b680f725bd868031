"""Grafana's list of its own alerts: what it publishes of the Alertmanager that it has, `GET …/api/v2/alerts`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar

import jsonschema_rs
from aiohttp import web

from tests import grafana_schema

_LIST = jsonschema_rs.validator_for(grafana_schema.ALERTS, validate_formats=True)
_STATES = ("active", "silenced", "inhibited", "unprocessed")
_MATCHER = re.compile(r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<how>=~|!~|!=|=)(?P<value>"(?:[^"\\]|\\.)*")')
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda wanted, value: value == wanted,
    "!=": lambda wanted, value: value != wanted,
    "=~": lambda wanted, value: re.fullmatch(wanted, value) is not None,
    "!~": lambda wanted, value: re.fullmatch(wanted, value) is None,
}


@dataclass
class AlertList:
    """What fires. A rule that is pending has no alert here."""

    PATH: ClassVar = "/api/alertmanager/grafana/api/v2/alerts"

    listed: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def fire(self, labels: Mapping[str, str], since: datetime, *, silenced: bool = False) -> None:
        now = _text(datetime.now(UTC))
        self.listed.append(
            {
                "labels": {**labels, "grafana_folder": "tests"},
                "annotations": {"summary": "of the tests"},
                "receivers": [{"name": "grafana-default-email"}],
                "fingerprint": sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16],
                "startsAt": _text(since),
                "updatedAt": now,
                "endsAt": now,
                "status": {
                    "state": "suppressed" if silenced else "active",
                    "silencedBy": ["3b5a7f3c-5e0e-4f9e-9d4b-0c6c2f6f2d10"] if silenced else [],
                    "inhibitedBy": [],
                },
                "generatorURL": "http://127.0.0.1:3000/alerting/grafana/of-the-tests/view",
            }
        )

    def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        unknown = set(request.query) - {*_STATES, "filter", "receiver"}
        shown = {name: request.query.get(name, "true") for name in _STATES}
        matchers = [_MATCHER.fullmatch(text) for text in request.query.getall("filter", [])]
        if unknown or not {"true", "false"} >= set(shown.values()) or None in matchers:
            return web.json_response({"message": "bad matcher format or parameter"}, status=400)
        found = [
            one
            for one in self.listed
            if shown[_state_of(one)] == "true"
            and all(_matches(matcher, one["labels"]) for matcher in matchers if matcher)
        ]
        _LIST.validate(found)
        return web.json_response(found)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state_of(one: Mapping[str, Any]) -> str:
    """The parameter that leaves it out."""
    status = one["status"]
    if status["state"] == "suppressed":
        return "silenced" if status["silencedBy"] else "inhibited"
    return str(status["state"])


def _matches(matcher: re.Match[str], labels: Mapping[str, str]) -> bool:
    return _TESTS[matcher["how"]](json.loads(matcher["value"]), labels.get(matcher["name"], ""))
