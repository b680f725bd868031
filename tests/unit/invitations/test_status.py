"""An invitation's status only goes forward."""

import itertools

from workloads.invitations.status import Status, before, may_become


def test_no_status_is_reached_again():
    """I9."""
    reached = {status: set(before(status)) for status in Status}
    for _ in Status:  # the closure: what may come before, at any distance
        for status in Status:
            reached[status] |= set(itertools.chain.from_iterable(reached[each] for each in reached[status]))
    assert all(status not in reached[status] for status in Status)


def test_what_ended_stays_ended():
    """I9."""
    for ended in (Status.ACCEPTED, Status.EXPIRED, Status.FAILED):
        assert [status for status in Status if ended in before(status)] == []


def test_an_unknown_outcome_is_never_sent_again():
    """I15."""
    assert Status.UNKNOWN not in before(Status.SENDING)
    assert Status.UNKNOWN not in before(Status.QUEUED)


def test_a_condition_names_each_status_that_may_come_before():
    assert may_become(Status.QUEUED) == "status IN ('PENDING')"
    assert may_become(Status.SENDING) == "status IN ('PENDING', 'QUEUED')"
