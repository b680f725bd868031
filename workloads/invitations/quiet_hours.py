"""The hours in which no text message is sent, by the clock where the number is at home.

libphonenumber knows the time zones of a number by its area code. Most numbers have one zone. Some, toll-free ones among
them, may be anywhere in their country: a message to one leaves when it is quiet in as few of its zones as possible.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

NONE = "none"
_CLOCK = "((?:[01][0-9]|2[0-3]):[0-5][0-9])"
_HOURS = re.compile(f"{_CLOCK}-{_CLOCK}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class QuietHoursError(ValueError):
    """Its text says what is wrong with the hours as written."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` on and before `end`, over midnight where `end` comes first. Never equal."""

    begin: time
    end: time

    def due(self, e164: str, *, now: int) -> int:
        """When a message to this number may leave: `now`, or when its quiet hours end. Milliseconds since 1970."""
        zones = zones_of(e164)
        at = _EPOCH + now * _MS
        if not any(self._is_quiet(at, zone) for zone in zones):
            return now
        moments = sorted({at, *(self._next_end(at, zone) for zone in zones)})
        best = min(moments, key=lambda moment: sum(self._is_quiet(moment, zone) for zone in zones))
        return max(now, (best - _EPOCH) // _MS)

    def _is_quiet(self, at: datetime, zone: tzinfo) -> bool:
        clock = at.astimezone(zone).time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def _next_end(self, at: datetime, zone: tzinfo) -> datetime:
        """The clock may be set in between, so the end is found as the clock shows it, not by adding hours."""
        today = at.astimezone(zone).date()
        ends = (datetime.combine(today + timedelta(days=days), self.end, zone).astimezone(UTC) for days in (0, 1))
        return next(end for end in ends if end > at)


def parse(text: str) -> QuietHours | None:
    """None for `none`. Raises QuietHoursError."""
    if text == NONE:
        return None
    found = _HOURS.fullmatch(text)
    if found is None:
        raise QuietHoursError(f"{text!r} are no hours such as 21:00-08:00; {NONE} for none")
    first, last = time.fromisoformat(found[1]), time.fromisoformat(found[2])
    if first == last:
        raise QuietHoursError(f"{text!r} begin and end at the same time; {NONE} for none")
    return QuietHours(first, last)


@lru_cache(maxsize=4096)
def _named(names: tuple[str, ...]) -> tuple[tzinfo, ...]:
    zones: list[tzinfo] = []
    for name in names:
        try:
            zones.append(ZoneInfo(name))
        except ZoneInfoNotFoundError:  # libphonenumber's "Etc/Unknown"
            continue
    return tuple(zones) or (UTC,)


def zones_of(e164: str) -> tuple[tzinfo, ...]:
    """At least one: UTC where nobody knows."""
    return _named(timezone.time_zones_for_number(phonenumbers.parse(e164)))
