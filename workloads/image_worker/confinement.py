"""Takes from a render process what a file from outside could use if it took the process over.

It has the worker's user id, so without this it could read the worker's environment and token file, ask the metadata
service for credentials, or start a program. Landlock limits which files it opens and where it connects; seccomp refuses
sockets, programs and looks into other processes, also where the kernel's Landlock is too old for that.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 4, 22, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many kinds of access each version of Landlock knows; from 5 on 16."""
_NETWORK, _SCOPED = 4, 6
"""Versions that know TCP, and signals to others."""

_REFUSED = {
    "x86_64": (0xC000003E, (41, 42, 59, 101, 310, 311, 322, 425, 438)),
    "aarch64": (0xC00000B7, (198, 203, 221, 117, 270, 271, 281, 425, 438)),
}
"""AUDIT_ARCH, and socket, connect, execve, ptrace, process_vm_readv and _writev, execveat, io_uring_setup and
pidfd_getfd.
"""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x40000000
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001


def landlock_version() -> int:
    """0: this kernel has none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def keep_from_others() -> None:
    """Of the worker: processes of the same user cannot read its environment or memory."""
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def confine() -> None:
    """For good. Python's own files and the font can be read, and nothing else can be opened, reached or started."""
    _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if version := landlock_version():
        _limit_files(version)
    if platform.machine() in _REFUSED:
        _refuse_calls(*_REFUSED[platform.machine()])


def _limit_files(version: int) -> None:
    handled = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    rules = struct.pack("QQQ", handled, 0b11 if version >= _NETWORK else 0, 0b11 if version >= _SCOPED else 0)
    size = 24 if version >= _SCOPED else 16 if version >= _NETWORK else 8
    ruleset = _libc.syscall(_CREATE_RULESET, rules, size, 0)
    if ruleset < 0:
        return
    for path in _readable():
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
        os.close(opened)
    _libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _readable() -> Iterator[Path]:
    for name in (*sys.path, sys.pycache_prefix, os.environ.get("RENDER_FONT")):
        if name and name != "/" and (path := Path(name)).exists():
            yield path


def _refuse_calls(architecture: int, numbers: tuple[int, ...]) -> None:
    count = len(numbers)
    lines = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, count + 3, architecture),
        (_LOAD, 0, 0, 0),  # the call's number
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    _libc.prctl(_SET_SECCOMP, 2, program, 0, 0)
