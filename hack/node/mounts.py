"""Mounts below a directory, which must be gone before anything is deleted there: one may be a user's own folder."""

import ctypes
import os
import re
from pathlib import Path

from hack.node.trouble import TroubleError

_MNT_DETACH = 2


def below(directory: Path) -> list[Path]:
    """The innermost first."""
    return find(Path("/proc/self/mountinfo").read_text(), directory)


def find(mountinfo: str, directory: Path) -> list[Path]:
    points = [Path(_unescape(line.split(" ")[4])) for line in mountinfo.splitlines()]
    return sorted((p for p in points if p.is_relative_to(directory)), key=lambda p: len(p.parts), reverse=True)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def unmount(directory: Path) -> None:
    """Raises TroubleError rather than leave one behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in below(directory):
        if libc.umount2(os.fsencode(point), _MNT_DETACH):
            raise TroubleError(f"cannot unmount {point}: {os.strerror(ctypes.get_errno())}.")
    left = below(directory)  # several may lie on one point
    if left:
        unmount(directory)
