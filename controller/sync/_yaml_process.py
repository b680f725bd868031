"""Runs alone in a process with little memory: reads files as JSON lines, answers each with its manifests as one.

A file is foreign. Merge keys double with each line, so no check before the parser is cheaper than the parser; what a
file takes beyond the bounds ends this process, and its parent goes on without that file.
"""

import json
import re
import resource
import sys
from typing import Any

import yaml

_MEMORY = 384 << 20
_CPU_S = 30
_MOST_NODES = 400_000
_MOST_DEPTH = 100
_MOST_CHARACTERS = 8 << 20
"""An alias repeats a text of megabytes with one character, and what is answered lies in the parent's memory."""
_MOST_ANSWER = 16 << 20
"""Bytes of JSON, in which a character may have twelve."""
_LISTS = 2
_MOST_KEYS = 20_000
_TOO_MUCH = "has more values, or deeper ones, than any manifest needs"
# they become paths of the API server
_VERSION = re.compile(r"([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?")
_NAME = re.compile(r"(?!\.{1,2}$)[^/%\s\x00-\x1f\x7f]{1,253}")


class _RefusedError(Exception):
    pass


class _Loader(yaml.CSafeLoader):
    """Dates are texts to Kubernetes."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            raise _RefusedError(_TOO_MUCH)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Copy:
    """With aliases written out, as JSON can have it."""

    def __init__(self) -> None:
        self.nodes = 0
        self._characters = 0

    def of(self, value: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > _MOST_NODES or depth > _MOST_DEPTH:
            raise _RefusedError(_TOO_MUCH)
        if isinstance(value, dict):
            return {self._counted(_key(key)): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, str):
            return self._counted(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 1 << 64:
            return value
        if isinstance(value, float) and value == value and abs(value) != float("inf"):  # noqa: PLR0124 - NaN
            return value
        raise _RefusedError("has a value that Kubernetes knows not, such as a set, bytes or infinity")

    def _counted(self, text: str) -> str:
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            raise _RefusedError(_TOO_MUCH)
        return text


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, str | int):
        return str(key)
    raise _RefusedError("has a key that is no text")


def _objects(document: Any, depth: int = 0) -> list[dict[str, Any]]:
    if document is None:
        return []
    if not isinstance(document, dict):
        raise _RefusedError("has a document that is no object")
    if "sops" in document:
        raise _RefusedError("is encrypted with SOPS, which Pointsman does not read")
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or not kind or not version:
        raise _RefusedError("has a document without apiVersion and kind")
    if kind.endswith("List") and isinstance(document.get("items"), list) and depth < _LISTS:
        return [one for item in document["items"] for one in _objects(item, depth + 1)]
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise _RefusedError(f"has a {kind} without metadata.name")
    for key in ("labels", "annotations"):
        found = metadata.get(key)
        if found is not None and not isinstance(found, dict):
            raise _RefusedError(f"has a {kind} whose {key} are no object")
    if not isinstance(metadata.get("namespace", ""), str | None):
        raise _RefusedError(f"has a {kind} whose namespace is no text")
    if not _VERSION.fullmatch(version) or not _KIND.fullmatch(kind):
        raise _RefusedError("has a document whose apiVersion or kind is none")
    if not _NAME.fullmatch(name) or not _NAMESPACE.fullmatch(metadata.get("namespace") or ""):
        raise _RefusedError(f"has a {kind} whose name or namespace is none")
    return [document]


def _read(text: str) -> dict[str, Any]:
    try:
        copy = _Copy()
        documents = [copy.of(one) for one in yaml.load_all(text, Loader=_Loader)]
        return {"objects": [one for document in documents for one in _objects(document)], "values": copy.nodes}
    except _RefusedError as error:
        return {"problem": str(error)}
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return {"problem": f"is not YAML{line}: {error.problem or 'cannot be read'}"}
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        return {"problem": f"is not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    for line in sys.stdin:
        try:
            answer = json.dumps(_read(json.loads(line)))
        except MemoryError:
            answer = json.dumps({"problem": "takes more memory than any manifest needs"})
        if len(answer) > _MOST_ANSWER:
            answer = json.dumps({"problem": _TOO_MUCH})
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
