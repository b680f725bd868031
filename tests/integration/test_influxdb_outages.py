"""Outages are caused, not imagined: the server is stopped, frozen, or somebody cuts the line."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from controller.ports import NoData, Query, SourceOutageError
from tests.integration.influx_server import LANGUAGES, LOOK, STABLE, Server, by_revision, counts
from tests.serving import serving

pytest_plugins = ["tests.integration.influx_fixture"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_wrong_token_is_an_outage_that_does_not_show_it(
    running: Server, measurement: str, language: str
) -> None:
    wrong = "wrong-and-secret"
    sentence = await running.outage(counts(measurement, language), token=wrong)
    assert sentence.startswith(f"InfluxDB at {running.where} refuses the token (401)")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_refused_connection_is_an_outage(running: Server, measurement: str, language: str) -> None:
    sentence = await running.outage(counts(measurement, language), url="http://127.0.0.1:1")
    assert sentence.startswith("InfluxDB at 127.0.0.1:1 cannot be reached: no connection")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_frozen_server_is_an_outage_after_the_timeout(running: Server, measurement: str, language: str) -> None:
    async with running.provider(timeout_s=0.5) as provider:
        await _until(lambda: provider.query(counts(measurement, language), LOOK))  # a slow machine may need two
        with running.frozen():
            before = time.monotonic()
            with pytest.raises(SourceOutageError, match=r"did not answer within 0\.5 s"):
                await provider.query(counts(measurement, language), LOOK)
            assert 0.4 <= time.monotonic() - before < 20
        await _until(lambda: provider.query(counts(measurement, language), LOOK))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_stopped_server_is_an_outage_and_the_same_provider_asks_again_when_it_is_back(
    running: Server, measurement: str, language: str
) -> None:
    running.write(f"{measurement},revision={STABLE} bad=3i,total=100i")
    async with running.provider() as provider:
        before = await provider.query(counts(measurement, language), LOOK)
        running.influx.stop()
        try:
            with pytest.raises(SourceOutageError, match="cannot be reached"):
                await provider.query(counts(measurement, language), LOOK)
        finally:
            running.influx.start()
        assert await provider.query(counts(measurement, language), LOOK) == before


async def _until(ask: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            await ask()
        except SourceOutageError:
            assert time.monotonic() < deadline
        else:
            return


@asynccontextmanager
async def answering(answer: bytes, *, hold: bool = False, asked: list[bytes] | None = None) -> AsyncIterator[str]:
    """A server that says these bytes to whoever asks, then hangs up or, with `hold`, keeps silent."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(head)
        writer.write(answer)
        await writer.drain()
        if hold:
            await reader.read()

    async with serving(say) as port:
        yield f"http://127.0.0.1:{port}"


HALF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n#data\r\n"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_half_answer_is_an_outage(running: Server, language: str) -> None:
    async with answering(HALF) as url:
        assert (await running.outage(Query(language, "q"), url=url)).endswith(
            "cannot be reached: the connection was cut"
        )


WHOLE = {
    "flux": b"#datatype,string,long,string,long,long\r\n#group,false,false,true,false,false\r\n#default,_result,,,,\r\n"
    b",result,table,revision,bad,total\r\n,,0,%s,3,1000\r\n\r\n" % STABLE.encode(),
    "influxql": b'{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"revision":"%s"},'
    b'"columns":["time","bad","total"],"values":[[0,3,1000]]}]}]}\n' % STABLE.encode(),
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_half_of_an_answer_is_counted(running: Server, language: str) -> None:
    """Cut within its last number, of 1000 requests it left 100."""
    whole = WHOLE[language]
    measured = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole)
    async with answering(measured + whole) as url:
        assert by_revision(await running.ask(Query(language, "q"), url=url)) == {STABLE: (3, 1000)}
    for cut in range(len(whole)):
        async with answering(measured + whole[:cut]) as url:
            assert await running.outage(Query(language, "q"), url=url)
        async with answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + whole[:cut]) as url:
            said = await running.outage(Query(language, "q"), url=url)
        assert said.endswith("did not say how long its answer is, so nobody can tell whether it is whole")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_answer_that_stops_in_the_middle_is_an_outage_after_the_timeout(
    running: Server, language: str
) -> None:
    async with answering(HALF, hold=True) as url:
        sentence = await running.outage(Query(language, "q"), url=url, timeout_s=0.3)
    assert sentence.endswith("did not answer within 0.3 s")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_answer_that_only_drips_is_an_outage_after_the_timeout(running: Server, language: str) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HALF)
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.05)  # the drip itself

    async with serving(drip) as port, asyncio.timeout(10):
        sentence = await running.outage(Query(language, "q"), url=f"http://127.0.0.1:{port}", timeout_s=0.3)
    assert sentence.endswith("did not answer within 0.3 s")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>ok</html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_what_is_not_influxdbs_answer_is_an_outage(running: Server, language: str, answer: bytes) -> None:
    async with answering(answer) as url:
        assert await running.outage(Query(language, "q"), url=url)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_redirect_is_not_followed(running: Server, language: str) -> None:
    asked: list[bytes] = []
    async with answering(b"", asked=asked) as elsewhere:
        answer = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        async with answering(answer.encode()) as url:
            sentence = await running.outage(Query(language, "q"), url=url)
    assert "redirects (307), which is not followed" in sentence
    assert not asked


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", b""])
async def test_nobody_is_asked_twice(running: Server, language: str, answer: bytes) -> None:
    asked: list[bytes] = []
    async with answering(answer, asked=asked) as url:
        await running.outage(Query(language, "q"), url=url)
    assert len(asked) == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_proxy_of_the_environment_is_not_used(
    running: Server, measurement: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await running.ask(counts(measurement, language)) == NoData()


@pytest.mark.parametrize("where", ["result", "series"])
async def test_rows_that_influxdb_calls_partial_are_not_counted(running: Server, where: str) -> None:
    mark = {"result": b'"series":[{', "series": b'"name":"m"'}[where]
    body = WHOLE["influxql"].replace(mark, b'"partial":true,' + mark)
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as url:
        assert "returned a part of its rows only" in await running.refused(Query("influxql", "q"), url=url)
