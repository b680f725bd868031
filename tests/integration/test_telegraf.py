"""The rights that come with Telegraf's configuration for nodes, judged by a real API server as a kubelet asks it."""

import asyncio
from pathlib import Path

import pytest
import yaml

from tests.integration.rights_fixture import KINDS

RIGHTS = (Path(__file__).parents[2] / "gitops/telegraf/node-rights.yaml").read_text()


@pytest.fixture
async def telegraf(kube, namespace):
    """The user that Telegraf is, in this namespace, with a role of this test's own."""
    account, role, binding = yaml.safe_load_all(RIGHTS)
    role["metadata"]["name"] = binding["metadata"]["name"] = binding["roleRef"]["name"] = f"telegraf-{namespace}"
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], account["metadata"]["namespace"])
    subject["namespace"] = namespace
    for body in (role, binding):
        await kube.create(KINDS[body["kind"]], None, body)
    yield f"system:serviceaccount:{namespace}:{subject['name']}"
    for body in (role, binding):
        await kube.delete(KINDS[body["kind"]], None, body["metadata"]["name"])


async def test_telegraf_may_read_what_it_measures_and_nothing_else(kube, telegraf):
    """nodes/proxy would let it run commands in any pod of the node."""
    asked = ("stats", "pods", "proxy", "log", "configz", "")
    async with asyncio.timeout(60):
        while not await _may_get(kube, telegraf, "stats"):  # noqa: ASYNC110 - a role holds once the API server has seen it
            await asyncio.sleep(0.1)
    assert {one for one in asked if await _may_get(kube, telegraf, one)} == {"stats", "pods"}


async def _may_get(kube, user, subresource):
    of = {"resource": "nodes", "subresource": subresource, "verb": "get", "name": "node"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": of},
    }
    review = await kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
    return review["status"]["allowed"]
