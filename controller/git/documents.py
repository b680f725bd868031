"""YAML documents with the place of each node in its file, so that an edit leaves every other byte as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from controller.git.threads import check_wanted

MOST_TEXT = 256 * 1024
"""Characters of a file that is parsed: PyYAML takes seconds for more."""
_MOST_DEPTH = 100
_KEYS = ("name", "containerPort", "port", "mountPath", "topologyKey")
"""By which entries of lists are told apart, the first that all of them have."""


class UnreadableError(Exception):
    """Not YAML, or more of it than Pointsman reads."""


@dataclass(frozen=True)
class Document:
    """One of a file's documents, a mapping."""

    text: str
    """Of the whole file: the marks of `root` count in it."""
    root: yaml.MappingNode

    def at(self, *path: str) -> yaml.Node | None:
        node: yaml.Node | None = self.root
        for key in path:
            node = entries(node)[key][1] if isinstance(node, yaml.MappingNode) and key in entries(node) else None
        return node

    def word(self, *path: str) -> str:
        node = self.at(*path)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    def value(self, *path: str) -> Any:
        node = self.at(*path)
        return None if node is None else _plain(node)


Entry = tuple[yaml.ScalarNode, yaml.Node]


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Aliases are refused: what they repeat has no place of its own, and they grow without bound."""
        check_wanted()
        if self.check_event(yaml.AliasEvent):
            raise UnreadableError("has a YAML alias")
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise UnreadableError("is nested too deeply")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


# dates are texts to Kubernetes
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> list[Document]:
    """Those that are mappings. Raises UnreadableError."""
    return [Document(text, node) for node in nodes(text) if isinstance(node, yaml.MappingNode)]


def nodes(text: str) -> list[yaml.Node]:
    """Raises UnreadableError."""
    if len(text) > MOST_TEXT:
        raise UnreadableError(f"is longer than {MOST_TEXT} characters")
    try:
        loader = _Loader(text)
        found = []
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                _refuse_duplicates(node)
                found.append(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableError("is not YAML") from error
    return found


def _refuse_duplicates(node: yaml.Node) -> None:
    for child in children(node):
        _refuse_duplicates(child)
    if isinstance(node, yaml.MappingNode) and len(entries(node)) != len(node.value):
        raise UnreadableError("has a key twice, or one that is no text")


def entries(node: yaml.MappingNode) -> dict[str, Entry]:
    return {str(key.value): (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [value for _, value in node.value]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _plain(node: yaml.Node) -> Any:
    """As the API server gets it. Raises UnreadableError."""
    if isinstance(node, yaml.MappingNode):
        return {name: _plain(value) for name, (_, value) in entries(node).items()}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UnreadableError("has a value that cannot be read") from error


@dataclass(frozen=True)
class Scalar:
    tag: str
    value: str


Meaning = Scalar | Mapping[str, "Meaning"] | tuple["Meaning", ...]
"""What a node says, without its layout."""


def meaning(node: yaml.Node) -> Meaning:
    if isinstance(node, yaml.MappingNode):
        return {name: meaning(value) for name, (_, value) in entries(node).items()}
    if isinstance(node, yaml.SequenceNode):
        return tuple(meaning(item) for item in node.value)
    return Scalar(node.tag, str(node.value))


def key_of(*lists: tuple[Meaning, ...]) -> str | None:
    return next((key for key in _KEYS if all(_is_key(key, one) for one in lists)), None)


def _is_key(key: str, items: tuple[Meaning, ...]) -> bool:
    found = [item.get(key) if isinstance(item, Mapping) else None for item in items]
    names = {one.value for one in found if isinstance(one, Scalar)}
    return len(names) == len(items)


def by_key(key: str, items: tuple[Meaning, ...]) -> dict[str, Meaning]:
    found = {}
    for item in items:
        name = item.get(key) if isinstance(item, Mapping) else None
        if isinstance(name, Scalar):
            found[name.value] = item
    return found
