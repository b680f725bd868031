"""`pointsman notify test`: a sample notification to the targets of a Release, or just its texts."""

from __future__ import annotations

import time
from typing import Annotated, Any, NoReturn

import typer

from controller import registry
from controller.api import times
from controller.api.effect import Effect
from controller.api.notice import TOPICS, Notice, Notification, State, Topic
from controller.api.notify import FOLDER, Notify
from controller.api.notify_default import NAME, parse_default
from controller.api.reading import SpecError
from controller.api.release import parse_release
from controller.api.resources import CONFIG_MAPS
from controller.cli._cluster import CommandError, Kubeconfig, Namespace, find_release, with_cluster
from controller.cli._options import WRONG_USE
from controller.cli._terminal import echo, say
from controller.effects import notify
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError
from controller.effects.wording import SAMPLE, escapes_of, wording
from controller.kube.client import KubeClient
from controller.kube.objects import Key
from controller.outward.addresses import Addresses, api_server_of
from controller.providers.rendering import Renderer

_Topic = Annotated[str, typer.Option(metavar="TOPIC", help="What to notify of. Default: the first that it wants.")]
_ToName = Annotated[str, typer.Option(metavar="NAME", help="Only this one of spec.notify.")]
_Print = Annotated[bool, typer.Option("--print", help="Show the texts and send nothing.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Try whom a Release notifies.", no_args_is_help=True)
    group.command("test")(try_out)
    app.add_typer(group, name="notify")


def try_out(
    name: Annotated[str, typer.Argument(metavar="RELEASE")],
    namespace: Namespace = None,
    target: _ToName = "",
    topic: _Topic = "",
    show: _Print = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Send a sample notification to the targets of a Release.

    It is sent from here, with your right to read the Secrets. What has to be
    resolved is resolved at once. Exit code 1: a target did not take it.

    \b
    pointsman notify test web -n shop --target team
    pointsman notify test web --topic RolledBack --print
    """  # noqa: D301 - \b keeps the lines of the examples
    if topic and topic not in TOPICS:
        _end(f"--topic {topic} is not one of {', '.join(TOPICS)}")
    failed = with_cluster(kubeconfig, lambda kube: _try(kube, namespace, name, (target, topic), only_show=show))
    if failed:
        raise typer.Exit(1)


async def _try(kube: KubeClient, namespace: str | None, name: str, wanted: tuple[str, str], *, only_show: bool) -> bool:
    """Whether one of them did not take it. Raises CommandError, KubeError."""
    key = Key(namespace or kube.namespace, name)
    targets = await _targets(kube, key, wanted[0])
    texts = Renderer()
    context = EffectContext(kube, Addresses(api_server_of(kube)), texts=texts)
    failed = False
    try:
        for one in targets:
            topic = Topic(wanted[1]) if wanted[1] else Topic(next(known for known in TOPICS if known in one.topics))
            if only_show:
                await _show(texts, key, one, topic)
            else:
                failed |= not await _send(context, key, one, topic)
    finally:
        await texts.close()
    return failed


async def _targets(kube: KubeClient, key: Key, only: str) -> tuple[Notify, ...]:
    release = await find_release(kube, key.namespace, key.name)
    try:
        found: tuple[Notify, ...] = parse_release(key.name, release["spec"], registry.kinds()).notify
        if release["spec"].get("notify") is None:
            config_map = await kube.find(CONFIG_MAPS, key.namespace, NAME)
            found = () if config_map is None else parse_default(config_map, registry.kinds())
    except SpecError as error:
        raise CommandError(str(error)) from error
    if not found:
        raise CommandError(f"{key} notifies nobody: it has no spec.notify, and {key.namespace} no ConfigMap {NAME}")
    chosen = tuple(one for one in found if only in ("", one.name))
    if not chosen:
        raise CommandError(f"{key} has no target {only!r}; there are: {', '.join(one.name for one in found)}")
    return chosen


def _sample(topic: Topic, state: State = State.OPEN) -> Notice:
    now = time.time()
    raw: dict[str, Any] = {**vars(SAMPLE), "topic": topic, "reason": "Test", "state": state}
    raw |= {"message": f"a test, nothing has happened: {SAMPLE.message}", "at": times.to_seconds_text(now)}
    return Notice(**raw | {"incident": f"test:{now:.0f}"})


async def _show(texts: Renderer, key: Key, target: Notify, topic: Topic) -> None:
    notification = Notification("test", key.namespace, key.name, _sample(topic))
    worded = await wording(texts, notification, target.texts, escapes_of(registry.modules(FOLDER)[target.kind]))
    shown = Notification("test", key.namespace, key.name, notification.notice, worded)
    say(f"{target.name} ({target.kind}), {topic}:")
    for line in (shown.title, *shown.lines, *shown.next):
        say(f"  {line}")


async def _send(context: EffectContext, key: Key, target: Notify, topic: Topic) -> bool:
    """What hears of ends hears of this one's, so that no alert stays."""
    carrier = notify.create(context)
    notice = _sample(topic)
    states = (State.OPEN, State.RESOLVED) if target.hears_ends else (State.OPEN,)
    for state in states:
        about = Notice(**{**vars(notice), "state": state})
        payload = {"to": target.name, "notifier": target.kind, "config": dict(target.raw), "notice": about.to_raw()}
        payload |= {"texts": dict(target.texts)} if target.texts else {}
        try:
            await carrier.carry_out(key, Effect(f"{notice.incident}.{target.name}.{state}", notify.KIND, payload))
        except (EffectFailedError, EffectRefusedError) as error:
            echo(f"pointsman notify test: {target.name}: {error}", err=True)
            return False
    say(f"{target.name} ({target.kind}) took it")
    return True


def _end(sentence: str) -> NoReturn:
    echo(f"pointsman notify test: {sentence}", err=True)
    raise typer.Exit(WRONG_USE)
