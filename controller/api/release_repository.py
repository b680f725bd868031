"""What a ReleaseRepository is, as people write it: a folder of a repository that the cluster follows."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.fields import Absent, Place, field, parse, record
from controller.api.git_origin import BRANCH, GIT_URL, PATH, GitSecret
from controller.api.secret import SecretRef
from controller.api.shapes import NAME, Duration, Flag, Record, Text


@record()
class Webhook:
    """Who may say that there is a new commit."""

    secret: SecretRef = field(
        Record(SecretRef),
        "A Secret of this namespace with the word by which GitHub and Gitea sign, and that GitLab sends.",
        key="secretRef",
    )


@record("A folder of a git repository whose manifests `pointsman sync` applies.")
class RepositorySpec:
    url: str = field(GIT_URL, "Of the repository: https or ssh, without credentials.")
    account: str = field(
        Text(253, 1, NAME),
        "The ServiceAccount of this namespace with whose rights everything is read and applied, secretRef included.",
        key="serviceAccountName",
    )
    branch: str = field(Text(200, 1, BRANCH), "The branch that the cluster follows.", default="main")
    path: str = field(
        Text(500, 0, PATH),
        "The folder with the manifests, all folders in it included. Where it has a kustomization.yaml, that says what "
        "is applied. Default: the whole repository.",
        default=Absent(""),
    )
    secret: GitSecret | None = field(
        Record(GitSecret),
        "What opens the repository. Its annotation pointsman.dev/git-urls names the url, or what that begins with.",
        default=Absent(),
        key="secretRef",
    )
    interval: float = field(
        Duration("10s"), "How often the branch and the cluster are compared, at least 10s.", default="1m"
    )
    prune: bool = field(
        Flag(),
        "Delete what was applied and has gone from the repository. Releases, Namespaces, PersistentVolumeClaims and "
        "CustomResourceDefinitions go only with the annotation pointsman.dev/prune: allow.",
        default=False,
    )
    suspend: bool = field(Flag(), "Neither fetch nor apply.", default=False)
    webhook: Webhook | None = field(Record(Webhook), "Accept webhooks of the forge.", default=Absent())


def parse_repository(spec: object) -> RepositorySpec:
    """Raises SpecError."""
    return parse(RepositorySpec, spec if isinstance(spec, Mapping) else {}, Place("spec"))
