"""`gitReport`: shows beside the commit that caused a release how far it is, and how it ended.

A status of the commit under the context `pointsman/NAMESPACE/NAME`, which is posted only where it is not so already;
in the end one comment, which is found again by a marker in its text. A crash between two calls costs nothing.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from controller.api.effect import Effect
from controller.api.fields import Absent, field, record
from controller.api.git_origin import GitOrigin, Report
from controller.api.shapes import Integer, Record, Text, Word
from controller.api.text import one_line
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    EffectRefusedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.git_remote import remote_of
from controller.effects.git_source import Source, source_of
from controller.effects.git_work import EXAMPLE_ORIGIN, git_failures
from controller.effects.secret_values import RULE
from controller.git.commits import found_by_either
from controller.git.forge import Reports, reports
from controller.git.forges.calls import Comment, CommitState, CommitStatus
from controller.git.manifests import Identity
from controller.git.order import NothingError
from controller.git.place import Place
from controller.git.remote import GitError, RefusedError, Remote
from controller.git.repository import opened

KIND = "gitReport"
RULES = (RULE,)
LIMITS = Limits(at_once=16, per_namespace=2, timeout_s=180.0, first_retry_s=2.0, longest_retry_s=300.0)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_MESSAGE = 140
_COPIES = 2
"""Of repositories at once, for all that is reported."""
_STATES = {
    "pending": CommitState.PENDING,
    "success": CommitState.SUCCESS,
    "failure": CommitState.FAILURE,
    "ended": CommitState.ENDED,
}

EXAMPLE: dict[str, Any] = {
    "origin": {**EXAMPLE_ORIGIN, "write": "Never", "report": "StatusAndComment", "forge": "Gitea"},
    "revision": "bbbbbbbbbb",
    "stable": "aaaaaaaaaa",
    "attempt": 3,
    "state": "failure",
    "message": "rolled back, errors 12/240 vs 3/4600",
    "evidence": "errors 12/240 vs 3/4600",
    "commit": "9f31c07a529f31c07a529f31c07a529f31c07a52",
}


@record("A payload.")
class Config:
    origin: GitOrigin = field(Record(GitOrigin), "As in the spec.")
    revision: str = field(Text(63, 1), "The version.")
    attempt: int = field(Integer(0), "The number of the rollout.")
    state: str = field(Word(tuple(_STATES)), "How far it is.")
    message: str = field(Text(1024), "That in words.")
    stable: str = field(Text(63), "The version that is stable now.", default=Absent(""))
    evidence: str = field(Text(1024), "The counts, or why.", default=Absent(""))
    commit: str = field(Text(64), "The commit that brought the version, where that is known.", default=Absent(""))


class GitReport:
    def __init__(self, context: EffectContext) -> None:
        self._context = context
        self._copies = asyncio.Semaphore(_COPIES)
        self._quiet: dict[tuple[str, str], float] = {}
        """By namespace and url: until when the forge wants to be left alone. The state may change meanwhile."""

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        if config.origin.report is Report.NEVER:
            raise EffectRefusedError("gitOrigin.report is Never")
        self._wait(owner, config)
        with git_failures():
            try:
                return CarriedOut({"commit": await self._report(owner, config)})
            except GitError as error:
                if error.retry_after:
                    self._quiet[owner.namespace, config.origin.url] = self._context.clock() + error.retry_after
                raise

    def _wait(self, owner: Owner, config: Config) -> None:
        """Raises EffectFailedError while the forge wants to be left alone."""
        now = self._context.clock()
        self._quiet = {key: until for key, until in self._quiet.items() if until > now}
        until = self._quiet.get((owner.namespace, config.origin.url))
        if until is not None:
            raise EffectFailedError("the forge's API takes no more calls for now", retry_after=until - now)

    async def _report(self, owner: Owner, config: Config) -> str:
        """The commit. Raises GitError, RefusedError, TargetError, SecretError, KubeError, OSError."""
        source = await source_of(self._context.kube, owner, config.origin)
        remote = await remote_of(self._context.kube, owner.namespace, source.origin)
        forge = reports(source.origin.forge, remote, self._context.addresses.resolve)
        commit = config.commit or await self._looked_up(owner, config, source, remote)
        if not _COMMIT.fullmatch(commit):
            raise RefusedError(f"annotation pointsman.dev/commit is no commit: {one_line(commit, 80)!r}")
        context = f"pointsman/{owner.namespace}/{owner.name}"
        message = one_line(config.message, _MOST_MESSAGE)
        await forge.status(CommitStatus(commit, context, _STATES[config.state], message))
        if config.state in ("success", "failure") and config.origin.report is Report.COMMENT:
            await self._comment(forge, owner, config, commit)
        return commit

    async def _looked_up(self, owner: Owner, config: Config, source: Source, remote: Remote) -> str:
        """In git; where the manifest there is not the whole version, the one that Flux or Argo CD has applied.

        Raises GitError, RefusedError, TargetError, OSError.
        """
        origin, identity = source.origin, Identity(self._context.cluster, owner.namespace, owner.name)
        async with self._copies, opened(remote, self._context.addresses.resolve) as repository:
            try:
                return await found_by_either(Place(repository, identity, origin.branch, origin.path), config.revision)
            except NothingError as error:
                if source.commit:
                    return source.commit
                raise RefusedError(f"{error}; name the commit in annotation pointsman.dev/commit") from error

    async def _comment(self, forge: Reports, owner: Owner, config: Config, commit: str) -> None:
        where = f"{self._context.cluster}/{owner.namespace}/{owner.name}"
        marker = f"<!-- pointsman {where} {config.revision} {config.attempt} -->"
        await forge.comment(Comment(commit, f"{_text(owner, config)}\n\n{marker}\n", marker))


create = GitReport
_is_carrier: type[Carrier] = GitReport


def _text(owner: Owner, config: Config) -> str:
    """Text from metrics and people is set as code, so that it mentions no user and embeds no image."""
    why = one_line(config.evidence, 512).replace("`", "'")
    name = f"`{owner.namespace}/{owner.name}`"
    if config.state == "success":
        lines = [f"Pointsman promoted this commit's version of {name}, `{config.revision}`."]
    else:
        lines = [f"Pointsman rolled back this commit's version of {name}, `{config.revision}`."]
        if config.stable:
            lines.append(f"`{config.stable}` has all of the traffic.")
    return "\n\n".join([*lines, *([f"`{why}`"] if why.strip() else [])])
