"""Reads manifests so that every value can be found again by its line.

libyaml parses and bounds the nesting. Values are made here, counted, because an alias costs nothing to write: a file of
a kilobyte can stand for more values than there is memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from controller.cli._files import STDIN, UnreadableError, read_text

SUFFIXES = (".yaml", ".yml", ".json")
_TAG = "tag:yaml.org,2002:"
_NUMBERS = frozenset({f"{_TAG}int", f"{_TAG}float"})
_WORDS = frozenset({f"{_TAG}bool", f"{_TAG}null"})
_MERGE = f"{_TAG}merge"
_TAGS = _NUMBERS | _WORDS | {f"{_TAG}{name}" for name in ("str", "map", "seq", "value")}
_MOST_VALUES = 100_000
MOST_READ = 32 * 2**20
_MOST_MADE = 1_000_000
_MOST_KEPT = 400_000
"""Of all files together: bytes, which are a second per MiB, values, and values that stay, at some 500 bytes each."""
_DEEPEST = 100
_MOST_INTEGER = 2**63
_MOST_DIGITS = 100
_SHOWN = 40
_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[valid-type,misc]  # one of two, by what the machine has
    """Without dates, and with floats that need no point: as Kubernetes' YAML reads them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


@dataclass(frozen=True)
class Document:
    file: str
    raw: dict[str, Any]
    node: yaml.Node

    @property
    def kind(self) -> str:
        return str(self.raw.get("kind", ""))

    @property
    def api_version(self) -> str:
        return str(self.raw.get("apiVersion", ""))

    @property
    def metadata(self) -> dict[str, Any]:
        metadata = self.raw.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or "")

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace") or "")

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def line(self, path: str) -> int:
        """Where `path` stands, or the nearest thing around it that is there."""
        return _line(self.node, path)


class TooMuchError(Exception):
    """All files together hold more than can be checked in bounded time and memory."""


@dataclass
class Allowance:
    """What may still be read. Aliases stand for many values, so bytes alone bound neither time nor memory."""

    read: int = MOST_READ
    made: int = _MOST_MADE
    kept: int = _MOST_KEPT

    def take(self, *, read: int = 0, made: int = 0, kept: int = 0) -> None:
        """Raises TooMuchError."""
        self.read -= read
        self.made -= made
        self.kept -= kept
        if min(self.read, self.made, self.kept) < 0:
            raise TooMuchError(
                f"these files hold more than {MOST_READ >> 20} MiB of manifests, or {_MOST_KEPT} values to check: "
                "name fewer of them at a time"
            )


def read_documents(file: str) -> list[Document]:
    """Raises UnreadableError."""
    return list(documents("stdin" if file == STDIN else file, read_text(file)))


def documents_within(
    allowance: Allowance, file: str, text: str, keep: Callable[[Document], bool]
) -> tuple[list[Document], int]:
    """Those to keep, and how many others there are. Raises UnreadableError, TooMuchError."""
    allowance.take(read=len(text))
    kept, others, before = [], 0, 0
    values = _Counted()
    try:
        for document in documents(file, text, values):
            if keep(document):
                kept.append(document)
                allowance.take(kept=values.made - before)
            else:
                others += 1
            before = values.made
    finally:
        allowance.take(made=values.made)  # those of a file that is refused, too
    return kept, others


@dataclass
class _Counted:
    made: int = 0


