"""Configuration as part of the version: the ConfigMaps that a template names, what of them counts, and their copies.

A ConfigMap's content is read by the pods of all versions, so a change of it reaches everybody at once and no rollback
takes it back. So each version names copies of its own, and the content is a part of its revision.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.names import CONFIG, CONFIG_LIVE

LIVE = "live"
"""In place of a digest: the ConfigMap is read as it is."""
MOST_REFERENCES = 50
"""ConfigMaps of one version: each costs a read, and a copy."""
MOST_CONTENT = 1 << 20
"""Bytes of one version's configuration, as JSON holds them: a ControllerRevision keeps it, and etcd takes 1.5 MiB."""
_LEVEL = 3
"""Of compression: a higher one takes seconds for some texts, in which the operator does nothing else."""
_MOST_UNPACKED = 7 * MOST_CONTENT
_CLUSTER_CAS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"})
"""Put into each namespace by the cluster. With a copy, pods would go on trusting a CA that was rotated away."""
_INJECTED = frozenset(
    {
        "config.openshift.io/inject-trusted-cabundle",
        "service.beta.openshift.io/inject-cabundle",
        "trust.cert-manager.io/bundle",
    }
)
"""Labels and annotations of ConfigMaps that others fill with CAs, for the same reason."""
_NAME_MOST = 253
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_SECTIONS = ("data", "binaryData")
_SHOWN = 5
"""Keys that a sentence names."""

Content = Mapping[str, Mapping[str, str]]
"""`data` and `binaryData` of a ConfigMap, as far as they count; a section without entries is left out."""
Configuration = Mapping[str, str]
"""Of a version: a digest, or LIVE, by the name of each ConfigMap that is there."""


@dataclass(frozen=True)
class Reference:
    """Everything that a template says of one ConfigMap."""

    name: str
    keys: frozenset[str] | None
    """Those that it reads; None: all of them."""
    needed_keys: frozenset[str] = frozenset()
    """Those without which no pod starts."""
    needed: bool = True
    """Without it no pod starts: some reference is not optional."""


def references(template: Mapping[str, Any]) -> tuple[Reference, ...]:
    """By name. What is no name of a ConfigMap is left to the API server; the cluster's CA is no configuration."""
    found: dict[str, list[_Use]] = {}
    for use in _uses(template):
        if _NAME.fullmatch(use.name) and len(use.name) <= _NAME_MOST and use.name not in _CLUSTER_CAS:
            found.setdefault(use.name, []).append(use)
    return tuple(_merged(name, found[name]) for name in sorted(found))


def rewritten(template: Mapping[str, Any], copies: Mapping[str, str]) -> dict[str, Any]:
    """The template with other ConfigMaps in place of those that `copies` names."""
    written = copy.deepcopy(dict(template))
    for use in _uses(written):
        if use.name in copies:
            use.at["name"] = copies[use.name]
    return written


def copy_name(release: str, revision: str, name: str) -> str:
    """Of a version's copy of the ConfigMap `name`; unique among those of the version."""
    whole = f"{release}-{revision}-{name}"
    if len(whole) <= _NAME_MOST:
        return whole
    tail = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{whole[: _NAME_MOST - len(tail) - 1].rstrip('-.')}-{tail}"


def is_live(config_map: Mapping[str, Any]) -> bool:
    """Whether its owner wants it to be read as it is, or it holds CAs that are rotated."""
    annotations, labels = (config_map["metadata"].get(one) or {} for one in ("annotations", "labels"))
    return annotations.get(CONFIG) == CONFIG_LIVE or not _INJECTED.isdisjoint((*annotations, *labels))


def content_of(config_map: Mapping[str, Any], keys: frozenset[str] | None) -> Content:
    counted = {
        section: {key: text for key, text in (config_map.get(section) or {}).items() if keys is None or key in keys}
        for section in _SECTIONS
    }
    return {section: entries for section, entries in counted.items() if entries}


def keys_in(content: Content) -> frozenset[str]:
    return frozenset(key for entries in content.values() for key in entries)


