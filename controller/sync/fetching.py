"""Git, beside the passes: one task for each repository, so one that hangs delays no other and no pass."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.api.text import one_line
from controller.git.remote import GitError, RefusedError, Remote
from controller.git.repository import opened
from controller.kube.objects import Key
from controller.ports import Resolve, TargetError
from controller.sync.planning import Source
from controller.sync.rendering import MOST_FILE, Rendered, render
from controller.turns import Turns

_LOG = logging.getLogger(__name__)
TIMEOUT_S = 300.0
_ANSWER_S = 20.0
"""For the server to say what the branch's newest commit is."""
_AT_ONCE, _OF_ONE_NAMESPACE = 4, 2
"""Each has up to three processes of git. A namespace whose servers hang keeps no place from the others."""
GIT_MEMORY = 32 << 20
"""Bytes that one process of git may write."""
_RENDERED_AT_ONCE = 1
"""It has a parser's process or kustomize, with its memory."""
_MOST_KEPT = 32 << 20
"""Bytes of renderings that wait for their next comparison with the cluster."""
_MOST_MESSAGE = 500


@dataclass(frozen=True)
class Outcome:
    """Of the last fetch."""

    source: Source
    at: float
    """When it ended, by the loop's clock."""
    rendered: Rendered | None
    """Of an earlier fetch where this one failed. None: none has worked yet, or there was no room to keep it."""
    problem: str = ""
    number: int = 0
    """Counts the fetches."""
    commit: str = ""
    """The newest that was fetched."""


class Fetches:
    def __init__(self, resolve: Resolve, wake: Callable[[Key], None]) -> None:
        self._resolve = resolve
        self._wake = wake
        self._tasks: dict[Key, tuple[Source, asyncio.Task[None]]] = {}
        self._outcomes: dict[Key, Outcome] = {}
        self._places = Turns(_AT_ONCE, of_one=_OF_ONE_NAMESPACE)
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
        commit = rendered.commit if rendered is not None else before.commit if before is not None else ""
        self._keep(key, Outcome(source, now, rendered, one_line(problem, _MOST_MESSAGE), self._number, commit))

    def _keep(self, key: Key, outcome: Outcome) -> None:
        """Where there is no room, the namespace that has the most loses what it fetched first."""
        self._outcomes.pop(key, None)
        self._outcomes[key] = outcome
        sizes = {one: found.rendered.size for one, found in self._outcomes.items() if found.rendered is not None}
        while sum(sizes.values()) > _MOST_KEPT and len(sizes) > 1:
            of = Counter[str]()
            for one, size in sizes.items():
                of[one.namespace] += size
            largest = max(of, key=of.__getitem__)
            oldest = next(one for one in sizes if one.namespace == largest)
            del sizes[oldest]
            self._outcomes[oldest] = replace(self._outcomes[oldest], rendered=None)

    async def _fetch(self, key: Key, source: Source, remote: Remote, before: Rendered | None) -> Rendered:
        async with opened(remote, self._resolve, most_blob=MOST_FILE, most_memory=GIT_MEMORY) as repository:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    newest = await repository.remote_commit(source.branch)
            except TimeoutError as error:
                raise GitError(f"the server did not answer within {_ANSWER_S:g} s") from error
            if not newest:
                raise GitError(f"there is no branch {source.branch}; push it, or name another one in spec.branch")
            if before is not None and before.commit == newest:
                return before
            commit = await repository.fetch(source.branch, 1)
            async with self._renderers.turn(key.namespace):
                return await render(repository, commit, source.path, before)
