"""Each reason says what it means and what a person does next."""

import pytest

from controller.api.reasons import MEANINGS, Kind, Reason, meaning_of

FACTS = {
    **dict.fromkeys(("here", "beside", "first"), "web -n shop"),
    "name": "web",
    "namespace": "shop",
    "rejected": "klmnopqrst",
    "previous": "abcdefghij",
}


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_sentence_and_a_next_command(reason):
    meaning = meaning_of(reason)
    assert meaning is MEANINGS[reason]
    assert meaning.sentence.endswith(".")
    assert all(line.format(**FACTS) for line in meaning.next)
    assert meaning.next


@pytest.mark.parametrize("reason", [reason for reason in Reason if MEANINGS[reason].kind is Kind.PERSON])
def test_who_has_to_decide_is_given_a_command_that_decides(reason):
    assert any(line.startswith(("pointsman ", "kubectl ")) for line in MEANINGS[reason].next)


def test_a_word_of_another_package_has_a_way_on():
    assert meaning_of("AwaitingFullMoon").next == meaning_of("Analyzing").next
