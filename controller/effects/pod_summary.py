"""What pods, their events and their logs say of a version: chosen, counted, masked and bounded. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from controller.api.pod_evidence import MOST_BYTES
from controller.api.text import one_line, printable
from controller.effects.masking import masked, without_keys

MOST_PODS_READ = 2
MOST_LOGS_OF_POD = 2
_KEPT_LINES = 20
_MOST_READ_LINE = 1024
"""Characters of a line that are looked at."""
_MOST_LINE = 300
_MOST_SENTENCE = 256
_MOST_NAME = 300
"""An event may be about anything, under any name."""
_MOST_EXITS, _MOST_EVENTS, _MOST_ERRORS, _MOST_NOTES = 10, 10, 5, 10
_STARTING = {"ContainerCreating", "PodInitializing"}
_ERROR = re.compile(
    r"error|exception|fatal|panic|critical|traceback|segfault|\bfail|killed|refused|denied|timed? ?out|cannot|unable",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_NUMBERS = re.compile(r"#(?:[.,:+/-]#)+")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Log:
    """Of one container: its run before the last restart, or the one under way."""

    pod: str
    container: str
    previous: bool

    @property
    def name(self) -> str:
        return f"{self.pod}, container {self.container}"


@dataclass(frozen=True)
class Read:
    """What came of reading one log."""

    log: Log
    text: str = ""


def worst_first(pods: Iterable[Object]) -> list[Object]:
    """Those that say most of what is wrong: crashed most often, then not ready, then by name."""
    return sorted(pods, key=lambda pod: (*_trouble(pod), str(pod["metadata"]["name"])))


def logs_of(pods: Sequence[Object]) -> list[Log]:
    """Of a few pods and containers, for any number of them. `pods`: the worst first."""
    return [log for pod in pods[:MOST_PODS_READ] for log in _logs_of(pod)[:MOST_LOGS_OF_POD]]


def evidence(
    at: str, pods: Sequence[Object], events: Iterable[Object], read: Sequence[Read], not_kept: Iterable[str]
) -> dict[str, Any]:
    """As it stands in an AnalysisRun: at most MOST_BYTES. `pods`: the worst first."""
    lines = {one.log: _lines(one.text) for one in read}
    empty = [f"the log of {log.name}: it is empty" for log, said in lines.items() if not said]
    found: dict[str, Any] = {
        "at": at,
        "pods": len(pods),
        "exits": list(islice(chain.from_iterable(map(_exits, pods)), _MOST_EXITS)),
        "events": _events(events),
        "errors": _top_errors(line for log in lines.values() for line in log),
        "logs": [_kept(log, said) for log, said in lines.items() if said],
        "notKept": [printable(masked(note))[:_MOST_SENTENCE] for note in islice(chain(not_kept, empty), _MOST_NOTES)],
    }
    return {name: value for name, value in _bounded(found).items() if value not in ([], "")}


# -- pods ------------------------------------------------------------------------------------------------------------


def _statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    for container in status.get("initContainerStatuses") or []:
        if _has_failed(container):
            yield container
    yield from status.get("containerStatuses") or []


def _has_failed(container: Object) -> bool:
    ended = _ended(container)
    return int(container.get("restartCount", 0)) > 0 or (ended is not None and ended.get("exitCode") != 0)


def _ended(container: Object) -> Object | None:
    """How it ended last."""
    for state in ("state", "lastState"):
        ended: Object | None = (container.get(state) or {}).get("terminated")
        if ended:
            return ended
    return None


def _trouble(pod: Object) -> tuple[int, bool]:
    containers = list(_statuses(pod))
    restarts = sum(int(one.get("restartCount", 0)) for one in containers)
    return -restarts, bool(containers) and all(one.get("ready") for one in containers)


def _logs_of(pod: Object) -> list[Log]:
    """A container that never ran has none."""
    name = pod["metadata"]["name"]
    containers = sorted(_statuses(pod), key=lambda one: (not _has_failed(one), bool(one.get("ready"))))
    return [
        Log(name, one["name"], "terminated" in (one.get("lastState") or {}) and "terminated" not in state)
        for one in containers
        if (state := one.get("state") or {}) and ("waiting" not in state or _ended(one) is not None)
    ]


def _exits(pod: Object) -> Iterator[dict[str, Any]]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if status.get("reason"):  # evicted, for instance
        yield {"pod": name, "reason": one_line(status["reason"], 63), "message": _sentence(status.get("message", ""))}
    for container in _statuses(pod):
        ended = _ended(container)
        waiting = (container.get("state") or {}).get("waiting") or {}
        waits_for = waiting.get("reason", "")
        if ended is None and (not waits_for or waits_for in _STARTING):
            continue
        found: dict[str, Any] = {"pod": name, "container": container["name"]}
        found["restarts"] = int(container.get("restartCount", 0))
        if waits_for:
            found["waiting"] = one_line(waits_for, 63)
        if ended is None:
            found["message"] = _sentence(waiting.get("message", ""))
        else:
            found |= {"reason": one_line(ended.get("reason", ""), 63), "exitCode": int(ended.get("exitCode", 0))}
            if ended.get("signal"):
                found["signal"] = int(ended["signal"])
            if ended.get("finishedAt"):
                found["at"] = ended["finishedAt"]
            found["message"] = _sentence(ended.get("message", ""))
        yield {key: value for key, value in found.items() if value != ""}


def _sentence(text: str) -> str:
    return printable(masked(one_line(without_keys(text), _MOST_READ_LINE)))[:_MOST_SENTENCE]


# -- events ----------------------------------------------------------------------------------------------------------


def _events(events: Iterable[Object]) -> list[dict[str, Any]]:
    """The same about several pods is one, with the sum of their counts; the latest last."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sorted(events, key=_when):
        about, message = event.get("involvedObject", {}), _sentence(event.get("message") or "")
        same = (event.get("reason", ""), _shape(message.replace(about.get("name", ""), "")))
        count = int((event.get("series") or {}).get("count") or event.get("count") or 1)
        before = found.pop(same, {"count": 0})
        found[same] = {
            "object": one_line(f"{about.get('kind', '')} {about.get('name', '')}", _MOST_NAME),
            "reason": one_line(event.get("reason", ""), 63),
            "message": message,
            "count": before["count"] + count,
            **({"at": _when(event)} if _when(event) else {}),
        }
    return list(found.values())[-_MOST_EVENTS:]


