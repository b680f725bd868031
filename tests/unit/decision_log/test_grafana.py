"""Annotations in Grafana: a strict server by its published schema, or a real one where GRAFANA_URL and GRAFANA_TOKEN
are given.
"""

import asyncio
import os
import secrets
import time

import httpx
import pytest

from controller.decision_log.entry import EventEntry, SinkDownError
from controller.decision_log.grafana import GrafanaSink
from controller.decision_log.lane import Lane
from controller.decision_log.places import Annotations
from controller.kube.objects import Key
from tests.grafana_annotations import TOKEN, Grafana


@pytest.fixture
async def strict():
    async with Grafana().running() as grafana:
        yield grafana


@pytest.fixture
def annotations(strict):
    url = os.environ.get("GRAFANA_URL")
    return Annotations(url, os.environ["GRAFANA_TOKEN"]) if url else Annotations(strict.url, TOKEN)


def event(message: str, *, name: str = "web") -> EventEntry:
    return EventEntry(Key("shop", name), "Regressed", message, warning=True, at=time.time())


async def test_an_event_is_found_by_the_tags_that_the_dashboards_ask_for(annotations):
    name = f"web-{secrets.token_hex(4)}"
    sink = GrafanaSink(annotations)
    try:
        await sink.send(sink.encode(event("26 of 812 <b>bad</b>", name=name)))
    finally:
        await sink.close()
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {annotations.token}"}, trust_env=False) as client:
        tags = ["pointsman", "namespace:shop", f"release:{name}"]
        (found,) = (await client.get(f"{annotations.url}/api/annotations", params={"tags": tags})).json()
    assert found["text"] == f"shop/{name}: 26 of 812 &lt;b&gt;bad&lt;/b&gt;"


async def test_a_wrong_token_is_said_without_it(strict):
    sink = GrafanaSink(Annotations(strict.url, "glsa_wrong"))
    try:
        with pytest.raises(SinkDownError) as caught:
            await sink.send(sink.encode(event("bad")))
    finally:
        await sink.close()
    assert "answered 401" in str(caught.value)
    assert "glsa" not in str(caught.value)


async def test_what_happened_while_grafana_was_down_is_annotated_after_it(strict):
    strict.answers = 503
    lane = Lane(GrafanaSink(Annotations(strict.url, TOKEN)), gather_s=0.01)
    running = asyncio.create_task(lane.run())
    try:
        for number in range(3):
            lane.offer(event(f"number {number}"))
        await asyncio.sleep(0.2)
        assert strict.kept == []
        strict.answers = 200
        async with asyncio.timeout(30):
            while len(strict.kept) < 3:  # noqa: ASYNC110 - the server knows nothing of a waiting test
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await lane.flush(1)
    assert [one["text"] for one in strict.kept] == [f"shop/web: number {number}" for number in range(3)]
