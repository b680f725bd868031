"""What every command that talks to a cluster shares: connecting, and one sentence when that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from controller.api.resources import RELEASES
from controller.cli._options import FAILED, Output
from controller.cli._terminal import echo
from controller.kube.client import KubeClient, KubeError, NotFoundError

T = TypeVar("T")

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Default: the kubeconfig's, else default.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Default: KUBECONFIG, else ~/.kube/config, else the pod's own.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="As text for people, or as JSON.")]


class CommandError(Exception):
    """One sentence for the person at the terminal."""


def with_cluster(kubeconfig: Path | None, do: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Runs `do` with a client and turns every expected failure into a sentence and exit code 1."""
    logging.getLogger("kubernetes").setLevel(logging.ERROR)  # what it warns of is told below, in one sentence

    async def connected() -> T:
        kube = await KubeClient.connect(str(kubeconfig) if kubeconfig else None)
        try:
            return await do(kube)
        finally:
            await kube.close()

    try:
        return asyncio.run(connected())
    except (CommandError, KubeError) as error:
        echo(f"pointsman: {error}", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def find_release(kube: KubeClient, namespace: str, name: str) -> dict[str, Any]:
    try:
        return await kube.get(RELEASES, namespace, name)
    except NotFoundError:
        there = [item["metadata"]["name"] for item in await kube.list(RELEASES, namespace)]
        hint = f"there are: {', '.join(sorted(there)[:10])}" if there else "there are none; name another with -n"
        raise CommandError(f"no Release {name!r} in namespace {namespace}; {hint}") from None