def _when(event: Object) -> str:
    series = event.get("series") or {}
    moments = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((moment for moment in moments if moment), ""))


# -- logs ------------------------------------------------------------------------------------------------------------


def _lines(text: str) -> list[str]:
    return [line[:_MOST_READ_LINE].rstrip() for line in without_keys(text).split("\n") if line.strip()]


def _kept(log: Log, lines: Sequence[str]) -> dict[str, Any]:
    kept = {"pod": log.pod, "container": log.container, "lines": [_line(one) for one in lines[-_KEPT_LINES:]]}
    return kept | ({"previous": True} if log.previous else {})


def _line(line: str) -> str:
    shown = printable(masked(line))
    return shown if len(shown) <= _MOST_LINE else f"{shown[: _MOST_LINE - 1]}…"


def _top_errors(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The most frequent ones, each as it was said last. Numbers and ids do not tell two of them apart."""
    counts: dict[str, int] = {}
    last: dict[str, str] = {}
    for line in lines:
        if _ERROR.search(line):
            shape = _shape(line)
            counts[shape] = counts.get(shape, 0) + 1
            last[shape] = line
    top = sorted(counts, key=lambda shape: -counts[shape])[:_MOST_ERRORS]
    return [{"count": counts[shape], "line": _line(last[shape])} for shape in top]


def _shape(line: str) -> str:
    """Each word with a digit in it is the same word."""
    words = _WORD.sub(lambda found: "#" if any(map(str.isdigit, found.group())) else found.group(), line.lower())
    return _NUMBERS.sub("#", words)


# -- size ------------------------------------------------------------------------------------------------------------


def _bounded(found: dict[str, Any]) -> dict[str, Any]:
    """The oldest lines go first, from the longest log; then what is last of the rest."""
    while _size(found) > MOST_BYTES:
        longest = max(found["logs"], key=lambda log: len(log["lines"]), default=None)
        if longest is not None and len(longest["lines"]) > 1:
            del longest["lines"][0]
            continue
        name = max(("exits", "events", "errors", "logs", "notKept"), key=lambda name: _size(found[name]))
        del found[name][-1]
    return found


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
