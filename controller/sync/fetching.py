"""Git, beside the passes: one task for each repository, so one that hangs delays no other and no pass."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from controller.api.text import one_line
from controller.git.remote import GitError, RefusedError, Remote
from controller.git.repository import opened
from controller.kube.objects import Key
from controller.ports import Resolve, TargetError
from controller.sync.rendering import MOST_FILE, Rendered, render
from controller.turns import Turns

_LOG = logging.getLogger(__name__)
TIMEOUT_S = 300.0
_AT_ONCE = 32
_RENDERED_AT_ONCE = 2
"""Each has a parser's process, with its memory."""
_MOST_MESSAGE = 500


@dataclass(frozen=True)
class Source:
    """What is fetched; another one makes what was fetched before worthless."""

    url: str
    branch: str
    path: str


@dataclass(frozen=True)
class Outcome:
    """Of the last fetch."""

    source: Source
    at: float
    """When it ended, by the loop's clock."""
    rendered: Rendered | None
    """Of an earlier fetch where this one failed; None: none has worked yet."""
    problem: str = ""
    number: int = 0
    """Counts the fetches."""


class Fetches:
    def __init__(self, resolve: Resolve, wake: Callable[[Key], None]) -> None:
        self._resolve = resolve
        self._wake = wake
        self._tasks: dict[Key, tuple[Source, asyncio.Task[None]]] = {}
        self._outcomes: dict[Key, Outcome] = {}
        self._places = Turns(_AT_ONCE)
        self._renderers = Turns(_RENDERED_AT_ONCE)
        self._number = 0

    @property
    def active(self) -> int:
        return len(self._tasks)

    def outcome(self, key: Key, source: Source) -> Outcome | None:
        """None: nothing of this source was fetched yet."""
        found = self._outcomes.get(key)
        return found if found is not None and found.source == source else None

    def is_active(self, key: Key, source: Source) -> bool:
        return key in self._tasks and self._tasks[key][0] == source

    def start(self, key: Key, source: Source, remote: Remote) -> None:
        """One of the same source that is under way goes on."""
        if self.is_active(key, source):
            return
        self.stop(key)
        task = asyncio.get_running_loop().create_task(self._run(key, source, remote))
        self._tasks[key] = (source, task)
        task.add_done_callback(lambda done: self._ended(key, done))

    def stop(self, key: Key) -> None:
        if key in self._tasks:
            self._tasks.pop(key)[1].cancel()

    def forget(self, key: Key) -> None:
        self.stop(key)
        self._outcomes.pop(key, None)

    async def close(self) -> None:
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key, (None, None))[1] is task:
            del self._tasks[key]
            self._wake(key)

    async def _run(self, key: Key, source: Source, remote: Remote) -> None:
        before = self.outcome(key, source)
        rendered, problem = before.rendered if before else None, ""
        try:
            async with self._places.turn(key.namespace), asyncio.timeout(TIMEOUT_S):
                rendered = await self._fetch(key, source, remote, rendered)
        except (GitError, RefusedError, TargetError) as error:
            problem = str(error)
        except OSError as error:
            problem = f"no copy of the repository can be made: {error.strerror or type(error).__name__}"
        except TimeoutError:
            problem = f"the repository was not fetched within {TIMEOUT_S:g} s"
        except Exception as error:
            _LOG.exception("%s could not be fetched unexpectedly", key)
            problem = f"an unexpected error, which the log of pointsman sync has: {type(error).__name__}"
        self._number += 1
        now = asyncio.get_running_loop().time()
        self._outcomes[key] = Outcome(source, now, rendered, one_line(problem, _MOST_MESSAGE), self._number)

    async def _fetch(self, key: Key, source: Source, remote: Remote, before: Rendered | None) -> Rendered:
        async with opened(remote, self._resolve, most_blob=MOST_FILE) as repository:
            newest = await repository.remote_commit(source.branch)
            if not newest:
                raise GitError(f"there is no branch {source.branch}; push it, or name another one in spec.branch")
            if before is not None and before.commit == newest:
                return before
            commit = await repository.fetch(source.branch, 1)
            async with self._renderers.turn(key.namespace):
                return await render(repository, commit, source.path, before)
