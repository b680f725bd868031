"""Which commits brought the bad version."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from controller.git.order import Brought, UnseenError
from controller.git.repository import DEPTHS, Repository
from controller.git.view import View

MOST_COMMITS = 500
"""Of the path, in which the bad one and the last good one are looked for."""


async def brought(repository: Repository, view: View, head: str, *, rejected: str, stable: str) -> Brought:
    """Raises NothingError, UnseenError, GitError."""
    found = None
    paths = await view.paths(head)
    for depth in DEPTHS:
        if depth != DEPTHS[0]:
            await repository.deepen(depth)
        commits = await repository.history(head, paths, MOST_COMMITS)
        found = await _bad_after_good(repository, view, commits, rejected=rejected, stable=stable)
        is_all = len(commits) >= MOST_COMMITS or not await repository.is_shallow()
        if is_all or (found is not None and stable in await view.wanted(found.good)):
            break
    if found is None:
        raise UnseenError(f"no commit of the last {MOST_COMMITS} under {view.where} brought {rejected}")
    return found


async def _bad_after_good(
    repository: Repository, view: View, commits: Sequence[str], *, rejected: str, stable: str
) -> Brought | None:
    """The bad commit is the oldest of the newest in a row that ask for the rejected version."""
    asking = None
    for index, commit in enumerate(commits):
        if rejected in await view.wanted(commit):
            asking = index
        elif asking is not None:
            break
    if asking is None:
        return None
    bad = commits[asking]
    parent = await repository.parent(bad)
    if not parent:
        return None
    if stable in await view.wanted(parent):
        return Brought(parent, bad, (bad,))
    older = commits[asking:]
    for index, commit in enumerate(older[1:], start=1):
        if stable in await view.wanted(commit):
            return Brought(commit, bad, await _changing(view, older[: index + 1]))
    return Brought(parent, bad, (bad,))


async def _changing(view: View, commits: Sequence[str]) -> tuple[str, ...]:
    """Those of them, newest first with the good one at the end, that changed the version."""
    changing = [
        commit for commit, before in pairwise(commits) if await view.wanted(commit) != await view.wanted(before)
    ]
    return tuple(reversed(changing))
