"""When windows end: after an interval, where the weight changes, and at moments that many Releases share."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.analysis.schedule import next_end, quiet_s
from controller.analysis.subject import WeightChange
from controller.api import times

MOMENTS = st.integers(1_900_000_000_000_000, 1_900_000_100_000_000).map(lambda microseconds: microseconds / 1e6)
INTERVALS = st.sampled_from([1.0, 1.3, 5.0, 7.0, 10.0, 60.0, 86_400.0])


def ends(started: float, interval: float, count: int, changed: float = 0.0) -> list[float]:
    """As they are in memory and, read again after a restart, in the record."""
    found, weights = [started], [WeightChange(changed, 10)] if changed else []
    for at in range(count):
        known = found[-1] if at % 2 else times.from_text(times.to_text(found[-1]))
        found.append(next_end(known, interval, started=started, turns=[], weights=weights, maturities=[]))
    return found[1:]


@given(MOMENTS, INTERVALS)
def test_the_first_window_is_up_to_a_tenth_longer_and_all_others_are_as_long_as_the_interval(started, interval):
    first, *others = ends(started, interval, 20)
    assert interval - 1e-3 * interval <= first - started <= 1.1 * interval + 1e-3
    for before, after in itertools.pairwise([first, *others]):
        assert abs(after - before - interval) < 1e-5


@given(MOMENTS, st.lists(MOMENTS, min_size=30, max_size=30), INTERVALS)
def test_windows_of_many_end_at_ten_moments_of_an_interval(now, starts, interval):
    last = {
        times.to_text(next(end for end in ends(now - interval * 3 + start % interval, interval, 6) if end > now))
        for start in starts
    }
    assert len(last) <= 11


@given(MOMENTS, st.floats(0.001, 30.0), INTERVALS)
def test_a_window_ends_where_the_weight_changes_and_the_next_one_is_whole(started, after, interval):
    changed = times.from_text(times.to_text(started + after * interval))
    found = ends(started, interval, 40, changed)
    if changed <= started:
        return
    at = next(index for index, end in enumerate(found) if abs(end - changed) < 2e-6)
    assert found[at + 1] - changed >= interval * (1 - 1e-3)


def test_records_of_many_releases_are_written_less_often():
    assert [quiet_s(releases) for releases in (0, 1, 150, 300)] == [15, 15, 15, 30]
