"""After a rollback: the bad commit is undone by one commit of ours, or a pull request proposes that.

1. The commit that brought the rejected revision is looked for in the history of the path (`history.py`), with those
   that were pushed together with it.
2. What they did to the Release is taken out, and nothing else (`undo.py`); the result has to be stable's revision.
3. One commit says why. It is pushed to the branch; where another was faster, all of it begins anew on what is there.
4. Where the branch does not take it, or must not be written, it goes to a branch of ours, for a pull request.

A retry takes that commit back in the same way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from controller.git.history import brought
from controller.git.order import Brought, Change, NothingError, Propose, Retry, Rollback, UnseenError, Written
from controller.git.plain import PlainView
from controller.git.rendered import RenderedView
from controller.git.repository import DEPTHS, Repository
from controller.git.view import View
from controller.git.writing import newest_is_ours, write

__all__ = ["Propose", "Retry", "Rollback", "Written", "bring_back", "roll_back"]


async def roll_back(repository: Repository, order: Rollback, propose: Propose) -> Written:
    """Raises GitError."""

    async def change_of(head: str) -> Change:
        async def change_by(view: View) -> Change:
            await _check(view, order, head)
            found = await brought(repository, view, head, rejected=order.rejected, stable=order.stable)
            return await _change(view, order, found, head)

        return await _by_either(repository, order, head, change_by)

    return await write(repository, order, change_of, propose)


async def bring_back(repository: Repository, order: Retry, propose: Propose) -> Written:
    """What the commit of the rollback took away comes again. Raises GitError."""

    async def change_of(head: str) -> Change:
        async def change_by(view: View) -> Change:
            await _check(view, order, head)
            commit = await _rollback_commit(repository, order, head)
            parent = await repository.parent(commit)
            if not parent:
                raise NothingError(
                    f"what {commit[:10]} took back is beyond the history that is read; revert it by hand"
                )
            if order.rejected not in await view.wanted(parent):
                raise UnseenError(f"{parent[:10]} does not ask for {order.rejected}; revert {commit[:10]} by hand")
            return await _change(view, order, Brought(parent, commit, (commit,)), head)

        return await _by_either(repository, order, head, change_by)

    written = await write(repository, order, change_of, propose)
    withdrawn = await _withdrawn(repository, order) if written.note and not written.proposed else ""
    if withdrawn:
        return Written(note=f"{written.note}; branch {withdrawn} with the rollback is deleted")
    return written


async def _by_either(
    repository: Repository, order: Rollback, head: str, change_by: Callable[[View], Awaitable[Change]]
) -> Change:
    """As plain manifests where those say which version it is: no program runs. Raises NothingError, GitError."""
    where = (repository, order.identity, order.branch, order.path)
    try:
        return await change_by(PlainView(*where))
    except UnseenError as error:
        rendered = RenderedView(*where)
        if not error.is_configured and not await rendered.is_kustomized(head):
            raise
        try:
            return await change_by(rendered)
        except NothingError as second:
            if error.is_configured or str(error) == str(second):
                raise
            raise NothingError(f"{error}; {second}") from error


async def _check(view: View, order: Rollback, head: str) -> None:
    """Raises UnseenError, NothingError, GitError."""
    await view.check(head)
    if order.wanted in await view.wanted(head):
        # of plain manifests only: a patch may make another version of it
        raise UnseenError(f"{order.branch} asks for {order.wanted} already")


async def _change(view: View, order: Rollback, found: Brought, head: str) -> Change:
    """Raises NothingError, GitError."""
    files = await view.undone(found.good, found.bad, head, wanted=order.wanted)
    if not files:
        raise NothingError("nothing is left of what the commit changed")
    return Change(files, found, order.wanted in await view.wanted_with(head, files))


async def _rollback_commit(repository: Repository, order: Retry, head: str) -> str:
    """The newest one of the branch that rolled the version back. Raises NothingError, GitError."""
    for depth in DEPTHS:
        if depth != DEPTHS[0]:
            await repository.deepen(depth)
        found = await repository.with_trailers(head, order.of_any_attempt)
        if found or not await repository.is_shallow():
            break
    if not found:
        raise NothingError(f"{order.branch} has no commit that rolled {order.rejected} back")
    return found


async def _withdrawn(repository: Repository, order: Retry) -> str:
    """The branch with a rollback that nobody merged, if it is gone. One with commits of people stays."""
    for branch in order.branches_for(order.rollback_branch):
        if not await repository.remote_commit(branch):
            continue
        newest = await newest_is_ours(repository, branch, order.of_any_attempt)
        if newest and await repository.delete(newest, branch):
            return branch
    return ""
