"""What is no answer of an API server is not taken for one, whatever a load balancer or a proxy puts in its place."""

from typing import Any, cast

import aiohttp
import pytest

from controller.api.resources import DEPLOYMENTS
from controller.kube.client import KubeClient, NotFoundError, UnavailableError
from tests.unit.runtime.fake_client import FakeResponse

HTML = b"<html><body>It works!</body></html>"
NO_OBJECTS = (HTML, b"", b"null", b"[]", b'"maintenance"', b"[" * 100_000)


class Client(KubeClient):
    """Behind a load balancer that answers everything itself."""

    def __init__(self, status: int, raw: bytes) -> None:
        super().__init__(cast("Any", None))
        self._answered = FakeResponse(status, raw, {})

    async def _send(self, *_: Any) -> aiohttp.ClientResponse:
        return cast("aiohttp.ClientResponse", self._answered)


@pytest.mark.parametrize("raw", NO_OBJECTS, ids=lambda raw: raw[:20].decode() or "nothing")
async def test_a_200_with_no_object_is_an_outage_and_no_object(raw):
    client = Client(200, raw)
    for asking in (
        client.get(DEPLOYMENTS, "shop", "web"),
        client.find(DEPLOYMENTS, "shop", "web"),
        client.list(DEPLOYMENTS, "shop"),
        client.replace(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}}),
        client.delete(DEPLOYMENTS, "shop", "web"),
    ):
        with pytest.raises(UnavailableError, match="is not from an API server"):
            await asking


@pytest.mark.parametrize("raw", [b'{"status": "ok"}', b'{"items": {}}', b'{"items": "none"}'])
async def test_an_object_of_somebody_else_is_neither_a_list_nor_one_of_the_clusters(raw):
    client = Client(200, raw)
    with pytest.raises(UnavailableError, match="is not from an API server"):
        await client.list(DEPLOYMENTS, "shop")
    with pytest.raises(UnavailableError, match="is not from an API server"):
        await client.get(DEPLOYMENTS, "shop", "web")


async def test_an_empty_list_may_be_null_as_go_writes_it():
    assert await Client(200, b'{"metadata": {}, "items": null}').list(DEPLOYMENTS) == []


@pytest.mark.parametrize("raw", NO_OBJECTS, ids=lambda raw: raw[:20].decode() or "nothing")
async def test_an_error_with_no_object_is_that_error(raw):
    with pytest.raises(UnavailableError) as caught:
        await Client(502, raw).get(DEPLOYMENTS, "shop", "web")
    assert caught.value.status == 502
    with pytest.raises(NotFoundError):
        await Client(404, raw).get(DEPLOYMENTS, "shop", "web")
