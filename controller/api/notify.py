"""`spec.notify`: whom a Release notifies, of what, and how.

notify:
- {name: team, topics: [RolledBack, AwaitingApproval], slack: {urlSecretRef: {name: slack-team}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from controller.api.choice import chosen, with_modules
from controller.api.fields import Kinds, Place, Shape, refuse_unknown
from controller.api.notice import TOPICS
from controller.api.secret import SecretRef
from controller.api.shapes import LABEL, List, Text, Word, an_object

FOLDER = "notifiers"
MOST_TARGETS = 5

_NAME = Text(63, 1, LABEL)
_TOPICS = List(Word(TOPICS), len(TOPICS), 1, kind="set")
# not `on`: to YAML 1.1, and so to kubectl, that is the boolean
_OWN: dict[str, tuple[str, Shape]] = {
    "name": ("How this target is called in events and records.", _NAME),
    "topics": ("What to notify of. Default: everything.", _TOPICS),
}


class NotifierConfig(Protocol):
    """What a notifier declares: a `record`, with the secrets that it needs."""

    def secrets(self) -> Mapping[str, SecretRef]:
        """By the names that the notifier knows them by. They are read in the Release's namespace."""
        ...


@dataclass(frozen=True)
class Notify:
    """One target."""

    name: str
    topics: frozenset[str]
    kind: str
    """The module of `effects/notifiers/`."""
    raw: Mapping[str, Any]
    """Its fields as they are written: without secrets, so they can stand in a status."""


@dataclass(frozen=True)
class _NotifyEntry:
    """A name, what to notify of, and exactly one notifier."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        properties = {key: {"description": text, **shape.schema(kinds)} for key, (text, shape) in _OWN.items()}
        properties["topics"]["default"] = list(TOPICS)
        own = {"description": "One target.", "type": "object", "required": ["name"], "properties": properties}
        return with_modules(own, kinds.of(FOLDER), kinds)

    def parse(self, value: Any, place: Place) -> Notify:
        raw, modules = an_object(value, place), place.kinds.of(FOLDER)
        refuse_unknown(raw, [*_OWN, *modules], place)
        if raw.get("name") is None:
            raise place.at("name").refuse("is required")
        name = _NAME.parse(raw["name"], place.at("name"))
        topics = TOPICS if raw.get("topics") is None else _TOPICS.parse(raw["topics"], place.at("topics"))
        kind = chosen(raw, modules, place).kind
        return Notify(name, frozenset(topics), kind, dict(raw[kind]))


NOTIFY = List(_NotifyEntry(), MOST_TARGETS, unique=("name",))
