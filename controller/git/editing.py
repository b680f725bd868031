"""Edits a YAML text in as few places as possible until it says what it should, with text of an older version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from controller.git.documents import Meaning, by_key, entries, key_of, meaning
from controller.git.threads import check_wanted


class LayoutError(Exception):
    """The text is laid out in a way that cannot be edited in place."""


@dataclass
class Editor:
    """Edits the text of `now` until it says what it should, with text of `before`."""

    before: str
    now: str
    edits: list[tuple[int, int, str]] = field(default_factory=list)

    def result(self) -> str:
        text, at = self.now, 0
        # a file that was turned to other line ends since keeps them
        ends = "\r\n" if text.count("\r\n") == text.count("\n") else "\n"
        parts = list[str]()
        # those at one place in the order in which they were made
        for start, end, new in sorted(self.edits, key=lambda one: one[0]):
            parts += [text[at:start], new.replace("\r\n", "\n").replace("\n", ends)]
            at = max(at, end)
        return "".join([*parts, text[at:]])

    def edit(self, source: yaml.Node, node: yaml.Node, expected: Meaning) -> None:
        """Raises LayoutError."""
        check_wanted()
        if meaning(node) == expected:
            return
        made = len(self.edits)
        try:
            self._inside(source, node, expected)
        except LayoutError:
            del self.edits[made:]
            self._replace(source, node, expected)

    def _inside(self, source: yaml.Node, node: yaml.Node, expected: Meaning) -> None:
        if (
            isinstance(source, yaml.MappingNode)
            and isinstance(node, yaml.MappingNode)
            and isinstance(expected, Mapping)
        ):
            self._mapping(source, node, expected)
        elif (
            isinstance(source, yaml.SequenceNode)
            and isinstance(node, yaml.SequenceNode)
            and isinstance(expected, tuple)
        ):
            self._sequence(source, node, expected)
        else:
            raise LayoutError("nothing to go into")

    def _mapping(self, source: yaml.MappingNode, node: yaml.MappingNode, expected: Mapping[str, Meaning]) -> None:
        old, new = entries(source), entries(node)
        spans = {name: (key.start_mark.index, end_of(self.now, value)) for name, (key, value) in new.items()}
        sources = {name: (key.start_mark.index, end_of(self.before, value)) for name, (key, value) in old.items()}
        flow = bool(node.flow_style) or bool(source.flow_style)
        self._come_and_go(sources, spans, expected, flow=flow)
        for name, (_, value) in new.items():
            if name in expected and meaning(value) != expected[name]:
                if name not in old:
                    raise LayoutError("no text for it")
                key = old[name][0]
                try:
                    self.edit(old[name][1], value, expected[name])
                except LayoutError:
                    # the key goes along: what stands between it and the value differs
                    same_column(self.before, key.start_mark.index, self.now, spans[name][0])
                    if flow or meaning(old[name][1]) != expected[name]:
                        raise
                    text = self.before[slice(*whole_entry(self.before, *sources[name]))]
                    self.edits.append((*whole_entry(self.now, *spans[name]), text))

    def _sequence(self, source: yaml.SequenceNode, node: yaml.SequenceNode, expected: tuple[Meaning, ...]) -> None:
        said, had = meaning(node), meaning(source)
        key = key_of(had, said, expected) if isinstance(had, tuple) and isinstance(said, tuple) else None
        if key is None:
            if not len(source.value) == len(node.value) == len(expected):
                raise LayoutError("entries without names")
            for one, other, wanted in zip(source.value, node.value, expected, strict=True):
                self.edit(one, other, wanted)
            return
        old, new = _nodes_by(key, source), _nodes_by(key, node)
        wanted_by = by_key(key, expected)
        spans = {name: (_dash(self.now, item), end_of(self.now, item)) for name, item in new.items()}
        sources = {name: (_dash(self.before, item), end_of(self.before, item)) for name, item in old.items()}
        self._come_and_go(sources, spans, wanted_by, flow=bool(node.flow_style) or bool(source.flow_style))
        for name, item in new.items():
            if name in wanted_by and meaning(item) != wanted_by[name]:
                if name not in old:
                    raise LayoutError("no text for it")
                self.edit(old[name], item, wanted_by[name])

    def _come_and_go(
        self,
        sources: Mapping[str, tuple[int, int]],
        spans: Mapping[str, tuple[int, int]],
        expected: Mapping[str, Meaning],
        *,
        flow: bool,
    ) -> None:
        """Whole lines, of entries that are to go, or to come back."""
        gone = [name for name in spans if name not in expected]
        back = [name for name in expected if name not in spans]
        if not gone and not back:
            return
        if flow or len(gone) == len(spans):
            raise LayoutError("entries that do not have lines of their own")
        for name in gone:
            start, end = _lines(self.now, *spans[name])
            self.edits.append((start, end, ""))
        neighbour, first = next(iter(spans.values())), min(span[0] for span in spans.values())
        behind = None
        for name in expected:
            if name in spans:
                behind = name
                continue
            if name not in sources:
                raise LayoutError("no text for it")
            start, end = _lines(self.before, *sources[name])
            same_column(self.before, sources[name][0], self.now, neighbour[0])
            at = _lines(self.now, *spans[behind])[1] if behind is not None else _line_start(self.now, first)
            text = self.before[start:end]
            if at and self.now[at - 1] != "\n":
                text = "\n" + text.removesuffix("\n")
            elif not text.endswith("\n"):
                text += "\n"
            self.edits.append((at, at, text))

    def _replace(self, source: yaml.Node, node: yaml.Node, expected: Meaning) -> None:
        """The text of a whole node."""
        start, end = node.start_mark.index, end_of(self.now, node)
        begin, stop = source.start_mark.index, end_of(self.before, source)
        text = self.before[begin:stop]
        if meaning(source) != expected or start == end or begin == stop or _is_block(source) != _is_block(node):
            raise LayoutError("no text for it")
        if "\n" in text or "\n" in self.now[start:end]:
            same_column(self.before, begin, self.now, start)
        self.edits.append((start, end, text))


def _is_block(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return node.style in ("|", ">")
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def whole_entry(text: str, start: int, end: int) -> tuple[int, int]:
    """To the end of its last line, with the comment there."""
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    behind = text[end:stop].strip()
    if behind and not behind.startswith("#"):
        raise LayoutError("something else stands behind it")
    return start, stop


def _nodes_by(key: str, node: yaml.SequenceNode) -> dict[str, yaml.Node]:
    return {entries(item)[key][1].value: item for item in node.value}


def end_of(text: str, node: yaml.Node) -> int:
    """Of what the node says: PyYAML ends a block where the next one begins, behind comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(end_of(text, one) for one in last) if isinstance(last, tuple) else end_of(text, last)
    end: int = node.end_mark.index
    begin: int = node.start_mark.index
    return begin + len(text[begin:end].rstrip()) if isinstance(node, yaml.ScalarNode) else end


def _dash(text: str, node: yaml.Node) -> int:
    """Of a list's entry."""
    start: int = node.start_mark.index
    line = text[_line_start(text, start) : start]
    return start - (len(line) - line.rindex("-")) if "-" in line else start


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole lines of what stands there and has them for itself."""
    begin = _line_start(text, start)
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    behind = text[end:stop].strip()
    if text[begin:start].strip() or (behind and not behind.startswith("#")):
        raise LayoutError("it does not have its lines for itself")
    return begin, min(stop + 1, len(text))


def same_column(before: str, at: int, now: str, there: int) -> None:
    if at - _line_start(before, at) != there - _line_start(now, there):
        raise LayoutError("it is indented otherwise")
