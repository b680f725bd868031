"""Reads what a person has named, with bounds: no file costs more than a moment, whatever is in it."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

STDIN = "-"
MOST_BYTES = 2 * 2**20
"""Of YAML, which takes forty times its size in memory. The API server takes no object above 1.5 MiB."""
MOST_FILES = 100_000
_MOST_ENTRIES = 1_000_000
"""Of folders that are searched. Half a million take a second."""
_MIB = 2**20
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_NOT_SEARCHED = frozenset((".git", "node_modules", ".venv"))


class UnreadableError(Exception):
    """No such file, no YAML, or nothing that an API server could hold."""

    def __init__(self, file: str, line: int, problem: str, path: str = "") -> None:
        super().__init__(f"{file}:{line}: {path}: {problem}" if path else f"{file}:{line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem
        self.path = path


@dataclass
class Found:
    """Files as they were named, and those of folders that were named."""

    named: list[str] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """One sentence each."""


def read_text(file: str, *, most: int = MOST_BYTES) -> str:
    """Of a regular file or, for `-`, of standard input. Raises UnreadableError."""
    return decoded("stdin" if file == STDIN else file, read_bytes(file, most=most))


def read_bytes(file: str, *, most: int = MOST_BYTES) -> bytes:
    """Raises UnreadableError."""
    try:
        data = sys.stdin.buffer.read(most + 1) if file == STDIN else _read_file(file, most)
    except (OSError, ValueError) as error:
        raise UnreadableError(file, 1, _why(error)) from error
    if len(data) > most:
        raise _too_large(file, most)
    return data


def _read_file(file: str, most: int) -> bytes:
    # O_NONBLOCK: opening a pipe without a writer would block
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    with open(os.open(file, flags), "rb") as opened:  # noqa: PTH123 - of a descriptor
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


def decoded(file: str, data: bytes) -> str:
    """Raises UnreadableError."""
    if data.startswith(_WIDE[:2]) or data[1:2] == _WIDE[2]:
        raise UnreadableError(file, 1, "is UTF-16 or UTF-32: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(file, line, f"byte {data[error.start]:#04x} is not UTF-8: save it as UTF-8") from error


def files_of(paths: list[str], suffixes: tuple[str, ...], *, exclude: Sequence[str] = ()) -> Found:
    """Folders are searched for files with these suffixes, all the way down. Raises UnreadableError.

    `exclude`: files and folders that are not looked for, by their path or name with * ? [] in it.
    """
    found = Found()
    for text in dict.fromkeys(paths):
        try:
            if text != STDIN and stat.S_ISDIR(os.stat(text).st_mode):  # noqa: PTH116 - "." stays out of the names
                _search(text, suffixes, found, [os.path.normpath(pattern) for pattern in exclude])
                continue
        except (OSError, ValueError) as error:
            raise UnreadableError(text, 1, _why(error)) from error
        if text != STDIN:
            _refuse_way_out(text)
        found.named.append(text)
    known = set(found.named)
    found.searched = [name for name in dict.fromkeys(found.searched) if name not in known]
    return found


def _refuse_way_out(file: str) -> None:
    """A stranger's commit may hold a link to anything of the machine that checks it. Raises UnreadableError."""
    here, leads_to = Path.cwd().resolve(), Path(file).resolve()
    if (here / os.path.normpath(file)).is_relative_to(here) and not leads_to.is_relative_to(here):
        raise UnreadableError(file, 1, f"is a link that leads out of this folder: name {leads_to} itself")


def _search(folder: str, suffixes: tuple[str, ...], found: Found, exclude: Sequence[str]) -> None:
    """Links are not followed: what they lead to is in the folder anyway, or is none of its files."""
    root = Path(folder).resolve()
    names = []
    for number, entry in enumerate(_entries(folder, exclude), start=1):
        if number > _MOST_ENTRIES:
            raise UnreadableError(folder, 1, f"holds more than {_MOST_ENTRIES} files: name the folders in it")
        if entry.is_symlink():
            _say_of_link(entry, root, suffixes, found)
        elif entry.name.endswith(suffixes) and entry.is_file(follow_symlinks=False):
            names.append(os.path.normpath(entry.path))
            if len(names) > MOST_FILES:
                raise UnreadableError(folder, 1, f"holds more than {MOST_FILES} manifests: name the folders in it")
    found.searched += sorted(names)


def _entries(folder: str, exclude: Sequence[str]) -> Iterator[os.DirEntry[str]]:
    """Of a folder and those in it. Raises OSError."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as listed:
            for entry in listed:
                if _is_excluded(entry, exclude):
                    continue
                yield entry
                if entry.is_dir(follow_symlinks=False) and entry.name not in _NOT_SEARCHED:
                    folders.append(entry.path)


def _is_excluded(entry: os.DirEntry[str], exclude: Sequence[str]) -> bool:
    """A pattern with a slash matches the path as problems show it, one without a slash any file or folder name."""
    path = os.path.normpath(entry.path)
    return any(fnmatchcase(path if "/" in pattern else entry.name, pattern) for pattern in exclude)


def _say_of_link(entry: os.DirEntry[str], root: Path, suffixes: tuple[str, ...], found: Found) -> None:
    try:
        leads_to = Path(entry.path).resolve()
        counts = leads_to.is_dir() or entry.name.endswith(suffixes)
    except (OSError, RuntimeError):  # a link to itself
        return
    if counts and not leads_to.is_relative_to(root):
        found.left_out.append(f"{os.path.normpath(entry.path)} is a link that leads out of the folder")
