"""What a dead letter carries, and what is left of it when it is sent again."""

from typing import Any

import pytest

from workloads.common.dead_letter import as_sent, with_story, without_story

STORY = {"job_id": "j", "attempts": "3", "last_error": "no such color", "version": "a"}


def producers(count: int) -> dict[str, Any]:
    first = {"bytes": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"}, **as_sent({"traceparent": "00-1"})}
    more = {f"n{place}": {"DataType": "Number.int", "StringValue": str(place)} for place in range(count - len(first))}
    return {**first, **more}


@pytest.mark.parametrize("count", range(2, 11))
def test_a_story_fits_beside_any_number_of_the_producers_attributes_and_all_come_back(count: int) -> None:
    """W6: from seven on, SQS refused the copy, and the job had no dead letter."""
    sent = producers(count)
    dead = with_story(sent, STORY)
    assert len(dead) <= 10
    assert {name: dead[name]["StringValue"] for name in STORY} == STORY
    assert dead["traceparent"] == sent["traceparent"]
    assert without_story(dead) == sent


def test_an_attribute_of_the_producer_with_a_name_of_the_story_is_not_lost() -> None:
    sent = as_sent({"version": "2", "attempts": "many"})
    dead = with_story(sent, STORY)
    assert dead["version"]["StringValue"] == "a"
    assert without_story(dead) == sent


def test_a_message_that_the_redrive_policy_moved_keeps_what_it_has() -> None:
    sent = as_sent({"version": "2"})
    assert without_story(sent) == sent


def test_characters_that_sqs_refuses_do_not_keep_a_job_out_of_the_dead_letter_queue() -> None:
    assert as_sent({"last_error": "a\x00b\ud800", "empty": ""}) == {
        "last_error": {"DataType": "String", "StringValue": "a\ufffdb\ufffd"}
    }
