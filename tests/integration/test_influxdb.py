"""Counts out of a real InfluxDB, in both languages: what comes back, for which window, and what is refused."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from controller.api.metrics import START_TOKEN, STOP_TOKEN
from controller.ports import NoData, Query, Row, Samples, Window
from hack.node.influx import InfluxDB
from tests.integration.influx_server import CANARY, LANGUAGES, LOOK, STABLE, T0, Server, by_revision, counts

pytest_plugins = ["tests.integration.influx_fixture"]

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_both_revisions_come_with_one_query(running: Server, measurement: str, language: str) -> None:
    running.write(
        f"{measurement},revision={STABLE} bad=3i,total=100i",
        f"{measurement},revision={CANARY} bad=1i,total=5i",
        f"{measurement},revision={CANARY},pod=b bad=0i,total=6i",
    )
    result = await running.ask(counts(measurement, language))
    assert by_revision(result) == {STABLE: (3, 100), CANARY: (1, 11)}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_integer_and_float_fields_count_alike(running: Server, measurement: str, language: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3,total=100i")
    assert await running.ask(counts(measurement, language)) == Samples((Row(STABLE, 3, 100),))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nothing_in_the_window_is_no_data(running: Server, measurement: str, language: str) -> None:
    assert await running.ask(counts(measurement, language)) == NoData()
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i", at=LOOK.end + timedelta(seconds=1))
    assert await running.ask(counts(measurement, language)) == NoData()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_window_holds_its_start_and_not_its_end(running: Server, measurement: str, language: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0i,total=1i", at=LOOK.start)
    running.write(f"{measurement},revision={STABLE} bad=0i,total=10i", at=LOOK.end - timedelta(microseconds=1))
    running.write(f"{measurement},revision={STABLE} bad=0i,total=100i", at=LOOK.end)
    running.write(f"{measurement},revision={STABLE} bad=0i,total=1000i", at=LOOK.start - timedelta(microseconds=1))
    assert by_revision(await running.ask(counts(measurement, language))) == {STABLE: (0, 11)}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_windows_that_touch_count_every_point_once(running: Server, measurement: str, language: str) -> None:
    points = [T0 + timedelta(milliseconds=250 * number) for number in range(1, 81)]
    for number, at in enumerate(points):
        running.write(f"{measurement},revision={STABLE} bad={number % 2}i,total={number}i", at=at)
    edges = [T0 + timedelta(seconds=seconds) for seconds in (0, 5, 7.25, 7.3, 12, 21)]
    seen = [0, 0]
    async with running.provider() as provider:
        for start, end in pairwise(edges):
            result = await provider.query(counts(measurement, language), Window(start, end))
            for bad, total in by_revision(result).values() if isinstance(result, Samples) else ():
                seen = [seen[0] + bad, seen[1] + total]
    assert seen == [40, sum(range(80))]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_missing_column_is_named(running: Server, measurement: str, language: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
    query = counts(measurement, language)
    wrong = replace(
        query,
        text=query.text.replace('AS "total"', 'AS "all"').replace(
            "|> pivot", '|> filter(fn: (r) => r._field == "bad") |> pivot'
        ),
    )
    assert (await running.refused(wrong)).startswith("the query returned no column total")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_more_bad_than_all_is_refused(running: Server, measurement: str, language: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=2i")
    assert "are 3 and 2: more bad than all" in await running.refused(counts(measurement, language))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_fractions_are_refused(running: Server, measurement: str, language: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0.5,total=2i")
    assert await running.refused(counts(measurement, language)) == "column bad is 0.5, which is not a whole number"


async def test_nan_is_refused(running: Server, measurement: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0.0,total=2i")
    query = counts(measurement, "flux")
    wrong = replace(query, text=query.text + " |> map(fn: (r) => ({r with bad: r.bad / 0.0}))")
    assert await running.refused(wrong) == "column bad is nan, which is not a count"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_text_in_a_count_is_refused(running: Server, measurement: str, language: str) -> None:
    running.write(f'{measurement},revision={STABLE} bad="many",total=2i')
    query = counts(measurement, language)
    wrong = replace(query, text=query.text.replace("sum(", "last("))
    sentence = await running.refused(wrong)
    assert "bad" in sentence or "schema collision" in sentence


@pytest.mark.parametrize(
    ("language", "text"), [("flux", "from(bucket: 7"), ("influxql", "SELECT FROM"), ("influxql", "SHOW NONSENSE")]
)
async def test_a_syntax_error_breaks_the_metric_in_the_servers_words(running: Server, language: str, text: str) -> None:
    sentence = await running.refused(Query(language, text))
    assert sentence.startswith(f"InfluxDB at {running.where} cannot answer the query (400): ")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_unknown_bucket_breaks_the_metric(running: Server, measurement: str, language: str) -> None:
    query = counts(measurement, language)
    sentence = await running.refused(
        replace(query, text=query.text.replace('"metrics"', '"nowhere"')), bucket="nowhere"
    )
    assert "nowhere" in sentence


async def test_an_error_after_the_first_byte_breaks_the_metric(running: Server, measurement: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=1i,total=2i")
    text = counts(measurement, "flux").text + " |> map(fn: (r) => ({r with bad: r.bad / (r.total - r.total)}))"
    assert (
        "could not finish the query" in (sentence := await running.refused(Query("flux", text)))
        or "cannot answer" in sentence
    )


async def test_a_text_of_any_length_is_refused(running: Server, measurement: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=1i,total=2i")
    text = counts(measurement, "flux").text + ' |> map(fn: (r) => ({r with bad: strings.repeat(v: "x", i: 200000)}))'
    assert "too long to be a count" in await running.refused(Query("flux", f'import "strings" {text}'))


async def test_two_statements_are_refused(running: Server, measurement: str) -> None:
    query = counts(measurement, "influxql")
    sentence = await running.refused(replace(query, text=f"{query.text}; {query.text}"))
    assert sentence == "the query has 2 statements; it must be one SELECT"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_too_many_rows_are_refused(running: Server, measurement: str, language: str) -> None:
    running.write(*(f"{measurement},revision=r{number} bad=1i,total=2i" for number in range(1001)))
    assert "more than 1000 rows" in await running.refused(counts(measurement, language))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_huge_answer_is_not_read_to_its_end(running: Server, measurement: str, language: str) -> None:
    text = "x" * 60_000
    for number in range(25):
        running.write(
            f'{measurement},revision={STABLE} text="{text}"', at=T0 + timedelta(seconds=1, milliseconds=number)
        )
    query = (
        Query("influxql", f'SELECT * FROM "{measurement}"')  # noqa: S608 - a name of ours
        if language == "influxql"
        else Query(
            "flux",
            f'from(bucket: "{InfluxDB.bucket}") |> range(start: {START_TOKEN}, stop: {STOP_TOKEN}) '
            f'|> filter(fn: (r) => r._measurement == "{measurement}")',
        )
    )
    assert "answered with more than 1048576 bytes" in await running.refused(query)


async def test_many_ask_at_once(running: Server, measurement: str) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
    async with running.provider() as provider:
        queries = [counts(measurement, LANGUAGES[number % 2]) for number in range(40)]
        results = await asyncio.gather(*(provider.query(query, LOOK) for query in queries))
    assert {by_revision(result)[STABLE] for result in results} == {(3, 100)}


async def test_a_provider_that_was_never_asked_is_closed_in_peace(running: Server) -> None:
    async with running.provider():
        pass


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_window_of_which_the_retention_has_taken_a_part_has_what_is_left(
    running: Server, measurement: str, language: str
) -> None:
    """What is older than the bucket keeps is refused when it is written."""
    running.keep_for(3600, measurement)
    running.write(f"{measurement},revision={STABLE} bad=1i,total=10i", bucket=measurement)
    with pytest.raises(AssertionError, match="retention"):
        running.write(f"{measurement},revision={STABLE} bad=1i,total=9i", at=T0 - 2 * HOUR, bucket=measurement)
    asked = counts(measurement, language)
    query = Query(language, asked.text.replace(f'bucket: "{InfluxDB.bucket}"', f'bucket: "{measurement}"'))
    found = await running.ask(query, Window(T0 - 3 * HOUR, LOOK.end), bucket=measurement)
    assert by_revision(found) == {STABLE: (1, 10)}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_point_of_ten_to_the_fifteenth_is_never_a_look(
    running: Server, measurement: str, language: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=0i,total={10**15}i")
    said = await running.refused(counts(measurement, language))
    assert "column total is 1000000000000000, which is not between 0 and 10^9" in said
