"""Only counts become samples; whatever else a query returns is named and refused."""

import math
from typing import Any

import pytest

from controller.ports import BrokenMetricError, NoData, Row, Samples
from controller.providers._rows import MAX_ROWS, samples


def record(**columns: Any) -> dict[str, Any]:
    return {"revision": "aaaaaaaaaa", "bad": 1, "total": 10, **columns}


def problem(*records: dict[str, Any]) -> str:
    with pytest.raises(BrokenMetricError) as caught:
        samples(records)
    return str(caught.value)


def test_no_rows_are_no_data() -> None:
    assert samples([]) == NoData()


@pytest.mark.parametrize("bad", [3, 3.0, 3.0000001, 2.9999999])
def test_integers_and_whole_floats_are_counts_alike(bad: float) -> None:
    result = samples([record(bad=bad)])
    assert result == Samples((Row("aaaaaaaaaa", 3, 10),))
    assert isinstance(result, Samples)
    assert type(result.rows[0].bad) is int


def test_a_revision_without_units_is_a_row_of_zeros() -> None:
    assert samples([record(bad=0, total=0)]) == Samples((Row("aaaaaaaaaa", 0, 0),))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"bad": math.nan}, "column bad is nan, which is not a count"),
        ({"total": math.inf}, "column total is inf, which is not a count"),
        ({"bad": -1}, "column bad is -1, which is not between 0 and 10^9"),
        ({"total": 10**9 + 1}, "column total is 1000000001, which is not between 0 and 10^9"),
        ({"total": 10**400}, f"column total is 1{'0' * 59}…, which is not between 0 and 10^9"),
        ({"threshold": 10**400}, f"column threshold is 1{'0' * 59}…, which is not a number of seconds"),
        ({"bad": 1.5}, "column bad is 1.5, which is not a whole number"),
        ({"bad": "1"}, "column bad is '1', which is not a number"),
        ({"bad": True}, "column bad is True, which is not a number"),
        ({"bad": None}, "column bad is empty"),
        ({"revision": ""}, "column revision is '', which is not a revision"),
        ({"revision": 7}, "column revision is 7, which is not a revision"),
        ({"revision": None}, "column revision is None, which is not a revision"),
        ({"bad": 11}, "columns bad and total of revision aaaaaaaaaa are 11 and 10: more bad than all"),
        ({"threshold": "fast"}, "column threshold is 'fast', which is not a number of seconds"),
        ({"threshold": -1}, "column threshold is -1, which is not a number of seconds"),
        ({"threshold": True}, "column threshold is True, which is not a number of seconds"),
        ({"threshold": []}, "column threshold is [], which is not a number of seconds"),
    ],
)
def test_what_is_not_a_count_is_named_with_its_column(columns: dict[str, Any], sentence: str) -> None:
    assert problem(record(**columns)) == sentence


@pytest.mark.parametrize("missing", ["revision", "bad", "total"])
def test_a_missing_column_is_named_beside_those_that_are_there(missing: str) -> None:
    columns = record(_value=1)
    del columns[missing]
    assert problem(columns) == f"the query returned no column {missing} (its columns: {', '.join(sorted(columns))})"


def test_two_rows_of_one_revision_are_refused_and_not_summed() -> None:
    assert "two rows for revision aaaaaaaaaa; sum them up in the query" in problem(record(), record())


def test_rows_of_several_thresholds_stand_side_by_side() -> None:
    result = samples([record(threshold=0.25), record(threshold="1.0"), record(threshold=2)])
    assert isinstance(result, Samples)
    assert [row.threshold for row in result.rows] == ["0.25", "1", "2"]


def test_halves_of_a_revision_stand_side_by_side_and_are_called_a_and_b() -> None:
    result = samples([record(half="a"), record(half="b"), record(half="b", threshold=1)])
    assert isinstance(result, Samples)
    assert [row.half for row in result.rows] == ["a", "b", "b"]
    assert "two rows for revision aaaaaaaaaa and half a;" in problem(record(half="a"), record(half="a"))
    assert problem(record(half="left")) == "column half is 'left', which is neither a nor b"


def test_one_threshold_twice_is_refused_however_it_is_written() -> None:
    assert "two rows for revision aaaaaaaaaa and threshold 1;" in problem(record(threshold=1), record(threshold="1.0"))


def test_rows_are_bounded() -> None:
    rows = [record(revision=f"r{number}") for number in range(MAX_ROWS + 1)]
    assert isinstance(samples(rows[:-1]), Samples)
    assert problem(*rows) == "the query returned more than 1000 rows; group it by revision"


def test_a_huge_value_is_shown_in_part() -> None:
    assert len(problem(record(bad="x" * 100_000))) < 200


def test_of_a_metric_of_which_fewer_is_worse_the_good_units_are_counted() -> None:
    found = samples([{"revision": "aaaaaaaaaa", "good": 30, "total": 1000}])
    assert found == Samples((Row("aaaaaaaaaa", 970, 1000),))
    assert problem({"revision": "aaaaaaaaaa", "good": 3, "total": 2}) == (
        "columns good and total of revision aaaaaaaaaa are 3 and 2: more good than all"
    )
    assert samples([record(good=9)]) == Samples((Row("aaaaaaaaaa", 1, 10),)), "bad is bad"
