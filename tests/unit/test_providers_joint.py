"""One query for several releases: what belongs to one never reaches another."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.metrics import TOKEN_PREFIX
from controller.ports import BrokenMetricError, NoData, Query, Row, Samples
from controller.providers.joint import MARKS, JoinableQuery, MarkError, joint, parted, shared_out

REVISIONS = st.text(string.ascii_lowercase + "234567", min_size=10, max_size=10)


def marked(name: str, text: str) -> str:
    before, after = MARKS[name]
    return f"{before}{text}{after}"


def of_release(service: str, *revisions: str) -> JoinableQuery:
    condition = marked("either", f"s == {service}")
    query = parted("flux", f"a {condition} b {marked('alternatives', '|'.join(revisions))} c")
    assert isinstance(query, JoinableQuery)
    return JoinableQuery(query.language, query.text, query.around, query.parts, revisions)


def test_alone_its_parts_stand_where_they_were():
    assert of_release("web", "x", "y").text == "a ((s == web)) b (x|y) c"


def test_together_all_parts_stand_in_each_place():
    both = joint([of_release("web", "x"), of_release("shop", "y")])
    assert both == Query("flux", "a ((s == web) or (s == shop)) b (x|y) c")


def test_a_query_for_one_is_its_own():
    assert joint([of_release("web", "x")]).text == of_release("web", "x").text


def test_without_marks_it_is_asked_alone():
    assert parted("flux", "a b") == Query("flux", "a b")


@pytest.mark.parametrize(
    "text",
    [
        marked("either", marked("alternatives", "x")),
        marked("either", "x") + MARKS["either"][1],
        MARKS["either"][0] + "x",
    ],
    ids=["one in another", "an end too many", "no end"],
)
def test_marks_that_do_not_fit_are_refused(text):
    with pytest.raises(MarkError):
        parted("flux", text)


def test_no_parameter_can_hold_a_mark():
    assert all(text.startswith(TOKEN_PREFIX) for around in MARKS.values() for text in around)


@given(st.data())
def test_each_release_gets_back_its_own_rows_in_their_order(data):
    names = data.draw(st.lists(REVISIONS, min_size=2, max_size=12, unique=True))
    pairs = [(names[at], names[at + 1]) for at in range(0, len(names) - 1, 2)]
    if data.draw(st.booleans()):
        pairs[0] = ("", pairs[0][1])  # before the first version is stable
    queries = [of_release(f"web-{at}", *pair) for at, pair in enumerate(pairs)]
    known = [revision for pair in pairs for revision in pair if revision]
    rows = data.draw(
        st.lists(
            st.builds(Row, st.sampled_from(known), st.integers(0, 5), st.integers(5, 9), st.sampled_from(["", "1"]))
        )
    )
    found = shared_out(Samples(tuple(rows)) if rows else NoData(), queries)
    assert set(found) == set(pairs)
    for pair, answer in found.items():
        own = tuple(row for row in rows if row.revision in pair)
        assert answer == (Samples(own) if own else NoData())


@given(REVISIONS.filter(lambda name: name not in ("a" * 10, "b" * 10)))
def test_a_row_that_is_nobodys_spoils_the_whole_answer(stranger):
    queries = [of_release("web", "a" * 10), of_release("shop", "b" * 10)]
    with pytest.raises(BrokenMetricError, match=f"for 2 releases returned revision '{stranger}' of none"):
        shared_out(Samples((Row("a" * 10, 0, 1), Row(stranger, 0, 1))), queries)
