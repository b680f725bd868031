"""A file of 384 MiB of zeros in a repository, at once and in half a MiB: git would hash and pack it for seconds.

Whoever fetches it has all of it to unpack and to hash. It is larger than all addresses that our git may have, and
smaller than what git by itself, without our setting for it, would not take into memory whole.
"""

import hashlib
import struct
import zlib
from pathlib import Path

SIZE = 384 << 20
NAME = "3870db6038ba4af73ac4a66f97ab18f10deb7829"
"""Its hash, which git checks as it fetches."""
_BLOCK = 1 << 24
_BLOB = 3
_ADLER = 65521


def put(bare: Path) -> str:
    """Its name in this repository."""
    entry = _header() + _zlib()
    pack = b"PACK" + struct.pack(">II", 2, 1) + entry
    checksum = _sha1(pack)
    oid = bytes.fromhex(NAME)
    fanout = struct.pack(">256I", *(int(first >= oid[0]) for first in range(256)))
    index = b"\xfftOc" + struct.pack(">I", 2) + fanout + oid + struct.pack(">II", zlib.crc32(entry), 12) + checksum
    at = bare / "objects" / "pack" / f"pack-{checksum.hex()}"
    at.with_suffix(".pack").write_bytes(pack + checksum)
    at.with_suffix(".idx").write_bytes(index + _sha1(index))
    return NAME


def _sha1(content: bytes) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).digest()


def _header() -> bytes:
    """Type and size, of which four bits come first and then seven in each byte."""
    low, rest = _BLOB << 4 | SIZE & 15, SIZE >> 4
    found = bytearray()
    while rest:
        found.append(low | 128)
        low, rest = rest & 127, rest >> 7
    return bytes(found) + bytes([low])


def _zlib() -> bytes:
    """One block again and again; after a full flush none depends on another."""
    raw = zlib.compressobj(9, wbits=-15)
    block = raw.compress(bytes(_BLOCK)) + raw.flush(zlib.Z_FULL_FLUSH)
    checksum = SIZE % _ADLER << 16 | 1  # of zeros
    return b"\x78\xda" + block * (SIZE // _BLOCK) + raw.flush() + struct.pack(">I", checksum)
