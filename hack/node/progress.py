"""Tells on standard error what is being built and how long it may take.

A terminal gets bars that follow the estimates, everything else plain lines,
which survive in a CI log.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Steps:
    """Several may run at once, each in a thread of its own. Who enters while others are within joins them: a terminal
    has one set of bars.
    """

    _joining: ClassVar = threading.Lock()
    _within: ClassVar["Steps | None"] = None
    _entered: ClassVar = 0

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("of about {task.fields[estimate]}"),
        )
        self._bars = Progress(*columns, console=console) if console.is_terminal else None
        self._running: dict[TaskID, float] = {}
        self._changing = threading.Lock()
        self._end = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Steps":  # noqa: PYI034  (those that are joined)
        with Steps._joining:
            if Steps._within is None:
                Steps._within = self
                self._start()
            Steps._entered += 1
            return Steps._within

    def __exit__(self, *_: object) -> None:
        with Steps._joining:
            Steps._entered -= 1
            within = Steps._within
            if within and not Steps._entered:
                Steps._within = None
                within.finish()

    def _start(self) -> None:
        if self._bars:
            self._bars.start()
            self._ticker.start()

    def finish(self) -> None:
        self._end.set()
        if self._bars:
            self._ticker.join()
            self._bars.stop()

    def _tick(self) -> None:
        while self._bars and not self._end.wait(0.5):
            with self._changing:
                for task, since in self._running.items():
                    self._bars.update(task, completed=time.monotonic() - since)

    def say(self, sentence: str) -> None:
        if self._bars:
            self._bars.console.print(sentence, highlight=False)
        else:
            print(sentence, file=sys.stderr, flush=True)

    @contextmanager
    def step(self, name: str, *, seconds: int) -> Iterator[None]:
        began = time.monotonic()
        task = None
        if self._bars:
            with self._changing:
                task = self._bars.add_task(name, total=seconds, estimate=duration(seconds))
                self._running[task] = began
        else:
            self.say(f"{name} … (about {duration(seconds)})")
        try:
            yield
        finally:
            if self._bars and task is not None:
                with self._changing:
                    del self._running[task]
                    self._bars.remove_task(task)
        self.say(f"{name}: done in {duration(time.monotonic() - began)}")


def stopwatch() -> Callable[[str], None]:
    """Prints what has just been done, after the seconds since this call."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {what}", file=sys.stderr, flush=True)

    return tell


def duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"  # noqa: PLR2004
