"""`watch`: a live view of one Release; lines where there is no terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.live import Live

from controller.analysis.runs import RunReader
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, with_cluster
from controller.cli._terminal import Terminal, echo
from controller.cli.viewing import exit_code, explanation_of
from controller.kube.client import KubeClient, UnavailableError
from controller.views.explanation import Explanation
from controller.views.picture import line, picture

_POLL_S = 1.0

Name = Annotated[str, typer.Argument(metavar="RELEASE")]
Show = Callable[[Explanation], None]


def register(app: typer.Typer) -> None:
    app.command("watch")(watch)


def watch(
    name: Name,
    namespace: Namespace = None,
    until_done: Annotated[bool, typer.Option("--until-done", help="End as `wait` does, with its exit codes.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Watch a release live: steps, weight, both versions' rates, evidence against its boundary. Ctrl-C ends it.

    Where the output is no terminal, a line for each change.

    \b
    pointsman watch invitation-api -n shop
    pointsman watch invitation-api -n shop --until-done | tee release.log
    """  # noqa: D301 - \b keeps the lines of the examples
    console = Terminal()

    async def follow(kube: KubeClient) -> int:
        home = namespace or kube.namespace
        if not console.is_terminal:
            return await _follow(kube, home, name, lines(), until_done=until_done)
        live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

        def draw(found: Explanation) -> None:
            if not live.is_started:
                live.start()  # not before: an error is told on a screen that nobody has touched
            live.update(picture(found, console.width, time.time()), refresh=True)

        try:
            return await _follow(kube, home, name, draw, until_done=until_done)
        finally:
            live.stop()

    raise typer.Exit(with_cluster(kubeconfig, follow))


def lines() -> Show:
    """Prints what changed since the last line."""
    said = ""

    def say(found: Explanation) -> None:
        nonlocal said
        now = line(found)
        if now != said:
            said = now
            echo(f"{time.strftime('%H:%M:%S')} {now}")

    return say


async def _follow(kube: KubeClient, namespace: str, name: str, show: Show, *, until_done: bool) -> int:
    """Raises KubeError, but for an API server that is away for a while: what was seen last stays on the screen."""
    seen, runs = False, RunReader(kube)
    while True:
        try:
            found = await explanation_of(kube, namespace, name, runs)
        except UnavailableError:
            if not seen:
                raise
        except CommandError:
            if not seen:
                raise
            raise CommandError(f"Release {name!r} was deleted while it was watched") from None
        else:
            seen = True
            show(found)
            code = exit_code(found.release) if until_done else None
            if code is not None:
                return code
        await asyncio.sleep(_POLL_S)
