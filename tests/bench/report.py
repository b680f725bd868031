"""What a benchmark found, against what it should: a table for people, one JSON object for scripts."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Target = tuple[str, float]
"""`("<=", 2.5)` or `(">=", 300)`."""


@dataclass(frozen=True)
class Report:
    name: str
    figures: dict[str, float]
    """Names say their unit: `_s`, `_ms`, `_mib`, `_per_s`, `_percent`."""
    targets: dict[str, Target]
    """At a small size those that hold at any: counts of what must never happen, and no time."""
    notes: list[str] = field(default_factory=list)

    def is_met(self, figure: str) -> bool:
        how, bound = self.targets[figure]
        value = self.figures[figure]
        return value <= bound if how == "<=" else value >= bound

    @property
    def met(self) -> bool | None:
        """None where no target is claimed."""
        return all(self.is_met(figure) for figure in self.targets) if self.targets else None

    def as_json(self, *, size: str, measures: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "measures": measures,
            "size": size,
            "machine": machine(),
            "figures": self.figures,
            "targets": {figure: list(target) for figure, target in self.targets.items()},
            "met": self.met,
        }

    def lines(self) -> list[str]:
        width = max(len(figure) for figure in self.figures)
        rows = [f"{self.name} on {machine()}"]
        for figure, value in self.figures.items():
            row = f"  {figure:<{width}}  {value:>12g}"
            if figure in self.targets:
                how, bound = self.targets[figure]
                row += f"   {how} {bound:g} {'met' if self.is_met(figure) else 'MISSED'}"
            rows.append(row)
        if not self.targets:
            rows.append("  no target is claimed at this size")
        return [*rows, *(f"  {note}" for note in self.notes)]


def machine() -> str:
    processor = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {processor}, {memory:.0f} GiB, {platform.system()} {platform.release()}"
