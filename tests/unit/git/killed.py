"""Kills the process that writes to git or to a forge, at random moments, and counts what stands there.

python -m tests.unit.git.killed --kills 120 --what records
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from controller.api.effect import Effect
from controller.api.git_origin import Forge
from controller.api.names import GIT_URLS
from controller.effects.carrier import EffectContext
from controller.effects.git_report import EXAMPLE, KIND, GitReport
from controller.git import state
from controller.git.remote import Remote
from controller.git.repository import Author, opened
from controller.git.rollback import Rollback
from controller.kube.objects import Key
from controller.outward.addresses import Addresses
from tests.gate import LOOPBACK_NETWORK
from tests.git_server import Certificate, Origin, git
from tests.unit.effects.calling import NoPods, no_api_server
from tests.unit.git.story import FILE, GOOD, TESTED, WEB, anywhere, carried_out, manifest, retry, rollback
from tests.unit.git.strict_forge import SHA, TOKEN, StrictForge, reachable

KILLS_EACH = 8
"""Of one piece of work, before it may come to its end."""
DEADLINE_S = 600.0
"""For one that is not killed; with 30 others on two cores, 120 s were not enough."""

Call = Callable[[], None]


@dataclass
class Killed:
    what: str
    pieces: int = 0
    kills: int = 0
    after_the_write: int = 0
    """Kills that found it written already: the next process has to find it, too."""
    twice: int = 0
    lost: int = 0
    """Pieces that are not there, and commits of people that are not."""
    seconds: float = 0.0


class Work(Protocol):
    def begin(self, number: int) -> Call:
        """What a process of its own carries out."""
        ...

    def times(self, number: int) -> int:
        """How often it is there."""
        ...

    def lost(self, pieces: int) -> int:
        """What else is not as it should be at the end."""
        ...


def _write(url: str, order: Rollback) -> None:
    asyncio.run(carried_out(url, order))


@dataclass
class Rollbacks:
    origin: Origin
    subject: str = "Roll back "

    def begin(self, number: int) -> Call:
        bad = self._bad(number)
        return partial(_write, self.origin.url, rollback(GOOD, bad, attempt=number))

    def times(self, number: int) -> int:
        shown = "--format=%s%x00%(trailers:key=Pointsman-Attempt,valueonly,separator=%x2C)"
        lines = [line.split("\0") for line in git(self.origin.bare, "log", shown, "main").splitlines()]
        return sum(subject.startswith(self.subject) and attempt == str(number) for subject, attempt in lines)

    def lost(self, pieces: int) -> int:
        subjects = self.origin.subjects()
        people = sum(f"bad {number}" not in subjects for number in range(1, pieces + 1))
        return people + (self.origin.read(FILE) != self._at_last(pieces))

    def _at_last(self, pieces: int) -> str:
        del pieces
        return str(GOOD)

    def _bad(self, number: int) -> str:
        bad = str(manifest(f"shop/web:bad{number}"))
        self.origin.pull()
        if self.origin.read(FILE) != GOOD:
            self.origin.commit(f"good {number}", {FILE: GOOD})
        self.origin.commit(f"bad {number}", {FILE: bad})
        return bad


@dataclass
class Retries(Rollbacks):
    """Of versions that were rolled back without a kill."""

    subject: str = "Try "

    def begin(self, number: int) -> Call:
        bad = self._bad(number)
        _write(self.origin.url, rollback(GOOD, bad, attempt=number))
        return partial(_write, self.origin.url, retry(GOOD, bad, attempt=number))

    def _at_last(self, pieces: int) -> str:
        return str(manifest(f"shop/web:bad{pieces}"))


def _record(url: str, record: state.Record) -> None:
    async def written() -> None:
        async with opened(Remote(url, schemes=TESTED), anywhere) as repository:
            await state.write(repository, WEB, record, Author("Pointsman", "pointsman@shop.qa"))

    asyncio.run(written())


@dataclass
class Records:
    origin: Origin

    def begin(self, number: int) -> Call:
        return partial(_record, self.origin.url, self._record(number))

    def times(self, number: int) -> int:
        there = git(self.origin.bare, "branch", "--list", state.BRANCH).strip()
        return self.origin.subjects(state.BRANCH).count(f"{WEB} is healthy with r{number}") if there else 0

    def lost(self, pieces: int) -> int:
        return self.origin.read("cluster-1/shop/web.yaml", state.BRANCH) != self._record(pieces).to_text(WEB)

    @staticmethod
    def _record(number: int) -> state.Record:
        digits = "abcdefgh234567"
        content = "".join(digits[number // 8**place % 8] for place in range(10))
        return state.Record(f"r{number}", content, SHA, 1_800_000_000.0 + number)


@dataclass(frozen=True)
class _Secrets(NoPods):
    url: str
    certificate: str

    async def find(self, *_: object) -> dict[str, Any]:
        data = {"password": TOKEN, "ca.crt": self.certificate}
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        return {"metadata": {"annotations": {GIT_URLS: self.url}}, "data": encoded}


def _report(secrets: _Secrets, effect: Effect) -> None:
    context = EffectContext(secrets, Addresses(no_api_server, listed=(LOOPBACK_NETWORK,)), cluster=WEB.cluster)
    asyncio.run(_carried_out(context, effect))


async def _carried_out(context: EffectContext, effect: Effect) -> None:
    await GitReport(context).carry_out(Key(WEB.namespace, WEB.name), effect)


@dataclass
class Reports:
    """A status of a commit, and a comment."""

    forge: StrictForge
    secrets: _Secrets

    def begin(self, number: int) -> Call:
        origin = {**EXAMPLE["origin"], "url": f"{self.secrets.url}/team/shop.git"}
        said = {"revision": f"r{number}", "attempt": number, "message": self._message(number), "commit": SHA}
        return partial(_report, self.secrets, Effect(f"{KIND}.r{number}", KIND, {**EXAMPLE, **said, "origin": origin}))

    def times(self, number: int) -> int:
        """Of whatever is there more often; none, where one of the two is missing."""
        statuses = sum(one["description"] == self._message(number) for one in self.forge.statuses)
        comments = sum(f" r{number} {number} -->" in one["body"] for one in self.forge.comments)
        return max(statuses, comments) if statuses and comments else 0

    def lost(self, pieces: int) -> int:
        return int(self.forge.shown != ("failure", self._message(pieces)))

    @staticmethod
    def _message(number: int) -> str:
        return f"rolled back, errors {number}/240 vs 3/4600"


@contextmanager
def _rollbacks(folder: Path) -> Iterator[Rollbacks]:
    yield Rollbacks(_origin(folder))


@contextmanager
def _retries(folder: Path) -> Iterator[Retries]:
    yield Retries(_origin(folder))


@contextmanager
def _records(folder: Path) -> Iterator[Records]:
    yield Records(_origin(folder))


@contextmanager
def _reports(folder: Path) -> Iterator[Reports]:
    certificate, forge = Certificate.make(folder), StrictForge(Forge.GITEA)
    with reachable(forge, certificate) as url:
        yield Reports(forge, _Secrets(url, certificate.chain.read_text()))


def _origin(folder: Path) -> Origin:
    origin = Origin(folder / "git")
    origin.commit("first", {FILE: GOOD})
    return origin


WORKS: dict[str, Callable[[Path], AbstractContextManager[Work]]] = {
    "rollbacks": _rollbacks,
    "retries": _retries,
    "records": _records,
    "reports": _reports,
}


def kill_at_random(what: str, folder: Path, kills: int, *, seed: int = 7) -> Killed:
    """SIGKILL to a process of its own each time; what it started lives on, as after a node's memory ran out."""
    pauses = random.Random(seed)  # noqa: S311 - any moments will do
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    found, began, longest = Killed(what), time.monotonic(), 1.0
    with WORKS[what](folder) as work:
        while found.kills < kills:
            found.pieces += 1
            call = work.begin(found.pieces)
            for _ in range(KILLS_EACH):
                process = processes.Process(target=call, daemon=True)
                process.start()
                process.join(pauses.uniform(0, longest))
                if process.is_alive():
                    process.kill()
                    found.kills += 1
                    found.after_the_write += work.times(found.pieces) > 0
                process.join(DEADLINE_S)
            since = time.monotonic()
            process = processes.Process(target=call, daemon=True)  # it ends with this one, whatever becomes of it
            process.start()
            process.join(DEADLINE_S)
            assert process.exitcode == 0, f"exit code {process.exitcode}; None: not within {DEADLINE_S:g} s"
            longest = 1.5 * (time.monotonic() - since)
        times = [work.times(number) for number in range(1, found.pieces + 1)]
        found.twice = sum(time > 1 for time in times)
        found.lost = times.count(0) + work.lost(found.pieces)
    found.seconds = round(time.monotonic() - began, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120, help="of each kind of work")
    parser.add_argument("--what", choices=WORKS, nargs="+", default=list(WORKS))
    given = parser.parse_args()
    for what in given.what:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(kill_at_random(what, Path(folder), given.kills))))  # noqa: T201 - a program


if __name__ == "__main__":
    main()