def size_of(content: Content) -> int:
    return sum(len(key) + len(text.encode()) for entries in content.values() for key, text in entries.items())


def digest_of(value: Any) -> str:
    """Of a content, or of a configuration."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class KeptConfiguration:
    """A version's configuration with its content, as its ControllerRevision keeps it."""

    configuration: Configuration
    contents: Mapping[str, Content] = field(default_factory=dict)
    """Of each ConfigMap that is not live."""

    def to_raw(self) -> dict[str, Any]:
        text = json.dumps(self.contents, sort_keys=True, separators=(",", ":"))
        packed = base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode()
        return {"digests": dict(self.configuration), "packed": packed}

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> KeptConfiguration:
        """Raises ValueError where it is not what was kept."""
        try:
            unpacked = zlib.decompressobj().decompress(base64.b64decode(raw["packed"]), _MOST_UNPACKED)
            contents: Mapping[str, Content] = json.loads(unpacked)
            digests = {name: digest_of(content) for name, content in contents.items()}
            kept = {name: digest for name, digest in raw["digests"].items() if digest != LIVE}
        except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
            raise ValueError(f"its configuration cannot be read: {error}") from error
        if digests != kept:
            raise ValueError("its configuration is not the one that was kept")
        return cls(dict(raw["digests"]), contents)


def changed_keys(before: Mapping[str, Content], after: Mapping[str, Content]) -> str:
    """Which keys of which ConfigMaps differ, and never how: `prompts/tone.yaml changed, prompts/old removed`."""
    old, new = (dict(_flat(contents)) for contents in (before, after))
    words = [
        f"{name}/{key} {_how((name, key), old, new)}"
        for name, key in sorted(old.keys() | new.keys())
        if old.get((name, key)) != new.get((name, key))
    ]
    more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
    return ", ".join([*words[:_SHOWN], *more])


def _flat(contents: Mapping[str, Content]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    for name, content in contents.items():
        for section, entries in content.items():
            for key, text in entries.items():
                yield (name, key), (section, text)


def _how(key: tuple[str, str], old: Mapping[Any, Any], new: Mapping[Any, Any]) -> str:
    if key not in old:
        return "added"
    return "changed" if key in new else "removed"


# -- where a template names ConfigMaps -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Use:
    at: dict[str, Any]
    """The object that has the name."""
    name: str
    keys: frozenset[str] | None
    optional: bool


def _merged(name: str, uses: Iterable[_Use]) -> Reference:
    keys: frozenset[str] | None = frozenset()
    needed, needed_keys = False, frozenset[str]()
    for use in uses:
        keys = None if keys is None or use.keys is None else keys | use.keys
        if not use.optional:
            needed, needed_keys = True, needed_keys | (use.keys or frozenset())
    return Reference(name, keys, needed_keys, needed)


def _uses(template: Mapping[str, Any]) -> Iterator[_Use]:
    """What is not shaped like a template is passed over: the API server says so."""
    spec = _object(template.get("spec"))
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in _objects(spec.get(kind)):
            for entry in _objects(container.get("env")):
                yield from _use(_object(entry.get("valueFrom")).get("configMapKeyRef"), _of_key)
            for entry in _objects(container.get("envFrom")):
                yield from _use(entry.get("configMapRef"), lambda _: None)
    for volume in _objects(spec.get("volumes")):
        yield from _use(volume.get("configMap"), _of_items)
        for source in _objects(_object(volume.get("projected")).get("sources")):
            yield from _use(source.get("configMap"), _of_items)


def _use(at: Any, keys: Callable[[dict[str, Any]], frozenset[str] | None]) -> Iterator[_Use]:
    if isinstance(at, dict) and isinstance(at.get("name"), str):
        yield _Use(at, at["name"], keys(at), at.get("optional") is True)


def _of_key(at: dict[str, Any]) -> frozenset[str]:
    return frozenset([str(at.get("key", ""))])


def _of_items(at: dict[str, Any]) -> frozenset[str] | None:
    items = _objects(at.get("items"))
    return frozenset(str(item.get("key", "")) for item in items) if items else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
