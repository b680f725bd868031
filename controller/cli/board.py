"""`board`: the shipped dashboards without Grafana, in the terminal or as a file."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from controller import registry
from controller.api.metric_source import parse_source
from controller.api.reading import SpecError, parse_duration
from controller.api.resources import METRIC_SOURCES
from controller.api.secret import SecretRef
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, find_release, with_cluster
from controller.cli._options import WRONG_USE
from controller.cli._terminal import Terminal, echo
from controller.decision_log.sinks import DECISIONS_TOKEN, SinkSettingsError, sink_settings
from controller.kube.client import KubeClient
from controller.kube.secrets import SecretError, secret_value
from controller.ports import BrokenMetricError, SourceOutageError
from controller.views.board import (
    BEGINNINGS,
    LAST_EVENT,
    Board,
    Drawn,
    Panel,
    Range,
    Row,
    filled,
    load,
    range_of_last_rollout,
)
from controller.views.board_page import page, picture
from controller.views.board_text import board_text

if TYPE_CHECKING:  # its libraries take a second
    from controller.providers import influxdb

_TIMEOUT_S = 20.0
_DEFAULT_S = 3600.0
_LONG_AGO_S = 7 * 86400.0
"""How far back the last rollout is looked for."""
_FILES = {".html": page, ".svg": picture}


class Which(StrEnum):
    RELEASE = "release"
    FLEET = "fleet"
    OPERATOR = "operator"


def register(app: typer.Typer) -> None:
    app.command("board")(board)


def board(
    name: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="Whose board.")] = None,
    *,
    namespace: Namespace = None,
    which: Annotated[Which, typer.Option("--board", help="fleet and operator need no Release.")] = Which.RELEASE,
    since: Annotated[
        str | None,
        typer.Option(help="How far to look back, such as 30m or 6h. Default: the last rollout; without a Release 1h."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file to write instead: .html or .svg.", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The panels' rows, as one JSON object.")] = False,
    source: Annotated[
        str,
        typer.Option(help="The MetricSource of kind influxdb that is asked; its Secret has to be readable for you."),
    ] = "default",
    operator_namespace: Annotated[
        str, typer.Option(help="Where shared templates and sources are.")
    ] = "pointsman-system",
    decisions_url: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_DECISIONS_URL",
            help=f"Ask this InfluxDB instead of the MetricSource's; the token is in {DECISIONS_TOKEN}.",
        ),
    ] = "",
    decisions_org: Annotated[str, typer.Option(envvar="POINTSMAN_DECISIONS_ORG", help="Its organization.")] = "",
    decisions_bucket: Annotated[
        str, typer.Option(envvar="POINTSMAN_DECISIONS_BUCKET", help="The bucket. Default: the MetricSource's.")
    ] = "",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Draw a release's dashboard from the decisions that the operator has written to InfluxDB.

    The panels and their queries are those of the dashboards for Grafana. The operator writes decisions where
    `pointsman run --decisions-url` says; InfluxDB has to be reachable from here.
    Exit code 0: done, 1: the cluster or InfluxDB refused, 2: wrong use.

    \b
    pointsman board invitation-api -n shop
    pointsman board invitation-api -n shop --since 6h --output board.html
    pointsman board --board fleet --json
    """  # noqa: D301 - \b keeps the lines of the examples
    if output is not None and output.suffix not in _FILES:
        _end(f"--output {output.name} ends in neither .html nor .svg")
    if (name is None) == (which is Which.RELEASE):
        _end("name a RELEASE" if name is None else f"--board {which} takes no RELEASE")
    try:
        seconds = _DEFAULT_S if since is None else parse_duration(since, "--since")
        written = sink_settings(
            decisions_url=decisions_url,
            decisions_org=decisions_org,
            decisions_bucket=decisions_bucket if decisions_url else "",
            annotations_url="",
            environ=os.environ,
        ).decisions
    except (SpecError, SinkSettingsError) as error:
        _end(str(error))
    from controller.providers import influxdb  # noqa: PLC0415 - see above

    if seconds <= 0:
        _end("--since is not above 0")
    now = time.time()

    async def read(kube: KubeClient) -> tuple[Board, list[Drawn], Range]:
        home = namespace or kube.namespace
        values: dict[str, Sequence[str]] = {}
        if name is not None:
            await find_release(kube, home, name)
            values = {"namespace": [home], "release": [name]}
        if written is not None:
            ref = SecretRef(DECISIONS_TOKEN, "token")
            config = influxdb.Config(written.url, written.org, written.bucket, ref, _TIMEOUT_S)
            token = written.token
        else:
            config, token = await _source(kube, source, home, operator_namespace)
        database = influxdb.InfluxDB(config, token)
        bucket = decisions_bucket or config.bucket

        async def ask(query: str, over: Range) -> Sequence[Row]:
            return await database.rows(filled(query, values, over, bucket))

        try:
            shown = Range(now - seconds, now)
            if name is not None and since is None:
                shown = await _last_rollout(ask, now) or shown
            return load(which), await _drawn(load(which), ask, shown), shown
        except (SourceOutageError, BrokenMetricError) as error:
            raise CommandError(str(error)) from error
        finally:
            await database.close()

    found, drawn, shown = with_cluster(kubeconfig, read)
    _show(found, drawn, shown, output=output, as_json=as_json)


