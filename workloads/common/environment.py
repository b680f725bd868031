"""Settings come from the environment, are read once at the start, and name themselves when they are wrong."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit


class SettingError(ValueError):
    """Names the variable, what it holds and what it may hold; a line for each where several are wrong."""


class Environment:
    """An empty variable reads as one that is not there: manifests set them empty to mean the default."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._wrong: list[str] | None = None
        """What was noted so far; None: the first wrong one is raised."""

    @contextmanager
    def all_at_once(self) -> Iterator[None]:
        """Whatever is wrong inside is noted, and raised at the end of the outermost block, all of it.

        Inside, a wrong variable reads as its default, and one that is missing as "".
        """
        if self._wrong is not None:
            yield
            return
        self._wrong = []
        try:
            yield
        finally:
            wrong, self._wrong = list(dict.fromkeys(self._wrong)), None
        if len(wrong) == 1:
            raise SettingError(wrong[0])
        if wrong:
            raise SettingError(f"{len(wrong)} settings are wrong\n  " + "\n  ".join(wrong))

    def refuse(self, problem: str) -> None:
        """Raises SettingError, now or at the end of `all_at_once`."""
        if self._wrong is None:
            raise SettingError(problem)
        self._wrong.append(problem)

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "") or default

    def required(self, name: str, what: str) -> str:
        """Raises SettingError that says what the variable is for."""
        if not (text := self.text(name)):
            self.refuse(f"{name} is not set: give {what}")
        return text

    def number(self, name: str, default: float, *, lowest: float = 0, highest: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            self.refuse(f"{name}: {text!r} is not a number between {lowest:g} and {highest:g}")
            return float(default)
        return value

    def whole(self, name: str, default: int, *, lowest: int = 0, highest: int) -> int:
        value = self.number(name, default, lowest=lowest, highest=highest)
        if not value.is_integer():
            self.refuse(f"{name}: {self.text(name)!r} is not a whole number")
            return default
        return int(value)


def parts_of(url: str) -> SplitResult:
    """Empty where it cannot be read as an address."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def without_password(url: str) -> str:
    """What a message may show of an address."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
