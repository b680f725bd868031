"""`gitRecord`: writes to branch `pointsman/state` which version of a Release is healthy (`controller/git/state.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.api import times
from controller.api.configuration import KeptConfiguration
from controller.api.effect import Effect
from controller.api.fields import field, record
from controller.api.git_origin import GitOrigin, Write
from controller.api.resources import CONTROLLER_REVISIONS, Rule
from controller.api.shapes import Record, Text
from controller.effects.carrier import CarriedOut, Carrier, EffectContext, EffectRefusedError, Limits, Owner, payload_of
from controller.effects.git_work import EXAMPLE_ORIGIN, working
from controller.effects.secret_values import RULE
from controller.git import state
from controller.git.commits import content_and_commit
from controller.git.repository import Author
from controller.git.version import Version
from controller.kube.objects import child_name

KIND = "gitRecord"
RULES = (RULE, Rule(CONTROLLER_REVISIONS, ("get",)))
LIMITS = Limits(at_once=2, per_namespace=1, timeout_s=300.0, first_retry_s=2.0, longest_retry_s=900.0)

EXAMPLE: dict[str, Any] = {
    "origin": EXAMPLE_ORIGIN,
    "revision": "bbbbbbbbbb",
    "at": "2026-11-29T12:00:00.000000Z",
}


@record("A payload.")
class Config:
    origin: GitOrigin = field(Record(GitOrigin), "As in the spec.")
    revision: str = field(Text(63, 1), "The healthy version.")
    at: float = field(Text(40), "Since when, in RFC 3339.", convert=times.from_text)


class GitRecord:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        if config.origin.write is Write.NEVER:
            raise EffectRefusedError("gitOrigin.write is Never")
        async with working(self._context, owner, config.origin) as work:
            name = child_name(owner.name, config.revision)
            kept = await self._context.kube.find(CONTROLLER_REVISIONS, owner.namespace, name)
            if kept is None:
                raise EffectRefusedError(f"ControllerRevision {name} is gone")
            content, commit = await content_and_commit(work.place, _version(kept))
            author = Author(work.source.origin.author.name, work.source.origin.author.email)
            healthy = state.Record(config.revision, content, commit, config.at)
            await state.write(work.repository, work.identity, healthy, author)
        return CarriedOut({"revision": config.revision, "commit": commit})


def _version(kept: Mapping[str, Any]) -> Version:
    """Raises EffectRefusedError."""
    data = kept["data"]
    try:
        configuration = KeptConfiguration.from_raw(data["configuration"]) if data.get("configuration") else None
    except ValueError as error:
        raise EffectRefusedError(f"ControllerRevision {kept['metadata']['name']}: {error}") from error
    return Version(data["template"], data.get("ports") or [], configuration)


create = GitRecord
_is_carrier: type[Carrier] = GitRecord
