"""Texts of a target's own: Jinja2, rendered in the sandbox in which metric templates are rendered.

Whoever writes a Release writes its templates; what they are filled with comes from anywhere, so each value is escaped
as the receiver needs it. A template that fails costs nobody the notification: the default goes out, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.notice import Notice, Notification, Topic, Wording
from controller.api.text import one_line
from controller.providers.rendering import Renderer, RenderError

_MOST_TITLE, _MOST_LINE, _MOST_LINES = 300, 2000, 100
Escapes = Sequence[tuple[str, str]]
SAMPLE = Notice(Topic.ROLLED_BACK, "Regressed", "errors 26/812 vs 31/16240", "b" * 10, "2026-01-01T00:00:00Z")


def escapes_of(module: object) -> Escapes:
    """What a notifier's receiver would obey in a text, and what stands for it."""
    return getattr(module, "ESCAPES", ())


def values_of(notification: Notification) -> dict[str, Any]:
    """By the names that templates know them by."""
    notice = notification.notice
    return {
        "title": notification.title,
        "message": notice.message,
        "evidence": notice.evidence,
        "topic": str(notice.topic),
        "state": str(notice.state),
        "reason": notice.reason,
        "namespace": notification.namespace,
        "release": notification.release,
        "revision": notice.revision,
        "stable": notice.stable,
        "attempt": notice.attempt,
        "at": notice.at,
        "next": list(notification.commands),
    }


async def rendered(renderer: Renderer, notification: Notification, template: str, escapes: Escapes) -> str:
    """Raises RenderError."""
    return await renderer.render_text(template, values_of(notification), escapes, namespace=notification.namespace)


async def wording(
    renderer: Renderer, notification: Notification, templates: Mapping[str, str], escapes: Escapes
) -> Wording:
    found: dict[str, str] = {}
    for name, template in templates.items():
        try:
            found[name] = await rendered(renderer, notification, template, escapes)
        except RenderError as error:
            problem = _escaped(f"the {name} of this target {error}", escapes)
            plain = [problem, *(_escaped(line, escapes) for line in (*notification.lines, *notification.next))]
            return Wording(_escaped(notification.title, escapes), "\n".join(plain))
    lines = [one_line(line, _MOST_LINE) for line in found.get("text", "").splitlines()[:_MOST_LINES]]
    return Wording(one_line(found.get("title", ""), _MOST_TITLE), "\n".join(lines).strip("\n"))


def _escaped(text: str, escapes: Escapes) -> str:
    for special, escape in escapes:
        text = text.replace(special, escape)
    return text
