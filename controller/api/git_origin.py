"""`spec.gitOrigin`: where the manifest of a Release is kept, and whether a rollback may be written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from controller.api.fields import Absent, field, record
from controller.api.reading import SpecError
from controller.api.shapes import NAME, Custom, Record, Text, Word, a_string

GIT = "git"
"""The kind of effect that writes there."""
MOST_URL = 512
BRANCH = r"^[A-Za-z0-9][-._A-Za-z0-9]*(/[A-Za-z0-9][-._A-Za-z0-9]*)*$"
PATH = r"^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$"
_AUTHOR = r"^[^<>\x00-\x1f\x7f]*[^<>\x00-\x20\x7f.,:;\"'\\][^<>\x00-\x1f\x7f]*$"
"""Without what a terminal obeys; git takes no name that is dots and quotes alone."""
_HOST = r"[A-Za-z0-9][-._A-Za-z0-9]*(:[0-9]+)?"
"""curl decodes %2e in a host and drops a leading +: it would call another one than the one that was checked."""
_URL: dict[str, Any] = {
    "type": "string",
    "pattern": rf"^(https://{_HOST}|ssh://([._A-Za-z0-9][-._A-Za-z0-9]*@)?{_HOST})/[^\s?#]+$",
    "maxLength": MOST_URL,
}


class Write(StrEnum):
    NEVER = "Never"
    PULL_REQUEST = "PullRequest"
    PUSH = "Push"


class Writing(StrEnum):
    """What an effect writes."""

    ROLLBACK = "Rollback"
    RETRY = "Retry"


class Forge(StrEnum):
    GITEA = "Gitea"
    GITHUB = "GitHub"
    GITLAB = "GitLab"


class Report(StrEnum):
    """What the forge shows beside the commit that caused a release."""

    NEVER = "Never"
    STATUS = "Status"
    COMMENT = "StatusAndComment"


def parse_git_url(url: str, path: str) -> str:
    """Raises SpecError. A password in it would stand in the status."""
    if len(url) > MOST_URL or not url.isascii() or not url.isprintable() or not re.search(_URL["pattern"], url):
        raise SpecError(path, "is not an https or ssh url such as https://git.qa/team/shop.git")
    try:
        sound = urlsplit(url).port != 0
    except ValueError:
        sound = False
    if not sound:
        raise SpecError(path, "has a port that cannot be")
    return url


GIT_URL = Custom(_URL, lambda value, place: parse_git_url(a_string(value, place), place.path))


@record()
class GitSecret:
    name: str = field(
        Text(253, 1, NAME),
        "Name of the Secret, with the keys that Flux has: username and password (or a token), or identity and "
        "known_hosts; ca.crt.",
    )


@record()
class GitSigningSecret:
    name: str = field(
        Text(253, 1, NAME),
        "Name of the Secret: a private key without a passphrase, SSH's under identity or ssh-privatekey, or OpenPGP's "
        "under git.asc.",
    )


@record()
class GitAuthor:
    name: str = field(Text(100, 1, _AUTHOR), "Name.", default="Pointsman")
    email: str = field(Text(200, 3, r"^[^<>\s]+@[^<>\s]+$"), "Address.", default="pointsman@localhost")


@record()
class GitOrigin:
    """Where a manifest is kept."""

    url: str = field(
        GIT_URL,
        "Of the repository: https or ssh, without credentials. Default: url, branch, path and, in the same namespace, "
        "secretRef are those of the ReleaseRepository, the Flux Kustomization or the Argo CD Application that has "
        "applied the Release.",
        default=Absent(""),
    )
    branch: str = field(Text(200, 1, BRANCH), "The branch that the cluster follows.", default="main")
    path: str = field(
        Text(500, 0, PATH),
        "The folder with the manifest and its kustomization. Default: the whole repository.",
        default=Absent(""),
    )
    secret: GitSecret | None = field(
        Record(GitSecret),
        "What opens the repository. Its annotation pointsman.dev/git-urls names the url, or what that begins with.",
        default=Absent(),
        key="secretRef",
    )
    write: Write = field(
        Word(tuple(map(str, Write))),
        "What a rollback writes. Never: nothing. PullRequest: a branch and a pull request. Push: a commit on the "
        "branch; a pull request where the branch is protected, or not everything could be taken back. A path that "
        "several clusters follow wants PullRequest.",
        default="Never",
        convert=Write,
    )
    forge: Forge | None = field(
        Word(tuple(map(str, Forge))),
        "Whose API opens pull requests. Default: by the host name, for github.com, gitlab.com, gitea.com and "
        "codeberg.org; with none the branch is pushed, and a person opens the pull request.",
        default=Absent(),
        convert=Forge,
    )
    author: GitAuthor = field(Record(GitAuthor), "Of the commits.", default={})
    signing_secret: GitSigningSecret | None = field(
        Record(GitSigningSecret),
        "What signs the commits, annotated in the same way. Default: they are not signed.",
        default=Absent(),
        key="signingSecretRef",
    )
    report: Report = field(
        Word(tuple(map(str, Report))),
        "What the forge shows beside the commit that caused a release. Status: pending, success or failure, with the "
        "share or the counts. StatusAndComment: one comment at the end, too. Needs a token for the forge's API; "
        "`write` may be Never.",
        default="Never",
        convert=Report,
    )

    def to_raw(self) -> Mapping[str, Any]:
        """As people write it. The status keeps it while a commit is owed."""
        raw: dict[str, Any] = {"branch": self.branch, "write": str(self.write)}
        if self.url:
            raw["url"] = self.url
        raw["author"] = {"name": self.author.name, "email": self.author.email}
        if self.path:
            raw["path"] = self.path
        if self.secret is not None:
            raw["secretRef"] = {"name": self.secret.name}
        if self.signing_secret is not None:
            raw["signingSecretRef"] = {"name": self.signing_secret.name}
        if self.forge is not None:
            raw["forge"] = str(self.forge)
        if self.report is not Report.NEVER:
            raw["report"] = str(self.report)
        return raw
