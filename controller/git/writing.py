"""One commit of ours: to the branch where it takes it, else to a branch of ours, for a pull request. Never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from controller.api.git_origin import Write
from controller.backoff import delay_s
from controller.git.order import Change, NothingError, Propose, Rollback, Written
from controller.git.remote import GitError
from controller.git.repository import DEPTHS, Repository

TRIES = 5


async def write(
    repository: Repository, order: Rollback, change_of: Callable[[str], Awaitable[Change]], propose: Propose
) -> Written:
    """`change_of` a commit, the newest of the branch; it raises NothingError, GitError. Raises GitError."""
    refused = 0
    for attempt in range(TRIES):
        head = await repository.fetch(order.branch, DEPTHS[0])
        known = await repository.with_trailers(head, order.trailers)
        if known:
            return Written(commit=known)
        try:
            change = await change_of(head)
        except NothingError as error:
            return Written(note=str(error))
        text = order.text(change)
        commit = await repository.commit(head, change.files, text, order.author, order.at)
        if order.write is Write.PUSH and change.is_whole:
            if await repository.push(commit, order.branch):
                return Written(commit=commit)
            # another was faster, or the branch is protected; once it may have been the network
            refused += await repository.remote_commit(order.branch) == head
            if refused <= 1:
                await asyncio.sleep(delay_s(attempt, first_s=0.2, longest_s=5.0))
                continue
        return await _proposed(repository, order, commit, text, propose)
    raise GitError(f"{order.branch} took none of {TRIES} pushes: {repository.refusal}")


async def _proposed(repository: Repository, order: Rollback, commit: str, text: str, propose: Propose) -> Written:
    refused, known = repository.refusal, False
    for branch in order.branches_for(order.own_branch):
        there = await repository.remote_commit(branch)
        known = there == commit or (there != "" and await _holds(repository, order, branch))
        if known or not there or await newest_is_ours(repository, branch, order.of_its_kind):
            break
    else:
        raise GitError(f"{branch} has commits of others, and not the one that is proposed; merge or delete it")
    if not known and not await repository.push(commit, branch, instead_of=there):
        raise GitError(repository.refusal or refused)
    title, _, body = text.partition("\n\n")
    url = await propose(branch, title, body)
    note = "" if url else f"open a pull request from {branch} to {order.branch}"
    return Written(proposed=branch, pull_request=url, note=note)


async def _holds(repository: Repository, order: Rollback, branch: str) -> bool:
    """Whether the branch of ours has this commit already, and since then perhaps commits of people."""
    return bool(await repository.with_trailers(await repository.fetch(branch, DEPTHS[0]), order.trailers))


async def newest_is_ours(repository: Repository, branch: str, trailers: Mapping[str, str]) -> str:
    """The newest commit of the branch where it has these trailers; empty: people have written there since."""
    newest = await repository.fetch(branch, 1)
    return newest if newest == await repository.with_trailers(newest, trailers) else ""
