"""The configuration of the version that a spec asks for: what it is now, and whether a version can be made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.configuration import (
    LIVE,
    MOST_CONTENT,
    MOST_REFERENCES,
    Configuration,
    Content,
    KeptConfiguration,
    Reference,
    changed_keys,
    content_of,
    digest_of,
)
from controller.api.reasons import Reason
from controller.api.resources import CONFIG_MAPS
from controller.kube.cache import ObjectCache
from controller.kube.client import ConflictError
from controller.kube.config_maps import ConfigMaps, ConfigMapState
from controller.kube.objects import Key

_LIVE_INSTEAD = "annotate one with pointsman.dev/config: live, or set spec.configRefs: None"


@dataclass(frozen=True)
class FoundConfiguration:
    configuration: Configuration = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """ConfigMaps and keys without which no pod starts."""
    reason: Reason | None = None
    """Why no version can be made of it."""
    message: str = ""

    @property
    def counted(self) -> Mapping[str, str | None]:
        """With what is missing, for the name of a version that cannot be made."""
        return {**self.configuration, **dict.fromkeys(self.missing)}


async def find_configuration(
    config_maps: ConfigMaps, key: Key, references: tuple[Reference, ...]
) -> FoundConfiguration:
    """As it is now. Raises KubeError."""
    if len(references) > MOST_REFERENCES:
        config_maps.refer(key, ())
        message = f"spec.template names {len(references)} ConfigMaps, a version can have {MOST_REFERENCES}"
        return FoundConfiguration(reason=Reason.CONFIG_TOO_LARGE, message=f"{message}: {_LIVE_INSTEAD}")
    config_maps.refer(key, references)
    states = await asyncio.gather(*(config_maps.state(key, one) for one in references))
    found = dict(zip(references, states, strict=True))
    configuration = {one.name: LIVE if state.live else state.digest for one, state in found.items() if state}
    missing = tuple(what for one, state in found.items() for what in _missing(key, one, state))
    if missing:
        message = f"{' and '.join(missing[:3])}. No pod of spec.template starts without. Running versions keep copies"
        return FoundConfiguration(configuration, missing, Reason.CONFIG_MISSING, message)
    size = sum(state.size for state in states if state and not state.live)
    if size > MOST_CONTENT:
        names = ", ".join(one.name for one, state in found.items() if state and not state.live)
        message = f"ConfigMaps {names[:300]} have {size} bytes, a version can keep {MOST_CONTENT}"
        return FoundConfiguration(configuration, reason=Reason.CONFIG_TOO_LARGE, message=f"{message}: {_LIVE_INSTEAD}")
    return FoundConfiguration(configuration)


def _missing(key: Key, reference: Reference, state: ConfigMapState | None) -> list[str]:
    where = f"ConfigMap {key.namespace}/{reference.name}"
    if state is None:
        return [f"{where} does not exist"] if reference.needed else []
    if state.refused:
        return [f"{where} may not be read: {state.refused[:200]}"]
    return [f"{where} has no key {one}" for one in sorted(state.missing & reference.needed_keys)]


async def read_configuration(
    kube: ObjectCache, key: Key, references: tuple[Reference, ...], configuration: Configuration
) -> KeptConfiguration:
    """With its content: just the one that was decided on. Raises KubeError."""
    contents: dict[str, Content] = {}
    for one in references:
        if configuration.get(one.name, LIVE) != LIVE:
            found = await kube.find(CONFIG_MAPS, key.namespace, one.name)
            content = content_of(found or {}, one.keys)
            if found is None or digest_of(content) != configuration[one.name]:
                raise ConflictError(409, "Conflict", f"ConfigMap {key.namespace}/{one.name} has changed meanwhile")
            contents[one.name] = content
    return KeptConfiguration(configuration, contents)


def kept_configuration(item: Mapping[str, Any] | None) -> KeptConfiguration | None:
    """Of a ControllerRevision; None where its version has no configuration of its own. Raises ValueError."""
    raw = None if item is None else item["data"].get("configuration")
    return None if raw is None else KeptConfiguration.from_raw(raw)


def change_of(before: KeptConfiguration | None, after: KeptConfiguration) -> str:
    """What of the configuration differs, in words that name ConfigMaps and keys; empty where nothing does."""
    if before is None:
        names = ", ".join(sorted(after.configuration))
        return f"configuration: {names[:300]}, which was no part of the version before"
    if before.configuration == after.configuration:
        return ""
    turned = sorted(
        f"{name} {'live' if after.configuration[name] == LIVE else 'no longer live'}"
        for name in before.configuration.keys() & after.configuration.keys()
        if (before.configuration[name] == LIVE) != (after.configuration[name] == LIVE)
    )
    both = [
        {name: content for name, content in kept.contents.items() if f"{name} live" not in turned}
        for kept in (before, after)
    ]
    keys = changed_keys(both[0], {name: one for name, one in both[1].items() if f"{name} no longer live" not in turned})
    return f"configuration: {', '.join([*filter(None, [keys]), *turned])[:800]}"
