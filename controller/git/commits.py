"""Which commit brought a version, for those who show something beside it."""

from __future__ import annotations

from controller.git.history import MOST_COMMITS
from controller.git.order import NothingError
from controller.git.repository import DEPTHS, Repository
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
