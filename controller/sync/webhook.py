"""What a forge says when somebody has pushed: whether it says so truthfully, and about which branch. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

_GITHUB, _GITLAB, _GITEA = "X-Hub-Signature-256", "X-Gitlab-Token", "X-Gitea-Signature"
_SCHEME = "sha256="
_HEADS = "refs/heads/"
_URL = re.compile(rb'url"\s*:\s*"((?:[^"\\]|\\/){1,500})"')
_MOST_URLS = 20_000
"""Each commit of a push has one, too."""


@dataclass(frozen=True)
class Push:
    branch: str
    repositories: frozenset[str]
    """Each of its addresses, as `address_of` writes them."""
    commit: str = ""
    """What the branch is now."""


def is_signed(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in (_GITHUB, _GITLAB, _GITEA))


def is_true(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether who knows `secret` has sent it. All comparisons take the same time, wherever they differ."""
    if not secret:
        return False
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if _GITHUB in headers:
        return _same(headers[_GITHUB], f"{_SCHEME}{expected}")
    if _GITEA in headers:
        return _same(headers[_GITEA], expected)
    return _GITLAB in headers and _same(headers[_GITLAB], secret)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def named_in(body: bytes) -> frozenset[str]:
    """The addresses that may be a repository's, as `address_of` writes them. Looks for them without reading the whole:
    what nobody has signed is not worth a parser, which takes twenty times the memory.
    """
    found = (one[1].replace(b"\\/", b"/").decode(errors="replace") for one in _URL.finditer(body))
    return frozenset(filter(None, map(address_of, dict.fromkeys(islice(found, _MOST_URLS)))))


def push_of(body: bytes) -> Push | None:
    """None: it is about something else, a tag for example, or no event of a forge."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return None
    ref = raw.get("ref") if isinstance(raw, dict) else None
    if not isinstance(ref, str) or not ref.startswith(_HEADS):
        return None
    urls = (raw.get(name) for name in ("repository", "project"))
    commit = raw.get("after")
    return Push(
        ref.removeprefix(_HEADS),
        frozenset(filter(None, map(address_of, _texts(urls)))),
        commit if isinstance(commit, str) else "",
    )


def _texts(values: Iterator[object]) -> Iterator[str]:
    for one in values:
        if isinstance(one, Mapping):
            yield from (text for key, text in one.items() if isinstance(text, str) and "url" in str(key))


def address_of(url: str) -> str:
    """Host and path, by which one repository is the same over https and ssh, whose ports differ; empty: no url."""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return ""
        host, path = parts.hostname or "", parts.path
    else:  # git@host:team/shop.git
        host, _, path = url.rpartition("@")[2].partition(":")
    name = path.strip("/").removesuffix(".git")
    return f"{host.lower()}/{name}" if host and name and "/" not in host else ""
