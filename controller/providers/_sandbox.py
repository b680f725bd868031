"""The program that renders templates, in a process of its own; imports nothing of Pointsman, starts with `python -I`.

Jinja2's sandbox keeps a template from the interpreter, not from memory and time: it makes a 200 MB string without
a word. So this server, which has imported everything once, forks a child for each template; the child limits
itself, renders and ends. What one template does, the next one never sees.

One JSON object a line, in: `{template, dialect, values: {name: [type, value]}, marks: {filter: [before, after]}}`, out:
`{text}` or `{error, final}`; `final` is false when trying again could help. The first line out is `{"ready": true}`.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import select
import signal
import sys
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

import jinja2.debug  # noqa: F401 - Jinja2 imports it at the first error, when no file can be opened any more
from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_S = 0.1
WALL_S = 2.0
"""Only a backstop: a template cannot sleep, but a pod with a CPU limit can be stopped for most of each 100 ms."""
MEMORY_BYTES = 64 * 1024 * 1024
MAX_OUTPUT_BYTES = 16 * 1024
MAX_ERROR = 300

_FILTERS = ("abs", "float", "int", "join", "length", "lower", "replace", "round", "upper")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$#&~/-]")  # the rest may not be escaped in Flux
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


Dialect = dict[str, Any]
"""The fields of `_languages.Dialect`."""
Marks = dict[str, list[str]]
NO_MARKS: Marks = {}
ANY_DIALECT: Dialect = {
    "name": "any", "quote": '"', "doubled": False, "escapes": [], "identifier": '"', "durations": "90s",
    "regex_in_text": False,
}  # fmt: skip


class LiteralError(ValueError):
    """A value that cannot be written in the query language."""


class Verbatim:
    """Text that stands in the query as it is. Only this module makes one, out of escaped text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Duration:
    """Seconds, written in the language's own way."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Number(float):
    """A number that reads `0.25` or `1` inside a text (`"le_" ~ threshold`) and `1.0` as a literal."""

    __slots__ = ()

    def __str__(self) -> str:
        return decimal(float(self)).removesuffix(".0")


def decimal(value: float) -> str:
    """Without an exponent, which Flux does not know."""
    if not math.isfinite(value):
        raise LiteralError(f"{value} is not a number a query can hold")
    text = format(Decimal(repr(float(value))), "f")
    return text if "." in text else f"{text}.0"


def whole(value: int) -> str:
    if not -(2**63) <= value < 2**63:
        raise LiteralError("a whole number beyond 64 bits cannot be part of a query")
    return str(value)


def quoted(text: str, quote: str, dialect: Dialect) -> str:
    return f"{quote}{escaped(text, quote, dialect)}{quote}"


def escaped(text: str, quote: str, dialect: Dialect) -> str:
    """Raises LiteralError."""
    if dialect["doubled"]:
        text = text.replace(quote, quote * 2)
    else:
        text = text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
        for letter, escape in _ESCAPES.items():
            text = text.replace(letter, escape)
    for special, escape in dialect["escapes"]:
        text = text.replace(special, escape)
    if _CONTROL.search(text):
        raise LiteralError("a text with a control character cannot be part of a query")
    return text


def duration(seconds: float, dialect: Dialect) -> str:
    if dialect["durations"] == "90":
        return decimal(seconds)
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def literal(value: object, dialect: Dialect) -> str:
    """The value as the language writes it. Raises LiteralError."""
    match value:
        case Verbatim():
            return value.text
        case Duration():
            return duration(value.seconds, dialect)
        case bool():
            return "true" if value else "false"
        case int() | float():
            text = whole(value) if isinstance(value, int) else decimal(value)
            return f"({text})" if text.startswith("-") else text  # `1--2` begins a comment in some languages
        case str():
            return quoted(value, dialect["quote"], dialect)
        case Undefined():
            return str(value)  # raises UndefinedError, which names it
        case _:
            raise LiteralError(f"a {type(value).__name__} cannot be written into a query; write its parts one by one")


def plain(value: object, escapes: list[list[str]]) -> str:
    """A value in a text for people, with what its reader would obey as it is to be shown. Raises LiteralError."""
    match value:
        case bool():
            raise LiteralError("a bool cannot be written; test it with if")
        case str() | int() | float():
            text = str(value)
            for special, escape in escapes:
                text = text.replace(special, escape)
            return text
        case Undefined():
            return str(value)  # raises UndefinedError, which names it
        case _:
            raise LiteralError(f"a {type(value).__name__} cannot be written; write its parts one by one, or use join")


def regex_text(value: object) -> str:
    """A regular expression that matches the text itself and nothing else."""
    if not isinstance(value, str):
        raise LiteralError(f"regex needs a string, not a {type(value).__name__}")
    if _CONTROL.search(value):
        raise LiteralError("a text with a control character cannot be part of a regular expression")
    return _REGEX_SPECIAL.sub(r"\\\g<0>", value)


def environment(dialect: Dialect, marks: Marks) -> ImmutableSandboxedEnvironment:
    def identifier(value: object) -> Verbatim:
        quote = dialect["identifier"]
        if not quote or not isinstance(value, str):
            raise LiteralError(
                f"identifier writes a quoted name, out of a text; {dialect['name']} has "
                f"{'them' if quote else 'none: write the name as a text'}"
            )
        return Verbatim(quoted(value, quote, dialect))

    def regex(value: object) -> Verbatim:
        """Only for use where the language has a regular expression: between slashes, or inside the quotes of a text."""
        text = regex_text(value)
        return Verbatim(escaped(text, dialect["quote"], dialect) if dialect["regex_in_text"] else text)

    env = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        optimized=False,  # folding happens while compiling, where an infinity becomes a name
        finalize=lambda value: plain(value, dialect["escapes"]) if dialect.get("plain") else literal(value, dialect),
    )
    env.filters = {name: env.filters[name] for name in _FILTERS} | {"regex": regex, "identifier": identifier}
    env.filters |= {name: partial(marked, *around) for name, around in marks.items()}
    env.globals = {"range": env.globals["range"]}
    return env


def marked(before: str, after: str, text: object) -> str:
    """For `{% filter NAME %}`, whose text is rendered already. A value in an expression becomes a literal as ever."""
    if not isinstance(text, str):
        raise LiteralError("a value is no part of a query; write {% filter either %}a condition{% endfilter %}")
    return f"{before}{text}{after}"


def typed(kind: str, value: Any) -> object:
    match kind:
        case "verbatim":
            return Verbatim(value)
        case "duration":
            return Duration(value)
        case "number":
            return Number(value)
        case _:
            return value


def rendered(template: str, dialect: Dialect, values: dict[str, Any], marks: Marks = NO_MARKS) -> str:
    """Raises jinja2's errors and LiteralError."""
    parts: list[str] = []
    size = 0
    for part in environment(dialect, marks).from_string(template).generate(values):
        parts.append(part)
        size += len(part.encode())
        if size > MAX_OUTPUT_BYTES:
            raise LiteralError(f"it grows beyond {MAX_OUTPUT_BYTES} bytes")
    return "".join(parts)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the child says of one request: a text, or an error in one sentence."""
    values = {name: typed(kind, value) for name, (kind, value) in request["values"].items()}
    try:
        return {"text": rendered(request["template"], request["dialect"], values, request["marks"])}
    except TemplateSyntaxError as error:
        problem = f"line {error.lineno}: {error.message}"
    except SecurityError as error:
        problem = f"is not allowed: {error.message}"
    except (UndefinedError, TemplateError, LiteralError) as error:
        problem = str(error)
    except MemoryError:
        problem = f"needs more than {MEMORY_BYTES // 2**20} MiB"
    except RecursionError:
        problem = "nests too deeply"
    except Exception as error:  # noqa: BLE001 - whatever a template provokes is the template's error
        problem = f"{type(error).__name__}: {error}"
    return {"error": " ".join(problem.split())[:MAX_ERROR], "final": True}


def limit() -> None:
    """From here on this process is on a short leash. The default action of both signals is death."""
    pages = int(_statm().split()[0])
    size = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)


def _statm() -> str:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is an import this program can do without
        return file.read()


def _render_and_exit(line: bytes, out: int) -> NoReturn:
    os.close(0)
    os.close(1)  # so that the operator sees the end of a server that dies, and not of its last child
    limit()
    data = json.dumps(answer(json.loads(line))).encode()
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)


def _collect(pid: int, source: int) -> dict[str, Any]:
    """The child's answer, or what became of it. A child that outlives its timers is killed."""
    data = b""
    most = 8 * MAX_OUTPUT_BYTES
    while len(data) <= most and select.select([source], [], [], 2 * WALL_S)[0] and (part := os.read(source, 65536)):
        data += part
    os.kill(pid, signal.SIGKILL)  # not reaped yet, so it is this child and no other
    _, status = os.waitpid(pid, 0)
    if data:
        try:
            result: dict[str, Any] = json.loads(data)
        except ValueError:
            pass
        else:
            return result
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return {"error": f"needs more than {CPU_S * 1000:.0f} ms of processor time", "final": True}
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return {"error": f"was not rendered within {WALL_S:.0f} s", "final": False}
    return {"error": f"needs more than {MEMORY_BYTES // 2**20} MiB, or was killed", "final": False}


def warm_up() -> None:
    """Makes Python and Jinja2 import here what they import at first use: a child can open no file, and its clock
    runs.
    """
    values = {"x": ["string", "x"], "n": ["number", 0.5]}
    for template in (
        "{{ 'é\\n' ~ x ~ n }}{% for i in range(2) %}{{ i }}{% endfor %}",
        "{{ y }}",
        "{% if %}",
        "{{ ''.__x__ }}",
    ):
        answer({"template": template, "dialect": ANY_DIALECT, "values": values, "marks": {}})


def serve() -> None:
    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    warm_up()
    say({"ready": True})
    for line in sys.stdin.buffer:
        source, out = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(source)
            try:
                _render_and_exit(line, out)
            finally:
                os._exit(1)
        os.close(out)
        result = _collect(pid, source)
        os.close(source)
        say(result)


if __name__ == "__main__":
    serve()
