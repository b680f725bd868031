"""A health script in Lua 5.1, with what Argo CD leaves it of the libraries."""

from collections.abc import Mapping
from typing import Any

from lupa import lua51

_LEFT_OUT = (
    "string",
    "math",
    "io",
    "debug",
    "coroutine",
    "dofile",
    "loadfile",
    "require",
    "package",
    "print",
    "python",
)
"""Argo CD opens base, package, table and an os that tells the time."""


def health(script: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Status and message."""
    runtime = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    runtime.globals().obj = runtime.table_from(manifest, recursive=True)
    runtime.execute('getmetatable("").__index = nil')
    for name in _LEFT_OUT:
        runtime.globals()[name] = None
    answer = runtime.execute(script)
    return answer["status"], answer["message"] or ""
