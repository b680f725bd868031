"""What a story comes to, as people read it at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent, wrap

from hack.demonstration.releasing import Outcome

_COLUMNS = 100


@dataclass(frozen=True, kw_only=True)
class Summary:
    releases: tuple[Outcome, ...]
    history: tuple[str, ...] = ()
    """Of the repository: who wrote what, newest first."""
    rollback: str = ""
    """The newest commit of Pointsman's there: its message, and what it changed."""
    switch_s: float | None = None
    """From the decision to the last work of the version before, at its longest; None without a switch."""
    return_s: float | None = None
    """From the decision to the last work of the version that was switched back."""

    @property
    def well(self) -> bool:
        return all(each.done for each in self.releases)

    def harm(self) -> Mapping[str, str]:
        """Who met each version that was rolled back."""
        raise NotImplementedError

    def counts(self) -> Mapping[str, object]:
        """What became of the work, by a few words each."""
        raise NotImplementedError

    def _times(self, work: str) -> dict[str, object]:
        """`work`: by what the end of the other version is seen."""
        found = {"switch": self.switch_s, "return": self.return_s}
        last = f"from the decision to the last {work} of the other version"
        return {what: f"{seconds} s {last}" for what, seconds in found.items() if seconds is not None}


def told(summary: Summary) -> str:
    return _table(summary) + _in_git(summary)


def _table(summary: Summary) -> str:
    harm, rows = summary.harm(), dict[str, object]()
    for each in summary.releases:
        fate = str(each.fate) if each.done else f"NOT {each.fate}"
        met = harm.get(each.version)
        rows[each.version] = f"{fate}, {met}" if met else fate
    rows |= summary.counts()
    width = max(map(len, rows))
    lines = [f"{name:<{width}}   {value}" for name, value in rows.items()]
    for each in summary.releases:
        if not each.good:
            lines += ["", *wrap(f"{each.version.partition(':')[0]}, {each.evidence}", _COLUMNS)]
    return "\n" + "\n".join(lines) + "\n"


def _in_git(summary: Summary) -> str:
    text = "\nIn git, newest first:\n" + indent("\n".join(summary.history), "  ") + "\n"
    if summary.rollback:
        text += "\nThe last commit of Pointsman's, by `git log -1 --patch --author=Pointsman`:\n"
        text += indent(summary.rollback, "  ") + "\n"
    return text
