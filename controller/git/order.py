"""What is to be written to git after a rollback, or after a retry, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from controller.api.git_origin import Write
from controller.api.text import one_line
from controller.git.manifests import Identity
from controller.git.repository import Author

_ATTEMPT = "Pointsman-Attempt"
_MOST_MESSAGE = 1000
_MOST_NAMED = 20
"""Commits that a message names."""


class NothingError(Exception):
    """There is nothing to write; says why."""


class UnseenError(NothingError):
    """The version cannot be read in this way, perhaps in another."""

    def __init__(self, message: str, *, is_configured: bool = False) -> None:
        super().__init__(message)
        self.is_configured = is_configured
        """It depends on ConfigMaps."""


@dataclass(frozen=True)
class Written:
    """What came of it."""

    commit: str = ""
    """On the branch."""
    proposed: str = ""
    """A branch of ours that holds the commit."""
    pull_request: str = ""
    note: str = ""
    """Why nothing was written, or what is left to be done."""


Propose = Callable[[str, str, str], Awaitable[str]]
"""Opens a pull request: branch, title, text; its url. Raises GitError."""


@dataclass(frozen=True)
class Brought:
    """How a version came: from `good` on, by `commits`, of which the last is `bad`."""

    good: str
    """The last commit that asked for the version to return to; where none is found, the one before `bad`."""
    bad: str
    commits: tuple[str, ...]
    """Those that changed the version, oldest first."""

    @property
    def names(self) -> str:
        names = [commit[:10] for commit in self.commits[-_MOST_NAMED:]]
        left_out = len(self.commits) - len(names)
        if left_out:
            names.insert(0, f"{left_out} more")
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True)
class Change:
    """Of files, by name: mode and text."""

    files: Mapping[str, tuple[str, str]]
    brought: Brought
    is_whole: bool
    """The result asks for the version that it is to ask for."""


@dataclass(frozen=True)
class Rollback:
    """What happened in the cluster, and where its manifests are."""

    identity: Identity
    rejected: str
    stable: str
    attempt: int
    at: float
    message: str
    evidence: str
    branch: str
    path: str
    write: Write
    author: Author

    @property
    def own_branch(self) -> str:
        return f"pointsman/rollback-{self.identity.name}-{self.rejected}"

    def branches_for(self, branch: str) -> tuple[str, str]:
        """Where what is proposed may stand: the second one where people have worked on an earlier attempt's."""
        return branch, f"{branch}-{self.attempt}"

    @property
    def subject(self) -> str:
        return f"Roll back {self.identity} to {self.stable}"

    @property
    def wanted(self) -> str:
        """The version that git is to ask for."""
        return self.stable

    @property
    def why(self) -> str:
        return f"{self.rejected} was rolled back: {one_line(self.message, _MOST_MESSAGE)}"

    @property
    def trailers(self) -> dict[str, str]:
        """Which it is found by: the same rollback never commits twice."""
        return {"Pointsman-Rejected-Revision": self.rejected, **self._whose, _ATTEMPT: str(self.attempt)}

    @property
    def of_its_kind(self) -> dict[str, str]:
        """Trailers of this one and of those like it that were written for other attempts."""
        return {name: value for name, value in self.trailers.items() if name != _ATTEMPT}

    @property
    def of_any_attempt(self) -> dict[str, str]:
        """Trailers of each commit that rolled this version back."""
        return {"Pointsman-Rejected-Revision": self.rejected, **self._whose}

    @property
    def _whose(self) -> dict[str, str]:
        return {"Pointsman-Release": f"{self.identity.cluster}/{self.identity}"}

    def text(self, change: Change) -> str:
        """The message of the commit, which is that of the pull request, too."""
        lines = [
            self.subject,
            "",
            self.why,
            "",
            f"This takes back what {change.brought.names} changed in the Release; later edits stay.",
        ]
        if not change.is_whole:
            lines += [
                "",
                f"The result is not {self.wanted}: other commits changed the version, too. Please check it.",
            ]
        trailers = {**self.trailers, "Pointsman-Restored-Commit": change.brought.good}
        if self.evidence:
            trailers["Pointsman-Evidence"] = one_line(self.evidence, _MOST_MESSAGE)
        return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in trailers.items()), ""])


@dataclass(frozen=True)
class Retry(Rollback):
    """The rollback was a false alarm: the rejected version may come again. `message` says who said so."""

    @property
    def own_branch(self) -> str:
        return f"pointsman/retry-{self.identity.name}-{self.rejected}"

    @property
    def subject(self) -> str:
        return f"Try {self.rejected} of {self.identity} again"

    @property
    def wanted(self) -> str:
        return self.rejected

    @property
    def why(self) -> str:
        return f"{self.rejected} is tried again: {one_line(self.message, _MOST_MESSAGE)}"

    @property
    def trailers(self) -> dict[str, str]:
        return {"Pointsman-Retried-Revision": self.rejected, **self._whose, _ATTEMPT: str(self.attempt)}

    @property
    def rollback_branch(self) -> str:
        """On which the rollback waits where nobody has merged it."""
        return f"pointsman/rollback-{self.identity.name}-{self.rejected}"
