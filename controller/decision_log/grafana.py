"""Annotations in Grafana (`POST /api/annotations`) for what also becomes a Kubernetes event: steps, verdicts,
rollbacks, what people asked for. The shipped dashboards show them by their tags.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from controller.api.text import one_line
from controller.decision_log.entry import Entry, EventEntry
from controller.decision_log.places import Annotations
from controller.decision_log.posting import Posting

_JSON = "application/json"
_MOST_TEXT = 512
TAG = "pointsman"


class GrafanaSink:
    """A Sink. An annotation has no identity of ours: one whose answer was lost on its way may come twice."""

    name = "grafana"
    most = 1

    def __init__(self, annotations: Annotations) -> None:
        headers = {"Authorization": f"Bearer {annotations.token}", "Content-Type": _JSON, "Accept": _JSON}
        self._posting = Posting("Grafana", annotations.url, headers=headers)

    def encode(self, entry: Entry) -> Sequence[bytes]:
        if not isinstance(entry, EventEntry):
            return []
        key = entry.key
        tags = [TAG, f"namespace:{key.namespace}", f"release:{key.name}", f"reason:{entry.reason}"]
        if entry.warning:
            tags.append("warning")
        # Grafana shows the text as HTML
        text = html.escape(f"{key}: {one_line(entry.message, _MOST_TEXT)}", quote=False)
        return [json.dumps({"time": round(entry.at * 1000), "tags": tags, "text": text}).encode()]

    async def send(self, batch: Sequence[bytes]) -> None:
        """Raises SinkDownError, SinkRefusedError."""
        for body in batch:
            await self._posting.post("/api/annotations", body)

    async def close(self) -> None:
        await self._posting.close()
