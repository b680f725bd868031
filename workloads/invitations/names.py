"""An inviter's name as it goes into a message to a stranger: it must not become an advertisement.

The name is the token's claim, which users choose themselves. What is kept: letters of any script, digits, and what
joins them in names. Emoji go: one makes the whole message cost as two or three.
"""

import re
import unicodedata

LONGEST = 30
NOBODY = "A friend"
"""Who invites when nothing is left of the name."""

_URL = re.compile(r"\S*(?:://|www\.|[@/\\])\S*", re.IGNORECASE)
_HOST = re.compile(r"\S*\w\.[a-z]{2,}\S*")  # `evil.com`, not `J.Smith`
_JOINT = re.compile(r"\.(?=\w)")
_KEPT_MARKS = frozenset(" '.-")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))
"""iPhones type the curly one; it is not of the alphabet of text messages, and makes one cost as two."""
_VANITY = re.compile(r"(?<!\d)(?:800|833|844|855|866|877|888|900)[ .-]*[a-z][a-z .-]{4,}", re.IGNORECASE)
"""A number in letters, of those that companies have in North America: `1-800-FLOWERS`."""
_MOST_DIGITS = 4
"""More are a telephone number, and the sentence one to call: `Your bank 1-800-555-0199`."""


def clean(name: str) -> str:
    """At most 30 characters, never empty, without anything that a phone turns into a link."""
    text = unicodedata.normalize("NFKC", name.translate(_APOSTROPHES))  # full-width letters spell URLs too
    if sum(unicodedata.category(each)[0] == "N" for each in text) > _MOST_DIGITS:
        return NOBODY
    text = "".join(" " if each.isspace() else each for each in text if unicodedata.category(each) != "Cf")
    text = _HOST.sub(" ", _URL.sub(" ", text))
    text = _JOINT.sub(". ", "".join(filter(_is_kept, text)))
    text = " ".join(text.split()).strip(" '.-,")[:LONGEST].strip()
    return NOBODY if not text or _VANITY.search(text) else text


def _is_kept(character: str) -> bool:
    return character in _KEPT_MARKS or unicodedata.category(character)[0] in "LMN"
