"""The pauses of workloads that try again."""

from workloads.common.backoff import Pauses, spread_s


def test_a_pause_is_half_to_all_of_it():
    draw = iter((0.0, 0.5, 1.0)).__next__
    assert [spread_s(8.0, draw) for _ in range(3)] == [4.0, 6.0, 8.0]


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success():
    pauses = Pauses(0.5, 3.0, lambda: 1.0)
    assert [pauses.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert pauses.longest_next_s == 3.0
    pauses.again()
    assert pauses.next_s() == 0.5
