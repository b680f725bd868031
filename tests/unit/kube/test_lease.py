"""A Lease that somebody has emptied is held by nobody, and no reason to end."""

from typing import Any, cast

import pytest

from controller.kube.client import KubeClient
from controller.kube.lease import Lease


class Server:
    def __init__(self, **more: Any) -> None:
        self.lease: dict[str, Any] = {"metadata": {"name": "pointsman", "resourceVersion": "1"}, **more}

    async def find(self, *_: object) -> dict[str, Any]:
        return {**self.lease}

    async def replace(self, _: object, body: dict[str, Any]) -> dict[str, Any]:
        metadata = {**body["metadata"], "resourceVersion": str(int(body["metadata"]["resourceVersion"]) + 1)}
        self.lease = {**body, "metadata": metadata}
        return self.lease


@pytest.mark.parametrize("more", [{}, {"spec": None}, {"spec": {}}], ids=["no spec", "null", "empty"])
async def test_an_emptied_lease_is_taken_and_kept(more):
    server = Server(**more)
    lease = Lease(cast("KubeClient", server), "pointsman-system", "pointsman", "a_1")
    await lease.acquire()
    assert server.lease["spec"]["holderIdentity"] == "a_1"
    server.lease = {"metadata": {**server.lease["metadata"], "resourceVersion": "7"}, **more}
    assert await lease._try()
    assert server.lease["spec"]["holderIdentity"] == "a_1"
