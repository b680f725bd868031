"""Alerts of Grafana's own rules, as its Alertmanager lists them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from controller.api.fields import Place, parse
from controller.ports import BrokenMetricError, SourceOutageError
from controller.providers import grafana

LABELS = {"alertname": "Errors", "service": 'a "web"'}


def listed(state: str = "active", **changes: Any) -> dict[str, Any]:
    """As https://grafana.com/docs/grafana/latest/developers/http_api/ has it: Alertmanager's API v2."""
    return {
        "annotations": {"summary": "too many errors"},
        "endsAt": "2026-05-01T12:04:00.000Z",
        "fingerprint": "c6eadffa33fcdf37",
        "receivers": [{"name": "pointsman"}],
        "startsAt": "2026-05-01T12:00:00.000Z",
        "status": {"inhibitedBy": [], "silencedBy": [], "state": state},
        "updatedAt": "2026-05-01T12:00:05.000Z",
        "generatorURL": "https://grafana.example.com/alerting/1afz29v7z/edit",
        "labels": {**LABELS, "grafana_folder": "shop"},
        **changes,
    }


async def ask(status: int, body: Any, seen: list[httpx.Request] | None = None) -> list[str]:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Length": str(len(content))}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

    config = parse(grafana.Config, grafana.EXAMPLE, Place(""))
    provider = grafana.Grafana(config, "glsa_x", connections=httpx.MockTransport(answer))
    try:
        return [alert.name for alert in await provider.firing(LABELS)]
    finally:
        await provider.close()


async def test_only_what_fires_unsilenced_is_asked_for() -> None:
    seen: list[httpx.Request] = []
    assert await ask(200, [listed()], seen) == ["Errors"]
    url = seen[0].url
    assert url.path == "/api/alertmanager/grafana/api/v2/alerts"
    assert url.params["active"] == "true"
    assert (url.params["silenced"], url.params["inhibited"]) == ("false", "false")
    assert url.params.get_list("filter") == ['alertname="Errors"', 'service="a \\"web\\""']


@pytest.mark.parametrize(
    "one",
    [
        listed("suppressed"),
        listed("unprocessed"),
        listed(labels={"alertname": "Errors"}),
        listed(labels={**LABELS, "alertname": "DatasourceNoData"}),
    ],
)
async def test_what_does_not_fire_with_these_labels_is_left_out(one: dict[str, Any]) -> None:
    assert await ask(200, [one]) == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"message": "Invalid API key"}, SourceOutageError),
        (503, b"", SourceOutageError),
        (200, b"<html>", SourceOutageError),
        (200, {"data": []}, SourceOutageError),
        (200, [{"labels": {}}], SourceOutageError),
        (200, [listed(startsAt="now")], SourceOutageError),
        (200, [listed()] * 1001, BrokenMetricError),
        (200, b" " * (1024 * 1024 + 1), BrokenMetricError),
    ],
)
async def test_what_is_no_list_of_alerts_blames_nobody(status: int, body: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="Grafana at"):
        await ask(status, body)
