"""One query for several releases.

A template marks what is about its release alone: `{% filter either %}`, a condition, and `{% filter alternatives %}`, a
part of a regular expression. Each release's query is rendered by itself, with its own values as literals. Where the
text around the marks is the same to the letter, so are template, parameters and source, and the marked parts of all can
stand in one query. Its rows go back by their revision, which is of one release alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.ports import BrokenMetricError, NoData, Query, Row, Samples

_END = "@@pointsman.end@@"
_JOINED = {"either": ("((", ") or (", "))"), "alternatives": ("(", "|", ")")}
"""What stands before, between and after the releases' parts; also where there is one."""
MARKS: Mapping[str, tuple[str, str]] = {name: (f"@@pointsman.{name}@@", _END) for name in _JOINED}
"""By the filter's name, what it puts around its text: no parameter may hold that."""
_PART = re.compile(f"@@pointsman[.]({'|'.join(_JOINED)})@@(.*?){re.escape(_END)}", re.DOTALL)
_MARK = re.compile(f"@@pointsman[.](?:{'|'.join(_JOINED)}|end)@@")

Answer = Samples | NoData


class MarkError(ValueError):
    """Marks that do not fit together."""


@dataclass(frozen=True)
class JoinableQuery(Query):
    """`text` is the query of this release alone."""

    around: tuple[str, ...]
    """The text in which the parts stand, with the kind of each: the same for all that can be asked together."""
    parts: tuple[str, ...]
    revisions: tuple[str, ...] = ()
    """Whose rows it returns."""


def parted(language: str, text: str) -> Query:
    """The query of a text with marks. Raises MarkError."""
    pieces = _PART.split(text)  # text, kind, part, text, kind, part, …, text
    around, parts = tuple(piece for at, piece in enumerate(pieces) if at % 3 != 2), tuple(pieces[2::3])  # noqa: PLR2004
    if any(_MARK.search(piece) for piece in pieces):
        raise MarkError(f"{' and '.join(_JOINED)} cannot stand inside one another")
    if not parts:
        return Query(language, text)
    return JoinableQuery(language, _written(around, [parts]), around, parts)


def joint(queries: Sequence[JoinableQuery]) -> Query:
    """One for all of them; `around` is the same for each."""
    first = queries[0]
    return Query(first.language, _written(first.around, [query.parts for query in queries]))


def _written(around: Sequence[str], releases: Sequence[Sequence[str]]) -> str:
    texts, kinds = around[::2], around[1::2]
    written = [texts[0]]
    for kind, parts, text in zip(kinds, zip(*releases, strict=True), texts[1:], strict=True):
        before, between, after = _JOINED[kind]
        written += [before, between.join(parts), after, text]
    return "".join(written)


def shared_out(answer: Answer, queries: Sequence[JoinableQuery]) -> dict[tuple[str, ...], Answer]:
    """By the revisions of each query what it would have been answered by itself.

    Raises BrokenMetricError for a row that is nobody's: then nothing of the answer can be trusted.
    """
    asking = {revision: query.revisions for query in queries for revision in query.revisions if revision}
    rows: dict[tuple[str, ...], list[Row]] = {query.revisions: [] for query in queries}
    for row in answer.rows if isinstance(answer, Samples) else ():
        if row.revision not in asking:
            raise BrokenMetricError(f"a query for {len(queries)} releases returned revision {row.revision!r} of none")
        rows[asking[row.revision]].append(row)
    return {revisions: Samples(tuple(own)) if own else NoData() for revisions, own in rows.items()}
