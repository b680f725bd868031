"""The state of the tests at the end of a full page, as one text: a long record is recovered without judging it anew.

It is a text and no fields, because a number that passes through the API server may come back as another kind of
number. What cannot be read, or is of another form, is judged again from the counts, which are always there.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Sequence

from controller.stats.counts import Look
from controller.stats.judge import Judge
from controller.stats.method import AnalysisPlan

_LOG = logging.getLogger(__name__)
_FORM = 1
MOST_LETTERS = 256 * 1024
"""One page in 200 looks has a state, so even the largest is some 1 KiB a look. Larger ones are left out."""


def packed(judge: Judge) -> str:
    """Empty where it would be too large."""
    text = json.dumps([_FORM, judge.looks, judge.to_raw()], separators=(",", ":"))
    letters = base64.b64encode(zlib.compress(text.encode(), 6)).decode()
    return letters if len(letters) <= MOST_LETTERS else ""


def resumed(plan: AnalysisPlan, looks: Sequence[Look], states: Sequence[tuple[int, str]]) -> Judge:
    """A judge that has seen all looks. `states`: how many looks each text has seen, and the text."""
    for count, text in reversed(states):
        try:
            form, last, raw = json.loads(zlib.decompress(base64.b64decode(text)))
            if form == _FORM and last == looks[count - 1].number:
                judge = Judge.resumed(plan, looks[:count], raw)
                for look in looks[count:]:
                    judge.add(look)
                return judge
        except (ValueError, LookupError, TypeError, zlib.error) as error:
            _LOG.warning("a state of the tests cannot be read, so the looks are judged again: %r", error)
    return Judge.over(plan, looks)
