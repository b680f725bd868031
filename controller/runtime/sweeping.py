"""Takes away ReleaseActions that are older than a week: answered, or about a Release that nobody made.

By the clock and a list, not by events: what was missed while nobody led is found the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api import times
from controller.api.resources import RELEASE_ACTIONS
from controller.kube.client import KubeClient

EVERY_S = 3600.0
_KEPT_S = 7 * 86400.0


async def sweep(kube: KubeClient, only: str | None, now: float) -> int:
    """In the namespace `only`, or in all. Returns how many went. Raises KubeError."""
    old = [item for item in await kube.list(RELEASE_ACTIONS, only) if _age(item, now) > _KEPT_S]
    for item in old:
        await kube.delete(RELEASE_ACTIONS, item["metadata"]["namespace"], item["metadata"]["name"])
    return len(old)


def _age(action: Mapping[str, Any], now: float) -> float:
    """Since the answer, or since it was asked where nobody has answered."""
    answered = action.get("status", {}).get("at")
    return now - times.from_text(answered or action["metadata"]["creationTimestamp"])
