"""What was changed between two commits in a set of files, in parts that are taken back one by one."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from controller.git.documents import Document, UnreadableError, by_key, documents, key_of, meaning
from controller.git.editing import LayoutError
from controller.git.manifests import KUSTOMIZATIONS, VERSIONED
from controller.git.undo import MovedOnError, Path, undo

Texts = Mapping[str, str]
_DATA = ("data", "binaryData")
_MOST_ENTRIES = 20
"""Of a ConfigMap, that are taken back one by one: each parses the file anew."""
MOST_UNITS = 100


@dataclass(frozen=True)
class Unit:
    """One change of the bad commits."""

    weight: int
    """How much goes with it: what is heavier is left out first where it is not needed."""
    apply: Callable[[dict[str, str]], None]
    """Takes it back in these files. Raises MovedOnError, LayoutError."""


def units(good: Texts, bad: Texts, now: Texts) -> list[Unit]:
    """The lightest last."""
    found = [*_in_same_files(good, bad), *_moved(good, bad, now)]
    return sorted(found, key=lambda one: -one.weight)


def _in_same_files(good: Texts, bad: Texts) -> Iterator[Unit]:
    for name, text in good.items():
        if name not in bad:
            yield Unit(3, _file_back(name, text, None))
        elif bad[name] != text:
            yield from _within(name, text, bad[name])


def _within(name: str, good: str, bad: str) -> Iterator[Unit]:
    before, after = _read(name, good), _read(name, bad)
    if before is None or after is None or len(before) != len(after):
        yield Unit(2, _file_back(name, good, bad))
        return
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        for weight, path, only in _changed(name, old, new):
            yield Unit(weight, _node_back(name, index, (old, new), path, only))


def _changed(name: str, old: Document, new: Document) -> Iterator[tuple[int, Path, str | None]]:
    """Weight and place of each change, with the entry of a list that it is about."""
    if new.word("kind") == "Release":
        for path in VERSIONED:
            yield 0, path, None
        return
    before, after = meaning(old.root), meaning(new.root)
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return
    is_list_of_named = posixpath.basename(name) in KUSTOMIZATIONS
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key), after.get(key)
        if one == other:
            continue
        if key in _DATA and isinstance(one, Mapping) and isinstance(other, Mapping):
            changed = [entry for entry in dict.fromkeys([*one, *other]) if one.get(entry) != other.get(entry)]
            if len(changed) > _MOST_ENTRIES:
                yield 2, (key,), None
            else:
                yield from ((1, (key, entry), None) for entry in changed)
        elif is_list_of_named and isinstance(other, tuple) and key_of(one if isinstance(one, tuple) else (), other):
            named = [by_key("name", items) if isinstance(items, tuple) else {} for items in (one, other)]
            for entry in dict.fromkeys([*named[0], *named[1]]):
                if named[0].get(entry) != named[1].get(entry):
                    yield 1, (key,), entry
        else:
            yield 1, (key,), None


def _moved(good: Texts, bad: Texts, now: Texts) -> Iterator[Unit]:
    """A Release whose file has another name since: it is edited where it is now."""
    gone = {name: text for name, text in good.items() if name not in bad}
    came = {name: text for name, text in bad.items() if name not in good}
    before, after = _releases(gone), _releases(came)
    for name in before.keys() & after.keys():
        (_, _, old), (file, index, new) = before[name], after[name]
        if file in now:
            for path in VERSIONED:
                yield Unit(0, _node_back(file, index, (old, new), path, None))


def _releases(files: Texts) -> dict[str, tuple[str, int, Document]]:
    """Those whose name is there once."""
    found = [
        (document.word("metadata", "name"), (file, index, document))
        for file, text in files.items()
        for index, document in enumerate(_read(file, text) or ())
        if document.word("kind") == "Release"
    ]
    count = Counter(name for name, _ in found)
    return {name: place for name, place in found if count[name] == 1}


def _read(name: str, text: str) -> list[Document] | None:
    """None: it is edited as a whole, or not at all."""
    if not name.endswith((".yaml", ".yml")) and posixpath.basename(name) not in KUSTOMIZATIONS:
        return None
    try:
        return documents(text) or None
    except UnreadableError:
        return None


def _file_back(name: str, good: str, bad: str | None) -> Callable[[dict[str, str]], None]:
    def apply(files: dict[str, str]) -> None:
        present = files.get(name)
        if present == bad:
            files[name] = good
        elif present != good:
            raise MovedOnError

    return apply


def _node_back(
    name: str, index: int, versions: tuple[Document, Document], path: Path, only: str | None
) -> Callable[[dict[str, str]], None]:
    def apply(files: dict[str, str]) -> None:
        found = _read(name, files.get(name, "")) or []
        if index >= len(found) or found[index].word("kind") != versions[1].word("kind"):
            raise MovedOnError
        files[name] = undo(*versions, found[index], [path], only=None if only is None else {only})

    return apply


def taken_back(now: Texts, wanted: list[Unit]) -> tuple[dict[str, str], list[Unit], list[str]]:
    """The files that differ then, the units that did something, and why the others could not."""
    files, done, problems = dict(now), [], []
    for unit in wanted:
        changed = dict(files)
        try:
            unit.apply(changed)
        except MovedOnError:
            problems.append("somebody has changed it again since")
        except LayoutError as error:
            problems.append(f"it cannot be edited in place ({error})")
        else:
            if changed != files:
                files = changed
                done.append(unit)
    return {name: text for name, text in files.items() if now.get(name) != text}, done, problems
