"""When work that must have been counted was not: the canary's units are missing, and nothing may be concluded.

Three silences look alike. In an *outage* the source fails, which the provider says itself. *Idle*: nobody asks for
anything, so nothing is missing. *Missing*: stable's units, or those of a moment ago, say that the canary must have had
some, and none came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from controller.stats.counts import NOTHING, Counts, Look

LOOKS = 2
UNITS = 20.0
"""So many expected units, in so many looks at least, have to be missing. By chance they are in 2e-9 of all cases."""
_REMEMBERED = 20
"""Looks over which the usual traffic is averaged."""


def missing(
    looks: Sequence[Look],
    baseline_rates: Mapping[str, float],
    trial: str = "canary",
    *,
    names: Collection[str] | None = None,
) -> str | None:
    """What is missing, in a sentence that calls the new version `trial`, or None.

    `baseline_rates`: units per second of both versions, from before it came. `names`: of the rows that count; None:
    all.

    A metric that was not asked (its row is not there) says nothing; one that was asked and had nothing has a row of
    zeros.
    """
    for name in {name: None for look in reversed(looks) for name in look.rows} | dict.fromkeys(baseline_rates):
        if names is not None and name not in names:
            continue
        sentence = _missing(name, looks, baseline_rates.get(name, 0.0), trial)
        if sentence is not None:
            return sentence
    return None


def _missing(name: str, looks: Sequence[Look], baseline_rates: float, trial: str) -> str | None:
    silent: list[tuple[Look, Counts]] = []
    heard: list[tuple[Look, Counts]] = []
    for look in reversed(looks):
        counts = look.rows.get(name)
        if counts is None:
            continue
        if counts.canary_total == 0 and not heard:
            silent.append((look, counts))
        else:
            heard.append((look, counts))
            if len(heard) == _REMEMBERED:
                break
    rate = max(baseline_rates, _rate(heard))
    expected = sum(_expected(look, counts, rate, baseline_rates) for look, counts in silent)
    if len(silent) < LOOKS or expected < UNITS:
        return None
    alone = all(counts == NOTHING for _, counts in silent)
    whose = "no units at all" if alone else f"no units of the {trial}"
    if silent[0][0].copied and not alone:
        whose = f"no copies at the {trial}"
    return f"metric {name}: {whose} in {len(silent)} looks, where about {expected:.0f} were expected"


def _expected(look: Look, counts: Counts, rate: float, baseline: float) -> float:
    """Canary units this look should have had: by stable's beside it, or where those are gone too by the usual rate.

    After a switch nothing is beside it, and what came before is all there is to go by.
    """
    if look.weight <= 0 and look.copied <= 0:
        return 0.0
    if look.weight >= 100:  # noqa: PLR2004 - percent
        return baseline * (look.end - look.start)
    if counts.stable_total > 0 and look.share < 1:
        return counts.stable_total * look.share / (1 - look.share)
    return rate * (look.end - look.start) * (look.copied or look.weight) / 100


def _rate(heard: Sequence[tuple[Look, Counts]]) -> float:
    # of all versions, where rows have two of three
    seconds = sum((look.end - look.start) * look.compared / 100 for look, _ in heard)
    return sum(counts.units for _, counts in heard) / seconds if seconds else 0.0