def documents(file: str, text: str, counted: _Counted | None = None) -> Iterator[Document]:
    """The objects of one file; a List is what is in it. Raises UnreadableError."""
    try:
        _refuse_depth(file, text)
        loader = _Loader(text)
        try:
            values = _Values(file, loader, counted or _Counted())
            while loader.check_node() and (node := loader.get_node()) is not None:
                raw = values.of(node)
                if raw is not None:
                    yield from _objects(file, raw, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(file, mark.line + 1 if mark else 1, f"is not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(file, line, f"is not valid YAML: {error.reason}") from error
    except yaml.YAMLError as error:
        raise UnreadableError(file, 1, f"is not valid YAML: {error}") from error


def _refuse_depth(file: str, text: str) -> None:
    """Before nodes are made: libyaml's binding recurses on the C stack, and a million brackets end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise UnreadableError(file, line, f"is nested deeper than {_DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _objects(file: str, raw: object, node: yaml.Node) -> Iterator[Document]:
    if not isinstance(raw, dict) or not isinstance(node, yaml.MappingNode):
        raise UnreadableError(
            file, node.start_mark.line + 1, "is not a Kubernetes object: it needs apiVersion, kind and metadata"
        )
    if raw.get("kind") == "List" and isinstance(raw.get("items"), list):
        items = next(value for key, value in node.value if key.value == "items")
        for item, below in zip(raw["items"], items.value, strict=True):
            yield from _objects(file, item, below)
        return
    yield Document(file, raw, node)


class _Values:
    """Makes values of nodes, at most so many of one file, and none that JSON cannot carry."""

    def __init__(self, file: str, loader: Any, counted: _Counted) -> None:
        self._file = file
        self._loader = loader
        self._counted = counted

    def of(self, node: yaml.Node) -> Any:
        """Raises UnreadableError, yaml.YAMLError."""
        return self._of(node, "", 0)

    def _of(self, node: yaml.Node, path: str, depth: int) -> Any:
        self._counted.made += 1
        if self._counted.made > _MOST_VALUES:
            raise self._refuse(node, path, f"the file stands for more than {_MOST_VALUES} values: split it")
        if depth > _DEEPEST:
            raise self._refuse(node, f"{path[:_SHOWN]}…", f"is nested deeper than {_DEEPEST} levels")
        if node.tag not in _TAGS:
            raise self._refuse(node, path, f"is not valid YAML: the tag {node.tag.removeprefix(_TAG)} is not known")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._of(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refuse(key_node, path, "a key is a list or an object; it must be a string")
            if key_node.tag == _MERGE:
                found = self._of(value_node, path, depth + 1)
                for one in reversed(found if isinstance(found, list) else [found]):
                    if not isinstance(one, dict):
                        raise self._refuse(value_node, path, "<< takes an object, or a list of objects")
                    merged |= one
                continue
            if key_node.value in seen:
                raise self._refuse(key_node, "", f"duplicate key {key_node.value!r}")
            seen.add(key_node.value)
            key = self._scalar(key_node, path)
            own[key] = self._of(value_node, f"{path}.{key}" if path else str(key), depth + 1)
        return merged | own

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        if node.tag not in _NUMBERS:
            return self._loader.construct_object(node) if node.tag in _WORDS else node.value
        number: int | float = math.inf
        if len(node.value) <= _MOST_DIGITS:
            try:
                exponent = "e" in node.value.lower() and "x" not in node.value.lower()
                number = float(node.value.replace("_", "")) if exponent else self._loader.construct_object(node)
            except ValueError:  # `0b` and the like
                return node.value
        held = math.isfinite(number) and (type(number) is not int or -_MOST_INTEGER <= number < _MOST_INTEGER)
        if not held:
            raise self._refuse(node, path, f"{node.value[:_SHOWN]} is not a number that the API server can hold")
        return int(number) if float(number).is_integer() else number  # as it comes out of JSON

    def _refuse(self, node: yaml.Node, path: str, problem: str) -> UnreadableError:
        return UnreadableError(self._file, node.start_mark.line + 1, problem, path)


def _line(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line + 1
    while path:
        found = _entry(node, path)
        if found is None:
            break
        line, node, path = found
    return line


def _entry(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Line and node of the first part of `path`, and what is left of it. A key may hold dots: the longest one wins."""
    if isinstance(node, yaml.SequenceNode) and path.startswith("["):
        index, _, rest = path[1:].partition("]")
        if index.isdigit() and int(index) < len(node.value):
            item = node.value[int(index)]
            return item.start_mark.line + 1, item, rest.removeprefix(".")
    if isinstance(node, yaml.MappingNode):
        fitting = [
            (key, value)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode) and _starts(path, str(key.value))
        ]
        if fitting:
            key, value = max(fitting, key=lambda pair: len(pair[0].value))
            return key.start_mark.line + 1, value, path[len(key.value) :].removeprefix(".")
    return None


def _starts(path: str, key: str) -> bool:
    return path == key or path.startswith((f"{key}.", f"{key}["))
