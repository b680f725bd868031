"""What is owed after a pass, and how it stands in the status."""

import json

from controller.api.effect import MOST_OWED, Effect, Owed, owed_from_raw, owed_to_raw
from controller.rollout.effect import Answered, Refused, Retrying, owed_after

GATE = Effect("webhook.abc.1.2", "webhook", {"url": "http://gate.qa"})
NOTE = Effect("note.abc.1", "note", {"text": "promoted"}, must_deliver=True)


def test_an_effect_that_stays_wanted_is_owed_since_it_was_first_wanted():
    first = owed_after((), [GATE], {}, 10.0)
    assert owed_after(first, [GATE], {}, 20.0) == (Owed(GATE, 10.0),)


def test_a_changed_payload_replaces_the_one_before():
    changed = Effect(GATE.id, GATE.kind, {"url": "http://other.qa"})
    assert owed_after((Owed(GATE, 10.0),), [changed], {}, 20.0) == (Owed(changed, 10.0),)


def test_an_effect_that_is_wanted_no_longer_is_dropped():
    assert owed_after((Owed(GATE, 10.0),), [], {}, 20.0) == ()


def test_what_must_be_delivered_stays_owed_until_it_is():
    before = (Owed(NOTE, 10.0),)
    assert owed_after(before, [], {}, 20.0) == before
    assert owed_after(before, [], {NOTE.id: Retrying("away", 3, 60.0)}, 20.0) == before
    assert owed_after(before, [], {NOTE.id: Answered({})}, 20.0) == ()
    assert owed_after(before, [], {NOTE.id: Refused("unknown")}, 20.0) == ()


def test_wanted_effects_find_room_when_too_much_is_undelivered():
    notes = tuple(Owed(Effect(f"note.{n}", "note", {}, must_deliver=True), float(n)) for n in range(MOST_OWED))
    owed = owed_after(notes, [GATE], {}, 99.0)
    assert len(owed) == MOST_OWED
    assert owed[0].effect == GATE
    assert notes[0] not in owed  # the oldest one goes


def test_what_is_owed_comes_back_from_the_status_as_it_was():
    owed = (Owed(GATE, 1_800_000_000.25), Owed(NOTE, 1_800_000_001.0))
    assert owed_from_raw(json.loads(json.dumps(owed_to_raw(owed)))) == owed
    assert set(owed_to_raw(owed)[0]) == {"id", "kind", "payload", "since"}
