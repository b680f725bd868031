"""Whom Releases notify that have no `spec.notify`: ConfigMap `pointsman-notify` of their namespace, key `notify`.

The text is YAML, as under `spec.notify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from controller.api.fields import Kinds, Place
from controller.api.notify import NOTIFY, Notify

NAME, KEY = "pointsman-notify", "notify"
_PLACE = f"data.{KEY}"
_MOST = 16_384


def parse_default(config_map: Mapping[str, Any], kinds: Kinds) -> tuple[Notify, ...]:
    """Raises SpecError."""
    place = Place(_PLACE, kinds)
    text = (config_map.get("data") or {}).get(KEY)
    if not isinstance(text, str):
        raise place.refuse("is required: a list, as under spec.notify")
    if len(text) > _MOST:
        raise place.refuse(f"{len(text)} characters, maximum is {_MOST}")
    try:
        # what stands for something else could stand for a thousand times as much
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            raise place.refuse("has an alias (*name), write its text out")
        raw = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise place.refuse(f"is not YAML: {' '.join(str(error).split())[:200]}") from error
    targets: tuple[Notify, ...] = NOTIFY.parse([] if raw is None else raw, place)
    return targets
