"""Takes back what one commit changed in a YAML document, and leaves what was changed since.

Three versions are compared node by node: before the commit, at it, and now. First it is found what the document has to
say (`_merged`), then the text is edited in as few places as possible (`editing.py`), with text from before. At last the
result is parsed and held against what it has to say, so a layout that is not understood is an error and no damage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import yaml

from controller.git.documents import Document, Meaning, UnreadableError, by_key, entries, key_of, meaning, nodes
from controller.git.editing import Editor, LayoutError, end_of, same_column, whole_entry
from controller.git.threads import check_wanted

Path = tuple[str, ...]


class MovedOnError(Exception):
    """What the commit changed was changed again since."""


def undo(
    before: Document, bad: Document, now: Document, paths: Sequence[Path], *, only: Collection[str] | None = None
) -> str:
    """The text of now's file without what `bad` changed at `paths`; the same text where nothing is left of that.

    `only`: entries of the lists at `paths`, by name; None: all. Raises MovedOnError, LayoutError.
    """
    expected = meaning(now.root)
    for path in paths:
        expected = _merged_at(path, meaning(before.root), meaning(bad.root), expected, only)
    if expected == meaning(now.root):
        return now.text
    try:
        editor = Editor(before.text, now.text)
        editor.edit(before.root, now.root, expected)
        return _checked(now, editor.result(), expected)
    except LayoutError:
        return _checked(now, _whole(before, bad, now, paths), expected)


def _whole(before: Document, bad: Document, now: Document, paths: Sequence[Path]) -> str:
    """`now`, with the text before the commit at each path where nobody has changed the text since."""
    editor = Editor(before.text, now.text)
    for path in paths:
        found = [(one.text[slice(*span)], span) for one in (before, bad, now) if (span := _span_at(one, path))]
        if len(found) == 3:  # noqa: PLR2004 - one of each
            (old, at), (brought, _), (present, span) = found
            if old != present:
                same_column(before.text, at[0], now.text, span[0])
                if brought != present:
                    raise LayoutError("it was laid out anew since")
                editor.edits.append((*span, old))
    return editor.result()


def _span_at(document: Document, path: Path) -> tuple[int, int] | None:
    parent, value = document.at(*path[:-1]), document.at(*path)
    if not isinstance(parent, yaml.MappingNode) or value is None:
        return None
    return whole_entry(document.text, entries(parent)[path[-1]][0].start_mark.index, end_of(document.text, value))


def _checked(now: Document, text: str, expected: Meaning) -> str:
    try:
        was, found = nodes(now.text), nodes(text)
    except UnreadableError as error:
        raise LayoutError(str(error)) from error
    wanted = [expected if one.start_mark.index == now.root.start_mark.index else meaning(one) for one in was]
    if [meaning(one) for one in found] != wanted:
        raise LayoutError("the edited text does not say what it should")
    return text


def _merged_at(path: Path, before: Meaning, bad: Meaning, now: Meaning, only: Collection[str] | None) -> Meaning:
    if not (isinstance(before, Mapping) and isinstance(bad, Mapping) and isinstance(now, Mapping)):
        if before == bad:
            return now
        raise MovedOnError
    key, rest = path[0], path[1:]
    b, x, n = before.get(key), bad.get(key), now.get(key)
    if b == x:
        return now
    if rest and b is not None and x is not None and n is not None:
        merged: Meaning | None = _merged_at(rest, b, x, n, only)
    else:
        merged = _merged(b, x, n, only)
    if merged is None:
        return {name: one for name, one in now.items() if name != key}
    return {
        name: merged if name == key else now[name]
        for name in (_ordered([*before], [*now]) if n is None else now)
        if name == key or name in now
    }


def _merged(
    before: Meaning | None, bad: Meaning | None, now: Meaning | None, only: Collection[str] | None = None
) -> Meaning | None:
    """What `now` is without the difference between `before` and `bad`; None: absent."""
    check_wanted()
    if before in (bad, now):
        return now
    if now == bad and only is None:
        return before
    if isinstance(before, Mapping) and isinstance(bad, Mapping) and isinstance(now, Mapping):
        return _merged_entries(before, bad, now)
    if isinstance(bad, tuple) and (only is not None or (isinstance(before, tuple) and isinstance(now, tuple))):
        old = before if isinstance(before, tuple) else ()
        present = now if isinstance(now, tuple) else ()
        key = key_of(old, bad, present)
        if key is not None:
            merged = _merged_entries(by_key(key, old), by_key(key, bad), by_key(key, present), only)
            return tuple(merged.values()) if merged or before is not None else None
    if isinstance(before, tuple) and isinstance(bad, tuple) and isinstance(now, tuple):
        return _merged_by_place(before, bad, now)
    raise MovedOnError


def _merged_by_place(before: tuple[Meaning, ...], bad: tuple[Meaning, ...], now: tuple[Meaning, ...]) -> Meaning:
    """Of lists whose entries have no names."""
    if not len(before) == len(bad) == len(now):
        raise MovedOnError
    return tuple(_present(_merged(*three)) for three in zip(before, bad, now, strict=True))


def _present(value: Meaning | None) -> Meaning:
    if value is None:
        raise MovedOnError
    return value


def _merged_entries(
    before: Mapping[str, Meaning],
    bad: Mapping[str, Meaning],
    now: Mapping[str, Meaning],
    only: Collection[str] | None = None,
) -> Mapping[str, Meaning]:
    """In the order of `now`; what comes back stands behind what it stood behind before."""
    merged = {}
    for key in _ordered(list(before), list(now)):
        changed = before.get(key) != bad.get(key) and (only is None or key in only)
        value = _merged(before.get(key), bad.get(key), now.get(key)) if changed else now.get(key)
        if value is not None:
            merged[key] = value
    return merged


def _ordered(before: Sequence[str], now: Sequence[str]) -> list[str]:
    there, behind = set(now), dict[str | None, list[str]]()
    last: str | None = None
    for key in before:
        if key in there:
            last = key
        else:
            behind.setdefault(last, []).append(key)
    return [*behind.get(None, ()), *(one for key in now for one in (key, *behind.get(key, ())))]
