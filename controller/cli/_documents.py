"""Reads manifests so that every value can be found again by its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Without dates: Kubernetes' YAML reads them as texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class UnreadableError(Exception):
    """No YAML, or no such file."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        super().__init__(f"{file}:{line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem


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
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace", ""))

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def line(self, path: str) -> int:
        """Where `path` stands, or the nearest thing around it that is there."""
        return _line(self.node, path)


def files_of(paths: list[str], suffixes: tuple[str, ...] = _SUFFIXES) -> list[str]:
    """Folders are searched for YAML and JSON, all the way down. Raises UnreadableError."""
    found = []
    for text in paths:
        path = Path(text)
        if text == STDIN or path.is_file():
            found.append(text)
        elif path.is_dir():
            found += [str(file) for file in sorted(path.rglob("*")) if file.suffix in suffixes and file.is_file()]
        else:
            raise UnreadableError(text, 1, "there is no such file or folder")
    return list(dict.fromkeys(found))


def documents(file: str, text: str) -> Iterator[Document]:
    """The objects of one file; a List is what is in it. Raises UnreadableError."""
    loader = _Loader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            _refuse_doubles(file, node)
            raw = loader.construct_document(node)
            if raw is not None:
                yield from _objects(file, raw, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(file, mark.line + 1 if mark else 1, f"is no YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableError(file, 1, f"is no YAML: {error}") from error
    finally:
        loader.dispose()


def _objects(file: str, raw: object, node: yaml.Node) -> Iterator[Document]:
    if not isinstance(raw, dict) or not isinstance(node, yaml.MappingNode):
        raise UnreadableError(file, node.start_mark.line + 1, "is no Kubernetes object: apiVersion, kind, metadata")
    if raw.get("kind") == "List" and isinstance(raw.get("items"), list):
        items = next(value for key, value in node.value if key.value == "items")
        for item, below in zip(raw["items"], items.value, strict=True):
            yield from _objects(file, item, below)
        return
    yield Document(file, raw, node)


def _refuse_doubles(file: str, node: yaml.Node) -> None:
    """PyYAML takes the last of two equal keys without a word; the API server refuses them."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_doubles(file, item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    raise UnreadableError(file, key.start_mark.line + 1, f"duplicate key {key.value!r}")
                seen.add(key.value)
            _refuse_doubles(file, value)


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
