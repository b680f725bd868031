"""The attributes of a dead letter: those of its producer, and the story of its end.

SQS takes ten attributes a message. Where the story does not fit beside the producer's, or has a name that the
producer used, as many of the producer's as necessary travel in one attribute, and are unpacked when the message is
sent again.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

PACKED = "producer_attributes"
_MOST = 10
_STORY = frozenset({"job_id", "attempts", "last_error", "version"})
_IDENTIFYING = frozenset({"job_id", "attempts"})
_UNSENDABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS refuses."""


def as_sent(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Text attributes as boto3 takes them. SQS refuses empty ones."""
    return {
        name: {"DataType": "String", "StringValue": _UNSENDABLE.sub("\ufffd", value)}
        for name, value in attributes.items()
        if value
    }


def with_story(producers: Mapping[str, Any], story: Mapping[str, str]) -> dict[str, Any]:
    """At most ten attributes, from which `without_story` finds the producer's."""
    told = as_sent(story)
    packed = {name: value for name, value in producers.items() if name in told or name == PACKED}
    kept = {name: value for name, value in producers.items() if name not in packed}
    # `traceparent` is read by name, so it is packed last.
    for name in sorted(kept, key=lambda name: (name == "traceparent", name)):
        if len(kept) + len(told) + bool(packed) <= _MOST:
            break
        packed[name] = kept.pop(name)
    if packed:
        told |= as_sent({PACKED: json.dumps({name: _text(value) for name, value in packed.items()})})
    return {**kept, **told}


def without_story(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The producer's. A message that the redrive policy moved has no story, and keeps all."""
    if not attributes.keys() >= _IDENTIFYING:
        return dict(attributes)
    kept = {name: value for name, value in attributes.items() if name not in _STORY and name != PACKED}
    packed = json.loads(attributes[PACKED]["StringValue"]) if PACKED in attributes else {}
    return {**kept, **{name: _value(each) for name, each in packed.items()}}


def _text(value: Mapping[str, Any]) -> dict[str, str]:
    if "BinaryValue" in value:
        return {"type": value["DataType"], "base64": base64.b64encode(value["BinaryValue"]).decode()}
    return {"type": value["DataType"], "text": value["StringValue"]}


def _value(each: Mapping[str, str]) -> dict[str, Any]:
    if "base64" in each:
        return {"DataType": each["type"], "BinaryValue": base64.b64decode(each["base64"])}
    return {"DataType": each["type"], "StringValue": each["text"]}
