"""Reads what a person has named, with bounds: no file costs more than a moment, whatever is in it."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

STDIN = "-"
MOST_BYTES = 2 * 2**20
"""Of YAML, which takes forty times its size in memory. The API server takes no object above 1.5 MiB."""
_MIB = 2**20
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00")


class UnreadableError(Exception):
    """No such file, no YAML, or nothing that an API server could hold."""

    def __init__(self, file: str, line: int, problem: str, path: str = "") -> None:
        super().__init__(f"{file}:{line}: {path}: {problem}" if path else f"{file}:{line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem
        self.path = path


def read_text(file: str, *, most: int = MOST_BYTES) -> str:
    """Of a regular file or, for `-`, of standard input. Raises UnreadableError."""
    try:
        data = sys.stdin.buffer.read(most + 1) if file == STDIN else _read_file(file, most)
    except (OSError, ValueError) as error:
        raise UnreadableError(file, 1, _why(error)) from error
    if len(data) > most:
        raise _too_large(file, most)
    return _decoded("stdin" if file == STDIN else file, data)


def _read_file(file: str, most: int) -> bytes:
    # O_NONBLOCK: opening a pipe without a writer would block
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123 - of a descriptor
        mode = os.fstat(opened.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableError(file, 1, "is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise UnreadableError(file, 1, "is not a regular file; give - and use standard input")
        return opened.read(most + 1)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "there is no such file or folder"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {said[:1].lower()}{said[1:]}"


def _too_large(file: str, most: int) -> UnreadableError:
    try:
        is_now = f"is {Path(file).stat().st_size / _MIB:.1f} MiB"
    except OSError:
        is_now = "is too large"
    return UnreadableError(file, 1, f"{is_now}, maximum is {most // _MIB} MiB: split it")


def _decoded(file: str, data: bytes) -> str:
    if data.startswith(_WIDE[:2]) or data[1:2] == _WIDE[2]:
        raise UnreadableError(file, 1, "is UTF-16 or UTF-32: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(file, line, f"byte {data[error.start]:#04x} is not UTF-8: save it as UTF-8") from error


def files_of(paths: list[str], suffixes: tuple[str, ...]) -> list[str]:
    """Folders are searched for files with these suffixes, all the way down. Raises UnreadableError."""
    found = []
    for text in paths:
        path = Path(text)
        try:
            if text != STDIN and stat.S_ISDIR(path.stat().st_mode):
                found += [str(file) for file in sorted(path.rglob("*")) if file.suffix in suffixes and file.is_file()]
                continue
        except (OSError, ValueError) as error:
            raise UnreadableError(text, 1, _why(error)) from error
        found.append(text)
    return list(dict.fromkeys(found))
