"""The command line: every command is a module beside this one that registers itself here."""

from __future__ import annotations

import signal
import sys
from importlib import import_module

import typer

_MODULE_OF = {
    "run": "running",
    **dict.fromkeys(("sync", "repositories"), "syncing"),
    **dict.fromkeys(("get", "explain", "wait"), "viewing"),
    "watch": "watching",
    **dict.fromkeys(("approve", "skip", "promote", "abort", "rollback", "pause", "resume", "retry"), "acting"),
    **dict.fromkeys(("crd", "validate"), "offline"),
    "plan": "planning",
    "adopt": "adopting",
    "eject": "ejecting",
    "uninstall": "uninstalling",
    "board": "board",
    "notify": "notifying",
    "replay": "replay",
}


def application(*modules: str) -> typer.Typer:
    """With the commands of these modules, and of all where none is named."""
    result = typer.Typer(
        name="pointsman",
        help="Brings out new versions on a small share of the work, and takes bad ones back by itself.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    result.callback()(_nothing)  # a single command keeps its name
    for name in modules or dict.fromkeys(_MODULE_OF.values()):
        import_module(f"controller.cli.{name}").register(result)
    return result


def _nothing() -> None:
    """Brings out new versions on a small share of the work, and takes bad ones back by itself."""


def main() -> None:
    if sys.argv[1:2] in (["run"], ["sync"]):  # they import for a second, and the first process of a pod must hear this
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # the client of the API server takes half a second to import, which `validate` need not pay
    named = _MODULE_OF.get(sys.argv[1] if sys.argv[1:] else "")
    application(*([named] if named else []))()


def __getattr__(name: str) -> typer.Typer:
    if name != "app":
        raise AttributeError(name)
    return application()