def _show(found: Board, drawn: list[Drawn], shown: Range, *, output: Path | None, as_json: bool) -> None:
    if as_json:
        echo(json.dumps({"board": found.title, "panels": [_raw(one) for one in drawn]}, default=_json))
    if output is not None:
        output.write_text(_FILES[output.suffix](found, drawn, shown), encoding="utf-8")
        echo(f"wrote {output}", err=True)
    elif not as_json:
        terminal = Terminal()
        terminal.print(board_text(found, drawn, shown, terminal.width))


def _end(sentence: str) -> NoReturn:
    echo(f"pointsman board: {sentence}", err=True)
    raise typer.Exit(WRONG_USE)


async def _source(kube: KubeClient, name: str, home: str, operators: str) -> tuple[influxdb.Config, str]:
    """As metrics are asked: of the namespace, then of the operator's. Raises CommandError, KubeError."""
    from controller.providers import influxdb  # noqa: PLC0415 - see above

    for namespace in dict.fromkeys((home, operators)):
        raw = await kube.find(METRIC_SOURCES, namespace, name)
        if raw is None:
            continue
        where = f"MetricSource {namespace}/{name}"
        try:
            config = parse_source(raw["spec"], f"{where} spec", registry.kinds()).config
            if not isinstance(config, influxdb.Config):
                raise CommandError(f"{where} is no InfluxDB; name another by --source, or give --decisions-url")
            token = await secret_value(kube, namespace, config.token_secret)
            # a board looks back farther than a look does
            return replace(config, timeout_s=_TIMEOUT_S), token.strip()
        except (SpecError, SecretError) as error:
            raise CommandError(str(error)) from error
    raise CommandError(
        f"no MetricSource {name!r} in namespace {home} or {operators}; name one by --source, or give --decisions-url"
    )


Ask = Callable[[str, Range], Awaitable[Sequence[Row]]]


async def _last_rollout(ask: Ask, now: float) -> Range | None:
    long_ago = Range(now - _LONG_AGO_S, now)
    return range_of_last_rollout(await ask(BEGINNINGS, long_ago), await ask(LAST_EVENT, long_ago), now)


async def _drawn(board: Board, ask: Ask, shown: Range) -> list[Drawn]:
    async def of(panel: Panel) -> Drawn:
        return Drawn(panel, [row for query in panel.queries for row in await ask(query, shown)])

    return list(await asyncio.gather(*(of(panel) for panel in board.panels)))


def _raw(drawn: Drawn) -> dict[str, Any]:
    return {"title": drawn.panel.title, "unit": drawn.panel.unit, "rows": list(drawn.rows)}


def _json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
