"""Which commit brought a version, for those who show something beside it, or record it."""

from __future__ import annotations

from controller.git.history import MOST_COMMITS
from controller.git.order import NothingError
from controller.git.place import Place
from controller.git.repository import DEPTHS, Repository
from controller.git.version import Version
from controller.git.view import View


async def commit_that_brought(repository: Repository, view: View, branch: str, revision: str) -> str:
    """The oldest of the newest commits in a row that ask for it. Raises NothingError, GitError."""
    head = await repository.fetch(branch, DEPTHS[0])
    paths = await view.paths(head)
    for depth in DEPTHS:
        if depth != DEPTHS[0]:
            await repository.deepen(depth)
        commits = await repository.history(head, paths, MOST_COMMITS)
        found, ends = "", False
        for commit in commits:
            if revision in await view.wanted(commit):
                found = commit
            elif found:
                ends = True
                break
        if ends or len(commits) >= MOST_COMMITS or not await repository.is_shallow():
            break
    if not found:
        raise NothingError(f"no commit of the last {MOST_COMMITS} under {view.where} brought {revision}")
    return found


async def found_by_either(where: Place, revision: str) -> str:
    """As plain manifests where those say it, else as they are rendered. Raises NothingError, GitError."""
    try:
        return await commit_that_brought(where.repository, where.plain(), where.branch, revision)
    except NothingError as error:
        try:
            return await commit_that_brought(where.repository, where.rendered(), where.branch, revision)
        except NothingError as second:
            raise error if str(error) == str(second) else NothingError(f"{error}; {second}") from second


async def content_and_commit(where: Place, version: Version) -> tuple[str, str]:
    """By what a version is recorded, and the commit that brought it. Raises GitError.

    Where git does not hold what its ConfigMaps do, it is recorded without that. No commit: git alone does not make it.
    """
    anywhere = where.of_any_cluster
    content = version.content(where.identity)
    if version.configuration is not None:
        try:
            return content, await commit_that_brought(where.repository, anywhere.rendered(), where.branch, content)
        except NothingError:
            plain = version.plain.content(where.identity)
    else:
        plain = content
    try:
        return plain, await found_by_either(anywhere, plain)
    except NothingError:
        return content, ""
