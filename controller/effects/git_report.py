"""`gitReport`: shows beside the commit that caused a release how far it is, and how it ended.

A status of the commit under the context `pointsman/NAMESPACE/NAME`, which is posted only where it is not so already;
in the end one comment, which is found again by a marker in its text. A crash between two calls costs nothing.
"""

from __future__ import annotations

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
from controller.effects.secret_values import RULE
from controller.git.forge import Reports, reports
from controller.git.forges.calls import Comment, CommitState, CommitStatus
from controller.git.remote import GitError, RefusedError
from controller.kube.client import KubeError
from controller.kube.secrets import SecretError
from controller.ports import TargetError

KIND = "gitReport"
RULES = (RULE,)
LIMITS = Limits(at_once=16, per_namespace=2, timeout_s=180.0, first_retry_s=2.0, longest_retry_s=300.0)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_DESCRIPTION = 140
_STATES = {
    "pending": CommitState.PENDING,
    "success": CommitState.SUCCESS,
    "failure": CommitState.FAILURE,
    "ended": CommitState.ENDED,
}

EXAMPLE: dict[str, Any] = {
    "origin": {
        "url": "https://git.qa/team/shop.git",
        "branch": "main",
        "path": "apps",
        "write": "Never",
        "report": "StatusAndComment",
        "forge": "Gitea",
        "secretRef": {"name": "shop-git"},
        "author": {"name": "Pointsman", "email": "pointsman@shop.qa"},
    },
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
        self._quiet: dict[tuple[str, str], float] = {}
        """By namespace and url: until when the forge wants to be left alone. The state may change meanwhile."""

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        if config.origin.report is Report.NEVER:
            raise EffectRefusedError("gitOrigin.report is Never")
        self._wait(owner, config)
        try:
            return CarriedOut({"commit": await self._report(owner, config)})
        except RefusedError as error:
            raise EffectRefusedError(str(error)) from error
        except GitError as error:
            if error.retry_after:
                self._quiet[owner.namespace, config.origin.url] = self._context.clock() + error.retry_after
            raise EffectFailedError(str(error), retry_after=error.retry_after) from error
        except (TargetError, SecretError) as error:
            raise EffectFailedError(str(error)) from error
        except KubeError as error:
            raise EffectFailedError(f"the API server cannot be reached: {error}") from error

    async def close(self) -> None:
        """Nothing is kept open between two calls."""

    def _wait(self, owner: Owner, config: Config) -> None:
        """Raises EffectFailedError while the forge wants to be left alone."""
        now = self._context.clock()
        self._quiet = {key: until for key, until in self._quiet.items() if until > now}
        until = self._quiet.get((owner.namespace, config.origin.url))
        if until is not None:
            raise EffectFailedError("the forge's API takes no more calls for now", retry_after=until - now)

    async def _report(self, owner: Owner, config: Config) -> str:
        """The commit. Raises GitError, RefusedError, TargetError, SecretError, KubeError."""
        remote = await remote_of(self._context.kube, owner.namespace, config.origin)
        forge = reports(config.origin.forge, remote, self._context.addresses.resolve)
        commit = config.commit
        if not _COMMIT.fullmatch(commit):
            raise RefusedError(f"annotation pointsman.dev/commit is no commit: {one_line(commit, 80)!r}")
        context = f"pointsman/{owner.namespace}/{owner.name}"
        description = one_line(config.message, _MOST_DESCRIPTION)
        await forge.status(CommitStatus(commit, context, _STATES[config.state], description))
        if config.state in ("success", "failure") and config.origin.report is Report.COMMENT:
            await self._comment(forge, owner, config, commit)
        return commit

    async def _comment(self, forge: Reports, owner: Owner, config: Config, commit: str) -> None:
        where = f"{self._context.cluster}/{owner.namespace}/{owner.name}"
        marker = f"<!-- pointsman {where} {config.revision} {config.attempt} -->"
        await forge.comment(Comment(commit, f"{_text(owner, config)}\n\n{marker}\n", marker))


create = GitReport
_is_carrier: type[Carrier] = GitReport


def _text(owner: Owner, config: Config) -> str:
    """What comes from metrics and people stands as code: it mentions nobody, and shows no pictures."""
    why = one_line(config.evidence, 512).replace("`", "'")
    name = f"`{owner.namespace}/{owner.name}`"
    if config.state == "success":
        lines = [f"Pointsman promoted this commit's version of {name}, `{config.revision}`."]
    else:
        lines = [f"Pointsman rolled back this commit's version of {name}, `{config.revision}`."]
        if config.stable:
            lines.append(f"`{config.stable}` has all of the traffic.")
    return "\n\n".join([*lines, *([f"`{why}`"] if why.strip() else [])])
