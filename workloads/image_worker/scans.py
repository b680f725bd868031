"""How many scans a JPEG has, found without decoding it.

Each scan of a progressive JPEG goes over all of its blocks: 4 MiB with 53,000 scans took more than two minutes to
decode. Cameras and editors write about ten.
"""

MOST_SCANS = 100
_START, _END, _SCAN, _FILL = 0xD8, 0xD9, 0xDA, 0xFF
_ALONE = frozenset({0x00, 0x01, _FILL, _START, *range(0xD0, 0xD8)})
"""Markers without a length, stuffed bytes, and fill bytes."""


def scans(data: bytes) -> int:
    """0 for what is no JPEG. Counts to one more than `MOST_SCANS`."""
    if not data.startswith(b"\xff\xd8"):
        return 0
    found, at = 0, 2
    while found <= MOST_SCANS and (at := data.find(b"\xff", at)) >= 0 and at + 3 < len(data):
        marker = data[at + 1]
        if marker == _END:
            break
        if marker in _ALONE:
            at += 1 if marker == _FILL else 2
            continue
        found += marker == _SCAN
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found
