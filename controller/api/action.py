"""What a ReleaseAction asks for, and the rules between its fields, as the CRD has them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.reading import SpecError

NEED_REASON = ("abort", "promote")


@dataclass(frozen=True)
class ActionSpec:
    release: str
    revision: str
    action: str
    to: str
    reason: str


def parse_action(spec: Mapping[str, Any]) -> ActionSpec:
    """Raises SpecError. The schema has its own words for single fields."""
    texts = {name: str(spec.get(name) or "") for name in ("release", "revision", "action", "to", "reason")}
    parsed = ActionSpec(**texts)
    if parsed.action in NEED_REASON and not parsed.reason.strip():
        raise SpecError("spec.reason", "abort and promote need a reason")
    if parsed.to and parsed.action != "rollback":
        raise SpecError("spec.to", "only a rollback goes to a version")
    if parsed.to and parsed.to == parsed.revision:
        raise SpecError("spec.to", "is the version that is to be left")
    return parsed
