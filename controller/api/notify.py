"""`spec.notify`: whom a Release notifies, of what, and how.

notify:
- {name: team, topics: [RolledBack, AwaitingApproval], slack: {urlSecretRef: {name: slack-team}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.api.choice import chosen, with_modules
from controller.api.fields import RULES, Kinds, Place, Shape, refuse_unknown
from controller.api.notice import DEFAULT_TOPICS, LASTING, TOPICS
from controller.api.secret import SecretRef
from controller.api.shapes import LABEL, Duration, List, Text, Word, an_object

FOLDER = "notifiers"
MOST_TARGETS = 5
MOST_TITLE, MOST_TEXT = 200, 1000

_NAME = Text(63, 1, LABEL)
_TOPICS = List(Word(TOPICS), len(TOPICS), 1, kind="set")
# not `on`: to YAML 1.1, and so to kubectl, that is the boolean
_OWN: dict[str, tuple[str, Shape]] = {
    "name": ("How this target is called in events and records.", _NAME),
    # without a default in the schema: the operator of 0.1.0 refuses topics that it does not know
    "topics": (f"What to notify of. Default: {', '.join(DEFAULT_TOPICS)}.", _TOPICS),
    "after": (
        "Notify only of what has lasted for so long while nobody acted, and of its end. Default: at once.",
        Duration("1m", "24h"),
    ),
    "title": ("Jinja2, for one line, in place of the default title.", Text(MOST_TITLE, 1)),
    "text": ("Jinja2, in place of the default text and commands.", Text(MOST_TEXT, 1)),
}
TEXTS = ("title", "text")
_MOST_BYTES = 2560
"""Size of one target, which is stored in the status with each notification that is owed."""
_NOTHING_LASTS = f"names nothing that lasts, as pagerduty and after need it: one of {', '.join(LASTING)}"


class NotifierConfig(Protocol):
    """What a notifier declares: a `record`, with the secrets that it needs.

    With `alerts: ClassVar[bool] = True` it is notified only of what lasts, and of its end.
    A secret is one line of ASCII, but for those that `as_they_are: ClassVar[tuple[str, ...]]` names.
    """

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
    after: float = 0.0
    """Seconds that something has to last before this target is notified."""
    hears_ends: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    """Its templates, by what they are of: title, text."""


@dataclass(frozen=True)
class _NotifyEntry:
    """A name, what to notify of, and exactly one notifier."""

    def schema(self, kinds: Kinds) -> dict[str, Any]:
        properties = {key: {"description": text, **shape.schema(kinds)} for key, (text, shape) in _OWN.items()}
        alerts = [f"has(self.{kind})" for kind, config in kinds.of(FOLDER).items() if _alerts(config)]
        lasting = ", ".join(f"'{topic}'" for topic in LASTING)
        needs = " || ".join(["has(self.after)", *alerts])
        rule = f"!({needs}) || !has(self.topics) || self.topics.exists(one, one in [{lasting}])"
        own: dict[str, Any] = {"description": "One target.", "type": "object", "required": ["name"]}
        own["properties"] = properties
        own[RULES] = [{"rule": rule, "message": _NOTHING_LASTS, "fieldPath": ".topics"}]
        return with_modules(own, kinds.of(FOLDER), kinds)

    def parse(self, value: Any, place: Place) -> Notify:
        raw, modules = an_object(value, place), place.kinds.of(FOLDER)
        refuse_unknown(raw, [*_OWN, *modules], place)
        if raw.get("name") is None:
            raise place.at("name").refuse("is required")
        name = _NAME.parse(raw["name"], place.at("name"))
        wanted = _own(raw, "topics", place)
        topics, after = frozenset(DEFAULT_TOPICS if wanted is None else wanted), _own(raw, "after", place) or 0.0
        choice = chosen(raw, modules, place)
        hears_ends = after > 0 or _alerts(type(choice.config))
        if hears_ends:
            topics &= set(LASTING)
            if not topics:
                raise place.at("topics").refuse(_NOTHING_LASTS)
        texts = {key: _own(raw, key, place) for key in TEXTS if raw.get(key) is not None}
        size = len(json.dumps([raw[choice.kind], texts], ensure_ascii=False).encode(errors="replace"))
        if size > _MOST_BYTES:
            problem = f"{choice.kind} and texts take {size} bytes, maximum is {_MOST_BYTES}"
            raise place.refuse(f"{problem}: shorten the texts, or use a second target")
        return Notify(name, topics, choice.kind, dict(raw[choice.kind]), after, hears_ends, texts)


def _own(raw: Mapping[str, Any], key: str, place: Place) -> Any:
    return None if raw.get(key) is None else _OWN[key][1].parse(raw[key], place.at(key))


def _alerts(config: type[Any]) -> bool:
    return bool(getattr(config, "alerts", False))


NOTIFY = List(_NotifyEntry(), MOST_TARGETS, unique=("name",))
