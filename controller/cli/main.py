"""The command line: every command is a module beside this one that registers itself here."""

from __future__ import annotations

import typer

from controller.cli import acting, offline, planning, replay, running, viewing, watching

app = typer.Typer(
    name="pointsman",
    help="Brings out new versions on a small share of the work, and takes bad ones back by itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (running, viewing, watching, acting, offline, planning, replay):
    module.register(app)


def main() -> None:
    app()
