"""The verifier that controller/docs/releasing.md shows, as a receiver would copy it; and another way to sign."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

_PAGE = Path(__file__).parents[1] / "controller/docs/releasing.md"
_PART = re.compile(r"^### Verify a signature\n.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Verifier(Protocol):
    def __call__(self, headers: Mapping[str, str], body: bytes, *keys: str) -> bool: ...


def verifier_source() -> str:
    found = _PART.search(_PAGE.read_text())
    assert found, "the page shows how a signature is verified"
    return found[1]


def verifier(**instead: Any) -> Verifier:
    """`instead`: names of the example with another value, such as `time`."""
    namespace: dict[str, Any] = {}
    exec(compile(verifier_source(), _PAGE.name, "exec"), namespace)  # noqa: S102 - what is tried is what a reader copies
    namespace |= instead
    found: Verifier = namespace["is_from_pointsman"]
    return found


def signature(key: bytes, headers: Mapping[str, str], body: bytes) -> str:
    """By RFC 2104 itself, and none of the library's HMAC."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in block) + message).digest()
    outer = hashlib.sha256(bytes(one ^ 0x5C for one in block) + inner).digest()
    return "v1," + base64.b64encode(outer).decode()
