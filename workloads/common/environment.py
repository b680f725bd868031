"""Settings come from the environment, are read once at the start, and name themselves when they are wrong."""

from collections.abc import Mapping


class SettingError(ValueError):
    """Names the variable, what it holds and what it may hold."""


class Environment:
    """An empty variable reads as one that is not there: manifests set them empty to mean the default."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "") or default

    def required(self, name: str, what: str) -> str:
        """Raises SettingError that says what the variable is for."""
        if not (text := self.text(name)):
            raise SettingError(f"{name} is not set: give {what}")
        return text

    def number(self, name: str, default: float, *, lowest: float = 0, highest: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            raise SettingError(f"{name}: {text!r} is not a number between {lowest:g} and {highest:g}")
        return value

    def whole(self, name: str, default: int, *, lowest: int = 0, highest: int) -> int:
        value = self.number(name, default, lowest=lowest, highest=highest)
        if not value.is_integer():
            raise SettingError(f"{name}: {self.text(name)!r} is not a whole number")
        return int(value)
