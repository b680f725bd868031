"""The exact test against brute force: integers and fractions know no rounding.

`scipy` is a second opinion only: against exact fractions its law is off by up to 6e-11, ours by less than 1e-15.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import nchypergeom_fisher  # type: ignore[attr-defined]

from controller.stats import xgs
from controller.stats.counts import NOTHING, Counts
from controller.stats.spending import Spending
from controller.stats.xgs import LowerTail, UpperTail, central_law
from tests.unit.stats.whole_law import fisher_law

ODDS = (1.0, 1.1, 1.25, 1.5, 3.0, 100.0)
SPENDINGS = (Spending(0.01), Spending(0.05), Spending(0.3), Spending(0.05, horizon=4), Spending(0.3, horizon=6))
quick = settings(deadline=None, derandomize=True, max_examples=35)


def exact_law(canary: int, stable: int, bad: int, odds: float) -> dict[int, Fraction]:
    ways = {
        k: comb(canary, k) * comb(stable, bad - k) * Fraction(odds) ** k
        for k in range(max(0, bad - stable), min(canary, bad) + 1)
    }
    whole = sum(ways.values())
    return {k: way / whole for k, way in ways.items()}


class ExactTest:
    """The procedure of the design, word for word, over all paths, in fractions."""

    def __init__(self, odds: float, spending: Spending) -> None:
        self.odds, self.spending, self.spent, self.bad = odds, spending, Fraction(0), 0
        self.paths: dict[int, Fraction] = {0: Fraction(1)}

    def add(self, look: int, counts: Counts) -> tuple[int | None, Fraction, bool]:
        bad = counts.canary_bad + counts.stable_bad
        law = exact_law(counts.canary_total, counts.stable_total, bad, self.odds)
        grown: dict[int, Fraction] = {}
        for before, mass in self.paths.items():
            for k, chance in law.items():
                grown[before + k] = grown.get(before + k, Fraction(0)) + mass * chance
        self.bad += counts.canary_bad
        budget = Fraction(self.spending.until(look)) - self.spent
        boundary, tail = None, Fraction(0)
        for s in sorted(grown, reverse=True):
            if tail + grown[s] > budget:
                break
            boundary, tail = s, tail + grown[s]
        p = sum((mass for s, mass in grown.items() if s >= self.bad), Fraction(0))
        crossed = boundary is not None and self.bad >= boundary
        if not crossed and boundary is not None:
            self.spent += tail
            grown = {s: mass for s, mass in grown.items() if s < boundary}
        self.paths = grown
        return boundary, p, crossed


def counts(most: int = 12) -> st.SearchStrategy[Counts]:
    side = st.integers(0, most).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
    return st.tuples(side, side).map(lambda sides: Counts(*sides[0], *sides[1]))


@quick
@given(st.integers(0, 60), st.integers(0, 400), st.data(), st.sampled_from(ODDS))
def test_the_law_is_exact(canary, stable, data, odds):
    bad = data.draw(st.integers(0, canary + stable))
    low, law = fisher_law(canary, stable, bad, odds)
    exact = exact_law(canary, stable, bad, odds)
    assert list(exact) == list(range(low, low + len(law)))
    assert np.abs(law - np.array([float(p) for p in exact.values()])).max() < 1e-15


@pytest.mark.parametrize("odds", ODDS)
@pytest.mark.parametrize(
    ("canary", "stable", "bad"),
    [(250, 4750, 50), (2500, 2500, 2500), (5, 100_000, 100), (5000, 5000, 1), (300, 1, 150)],
)
def test_scipy_agrees(canary, stable, bad, odds):
    low, law = fisher_law(canary, stable, bad, odds)
    k = np.arange(low, low + len(law))
    theirs = nchypergeom_fisher.pmf(k, canary + stable, canary, bad, odds)
    # scipy's own error is that large: see the module's first lines
    assert np.abs(law - theirs).max() < 1e-10


@pytest.mark.parametrize("odds", ODDS)
@pytest.mark.parametrize(("canary", "stable", "bad"), [(5, 100_000, 100), (5000, 5000, 1), (300, 1, 150)])
def test_where_scipy_differs_fractions_are_on_our_side(canary, stable, bad, odds):
    low, law = fisher_law(canary, stable, bad, odds)
    exact = exact_law(canary, stable, bad, odds)
    assert low == min(exact)
    assert np.abs(law - np.array([float(p) for p in exact.values()])).max() < 1e-15


@pytest.mark.parametrize("canary", [0, 1, 100, 50_000, 99_900, 100_000])
@pytest.mark.parametrize("bad", [0, 1, 99_999, 100_000])
@pytest.mark.parametrize("odds", [1.0, 1.1, 100.0])
def test_large_and_empty_sides_stay_finite(canary, bad, odds):
    _, law = fisher_law(canary, 100_000 - canary, bad, odds)
    assert np.isfinite(law).all()
    assert (law >= 0).all()
    assert abs(law.sum() - 1) < 1e-12


@quick
@given(st.lists(counts(), min_size=1, max_size=6), st.sampled_from(ODDS), st.sampled_from(SPENDINGS))
def test_boundary_tail_and_verdict_are_those_of_all_paths(looks, odds, spending):
    test, exact = UpperTail(odds, spending), ExactTest(odds, spending)
    for number, look in enumerate(looks, start=1):
        standing = test.add(number, look)
        if look.canary_bad + look.stable_bad == 0:
            continue
        boundary, p, crossed = exact.add(number, look)
        assert standing.crossed == crossed
        assert standing.p == pytest.approx(float(p), rel=1e-9, abs=1e-15)
        assert standing.spent == pytest.approx(float(exact.spent), rel=1e-9, abs=1e-15)
        if boundary is not None or standing.boundary is not None:
            assert standing.boundary == boundary
        if crossed:
            return


@quick
@given(st.lists(counts(), min_size=1, max_size=6), st.sampled_from(ODDS), st.sampled_from(SPENDINGS))
def test_the_lower_tail_is_that_of_all_paths_too(looks, odds, spending):
    test, exact = LowerTail(odds, spending), ExactTest(1 / odds, spending)
    seen = NOTHING
    for number, look in enumerate(looks, start=1):
        seen += look
        standing = test.add(number, look)
        if look.canary_bad + look.stable_bad == 0:
            continue
        boundary, p, crossed = exact.add(
            number, Counts(look.stable_bad, look.stable_total, look.canary_bad, look.canary_total)
        )
        assert (standing.crossed, standing.bad) == (crossed, seen.canary_bad)
        assert standing.p == pytest.approx(float(p), rel=1e-9, abs=1e-15)
        if boundary is not None or standing.boundary is not None:
            assert standing.boundary == seen.canary_bad + seen.stable_bad - boundary
            assert crossed == (seen.canary_bad <= standing.boundary)
        if crossed:
            return


@quick
@given(st.integers(0, 3000), st.integers(0, 3000), st.data(), st.sampled_from((*ODDS, 0.5)))
def test_the_kept_part_of_the_law_lacks_no_more_than_it_says(canary, stable, data, odds):
    bad = data.draw(st.integers(0, canary + stable))
    whole_low, whole = fisher_law(canary, stable, bad, odds)
    low, law, lost = central_law(canary, stable, bad, odds)
    at = low - whole_low
    assert 0 <= at <= at + len(law) <= len(whole)
    assert np.abs(law - whole[at : at + len(law)]).max() < 3e-14
    assert whole[:at].sum() + whole[at + len(law) :].sum() <= lost * 1.01 + 1e-30
    assert lost <= 2e-18


@pytest.mark.parametrize("total", [10_000_000, 1_000_000])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("bad", [0, 1, 50, 100_000, 999_999])
@pytest.mark.parametrize("odds", [1 / 1.5, 1.0, 1.1])
def test_counts_of_a_large_site_stay_exact_and_small(total, share, bad, odds):
    canary = int(total * share)
    low, law, lost = central_law(canary, total - canary, bad, odds)
    assert np.isfinite(law).all()
    assert (law >= 0).all()
    assert (abs(law.sum() - 1) < 1e-12, lost <= 2e-18) == (True, True)
    assert len(law) < 50_000
    k = np.arange(low, low + len(law))
    middle = slice(len(law) // 2 - 40 if len(law) > 80 else 0, len(law) // 2 + 40)
    logs = _log_comb(canary, k) + _log_comb(total - canary, bad - k) + k * np.log(odds)
    theirs = np.exp(logs - logs.max())
    assert np.allclose(law[middle] / law.max(), theirs[middle], rtol=2e-6)


def _log_comb(n, k):
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def test_a_wide_law_is_counted_in_larger_steps_and_keeps_the_promise():
    """The same looks with and without steps: the boundary moves by less than a tenth of a standard deviation."""
    rng = np.random.default_rng(3)
    stepped, fine = UpperTail(1.0, Spending(0.01)), UpperTail(1.0, Spending(0.01))
    for number in range(1, 13):
        bad = rng.binomial(200_000, (0.1, 0.1))
        look = Counts(int(bad[0]), 200_000, int(bad[1]), 200_000)
        one = stepped.add(number, look)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(xgs, "_DEAREST", 10**12)
            other = fine.add(number, look)
        assert one.boundary is not None
        assert other.boundary is not None
        sigma = (number * 40_000 / 4) ** 0.5
        assert abs(one.boundary - other.boundary) < 0.1 * sigma
        assert one.p == pytest.approx(other.p, abs=0.05)
        assert stepped._spent + stepped._law.sum() == pytest.approx(1, abs=1e-12)
    assert (stepped._unit > 1, fine._unit) == (True, 1)


@quick
@given(st.lists(counts(60), min_size=1, max_size=30), st.integers(0, 30), st.sampled_from((UpperTail, LowerTail)))
def test_a_state_that_was_written_goes_on_bit_for_bit(looks, stop, kind):
    running = kind(1.25, Spending(0.05))
    for number, look in enumerate(looks[:stop], start=1):
        running.add(number, look)
    again = kind(1.25, Spending(0.05))
    again.restore(json.loads(json.dumps(running.to_raw())))
    assert again.standing == running.standing
    for number, look in enumerate(looks[stop:], start=stop + 1):
        assert again.add(number, look) == running.add(number, look)
    assert again.to_raw() == running.to_raw()


def test_a_known_horizon_is_spent_at_its_end_and_not_before():
    known = Spending(0.01, horizon=60)
    spent = [known.until(look) for look in range(1, 100)]
    assert spent == sorted(spent)
    assert spent[58] < 0.01
    assert spent[59:] == [0.01] * 40
    assert known.until(1) == pytest.approx(0.01 * np.log(1 + (np.e - 1) / 60), rel=1e-15)


@quick
@given(st.lists(counts(60), min_size=1, max_size=40), st.sampled_from((1.0, 1.25)))
def test_never_more_is_spent_than_the_budget_and_no_mass_is_lost(looks, odds):
    test = UpperTail(odds, Spending(0.05))
    for number, look in enumerate(looks, start=1):
        if test.add(number, look).crossed:
            return
        assert test._spent <= Spending(0.05).until(number) + 1e-15
        assert test._spent + test._law.sum() == pytest.approx(1, abs=1e-12)


def _all_paths(totals: list[tuple[int, int, int]], so_far: tuple[Counts, ...] = ()) -> Iterator[tuple[Counts, ...]]:
    if len(so_far) == len(totals):
        yield so_far
        return
    canary, stable, bad = totals[len(so_far)]
    for k in range(max(0, bad - stable), min(canary, bad) + 1):
        yield from _all_paths(totals, (*so_far, Counts(k, canary, bad - k, stable)))


@pytest.mark.parametrize("odds", [1.0, 1.5])
def test_the_promise_holds_over_every_path_there_is(odds):
    """Sum of the probabilities of all paths that convict a version exactly as bad as tolerated: at most A(t)."""
    totals = [(10, 30, 4), (20, 20, 5), (5, 50, 3), (25, 25, 6)]
    convicted = 0.0
    for path in _all_paths(totals):
        test, chance = UpperTail(odds, Spending(0.3)), 1.0
        for number, look in enumerate(path, start=1):
            low, law = fisher_law(look.canary_total, look.stable_total, look.canary_bad + look.stable_bad, odds)
            chance *= law[look.canary_bad - low]
            standing = test.add(number, look)
        convicted += chance if standing.crossed else 0.0
    assert 0 < convicted <= Spending(0.3).until(len(totals))


def test_a_look_without_bad_units_spends_nothing_and_its_budget_carries_over():
    empty = UpperTail(1.1, Spending(0.01))
    for number in range(1, 100):
        standing = empty.add(number, Counts(0, 50, 0, 950))
    assert (empty._spent, standing.p, standing.budget) == (0.0, 1.0, 0.0)
    assert empty.add(100, Counts(0, 50, 1, 950)).budget == Spending(0.01).until(100)


def test_spending_is_open_ended_and_never_more_than_alpha():
    spent = [Spending(0.01).until(look) for look in range(1, 10_000)]
    assert spent == sorted(spent)
    assert spent[19] == pytest.approx(0.005)
    assert spent[-1] < 0.01


def test_a_crossing_is_for_ever():
    test = UpperTail(1.1, Spending(0.01))
    first = test.add(1, Counts(30, 50, 0, 950))
    assert first.crossed
    later = test.add(2, Counts(0, 50, 500, 950))
    assert (later.crossed, later.p, later.boundary, later.bad) == (True, first.p, first.boundary, 30)


def test_a_canary_much_better_than_stable_is_far_from_conviction():
    """Its S lies below the part of the law that is kept: this once read a tail from the wrong end, or none."""
    test = UpperTail(1.1, Spending(0.01))
    for number in range(1, 60):
        standing = test.add(number, Counts(0, 500, 250, 500))
        assert not standing.crossed
        assert standing.p == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("bad", [(-1, 5, 0, 5), (6, 5, 0, 5), (0, 5, 6, 5), (0, 5, -1, 5), (0, -1, 0, 5)])
def test_impossible_counts_are_an_error(bad):
    with pytest.raises(ValueError, match="is impossible"):
        Counts(*bad)
