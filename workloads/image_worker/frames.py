"""How the worker and its render process speak: a length, JSON, and then the bytes that the JSON announces."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEAD = 8
_MOST = 256 * 2**20


class FrameError(Exception):
    """The other side ended, or something else writes to its standard output."""


@dataclass(frozen=True, slots=True)
class Frame:
    about: Mapping[str, Any]
    data: bytes = b""

    def encode(self) -> bytes:
        about = json.dumps(self.about).encode()
        return len(about).to_bytes(4, "big") + len(self.data).to_bytes(4, "big") + about + self.data


def lengths(head: bytes) -> tuple[int, int]:
    """Of the JSON and of the data."""
    about, data = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:HEAD], "big")
    if about + data > _MOST:
        raise FrameError(f"a frame of {about + data} bytes")
    return about, data
