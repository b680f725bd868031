"""`git`: writes to the repository of a Release's manifest that its version was rolled back, or is tried again.

All is done in a fresh copy of the branch (`controller/git`), and is found done by the commit's trailers: a crash
between the push and the status costs nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar, assert_never

from controller.api import times
from controller.api.effect import Effect
from controller.api.fields import Absent, field, record
from controller.api.git_origin import GIT, GitOrigin, Write, Writing
from controller.api.shapes import Integer, Record, Text, Word
from controller.api.text import one_line
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectRefusedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.git_work import EXAMPLE_ORIGIN, Work, working
from controller.effects.secret_values import RULE
from controller.git.forge import proposing
from controller.git.repository import Author
from controller.git.rollback import Retry, Rollback, Written, bring_back, roll_back

KIND = GIT
RULES = (RULE,)
LIMITS = Limits(at_once=2, per_namespace=1, timeout_s=300.0, first_retry_s=2.0, longest_retry_s=300.0)
"""Each has a copy on the disk, and git takes memory."""

_MOST_NOTE = 512

Order = TypeVar("Order", bound=Rollback)

EXAMPLE: dict[str, Any] = {
    "origin": EXAMPLE_ORIGIN,
    "revision": "bbbbbbbbbb",
    "stable": "aaaaaaaaaa",
    "attempt": 3,
    "at": "2026-11-29T12:00:00.000000Z",
    "message": "errors 12/240 vs 3/4600",
    "evidence": "",
}


@record("A payload.")
class Config:
    origin: GitOrigin = field(Record(GitOrigin), "As in the spec.")
    revision: str = field(Text(63, 1), "The version that was rejected.")
    stable: str = field(Text(63, 1), "The version that serves instead.")
    attempt: int = field(Integer(0), "The number of the rollout.")
    at: float = field(Text(40), "When it was rejected, in RFC 3339.", convert=times.from_text)
    message: str = field(Text(1024), "Why.")
    writing: Writing = field(
        Word(tuple(map(str, Writing))),
        "The rollback, or that it was a false alarm.",
        default="Rollback",
        convert=Writing,
    )
    evidence: str = field(Text(1024), "The counts.", default=Absent(""))


class GitRollback:
    def __init__(self, context: EffectContext) -> None:
        self._context = context

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        if config.origin.write is Write.NEVER:
            raise EffectRefusedError("gitOrigin.write is Never")
        written = await self._write(owner, config)
        return CarriedOut(
            {
                "commit": written.commit,
                "branch": written.proposed,
                "pullRequest": written.pull_request,
                "note": one_line(written.note, _MOST_NOTE),  # it may name a file, whose name is foreign
            }
        )

    async def _write(self, owner: Owner, config: Config) -> Written:
        """Raises EffectFailedError, EffectRefusedError, KubeError."""
        async with working(self._context, owner, config.origin) as work:
            origin, repository = work.source.origin, work.repository
            propose = proposing(origin.forge, work.remote, self._context.addresses.resolve, origin.branch)
            match config.writing:
                case Writing.ROLLBACK:
                    return await roll_back(repository, _order(work, config, Rollback), propose)
                case Writing.RETRY:
                    return await bring_back(repository, _order(work, config, Retry), propose)
                case _:
                    assert_never(config.writing)


create = GitRollback
_is_carrier: type[Carrier] = GitRollback


def _order(work: Work, config: Config, kind: type[Order]) -> Order:
    origin = work.source.origin  # where the url is found, so are the branch and the path
    return kind(
        identity=work.identity,
        rejected=config.revision,
        stable=config.stable,
        attempt=config.attempt,
        at=config.at,
        message=config.message,
        evidence=config.evidence,
        branch=origin.branch,
        path=origin.path,
        write=origin.write,
        author=Author(origin.author.name, origin.author.email),
    )
