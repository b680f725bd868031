"""What is kept of the kinds that manifests name."""

import pytest

from controller.kube import applying
from controller.kube.applying import Discovery, Kind
from controller.kube.client import InvalidError, KubeClient, KubeError, UnavailableError


class Answering(KubeClient):
    """It has versions x0.qa/v1 to x9.qa/v1, each with a kind X; one that is `broken` has an error instead."""

    def __init__(self, **broken):
        self.paths, self.broken = [], broken

    async def request(self, method, path, **options):
        self.paths.append(f"{method} {path}")
        if path == "/apis":
            return {"groups": [{"versions": [{"groupVersion": f"x{number}.qa/v1"}]} for number in range(10)]}
        error = self.broken.get(path.split("/")[2].partition(".")[0])
        if isinstance(error, KubeError):
            raise error
        if error is not None:
            return error
        return {"resources": [{"kind": "X", "name": "xs", "namespaced": True}]}


async def test_versions_that_strangers_name_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(applying, "_MOST_VERSIONS", 3)
    kube, discovery = Answering(), Discovery()
    for number in range(10):
        assert await discovery.find(kube, f"x{number}.qa/v1", "X", older_than_s=30.0)
    assert len(kube.paths) == 11
    assert len(discovery._versions) == 3
    assert await discovery.find(kube, "x9.qa/v1", "X", older_than_s=30.0)
    assert len(kube.paths) == 11


async def test_versions_that_the_server_does_not_have_cost_one_request():
    """Each was a request, one after the other: half a minute for the 5,000 that one commit may name."""
    kube, discovery = Answering(), Discovery()
    wanted = [(f"made-up-{number}.qa/v1", "X") for number in range(5_000)]
    found = await discovery.find_all(kube, [*wanted, ("x1.qa/v1", "X"), ("x1.qa/v1", "Y")], older_than_s=30.0)
    assert kube.paths == ["GET /apis", "GET /apis/x1.qa/v1"]
    assert isinstance(found["x1.qa/v1", "X"], Kind)
    assert {kind for one, kind in found.items() if one != ("x1.qa/v1", "X")} == {None}
    await discovery.find_all(kube, wanted, older_than_s=30.0)
    assert len(kube.paths) == 2


@pytest.mark.parametrize(
    "answer", [UnavailableError(503, "", "not now"), {"resources": [{"kind": 1}]}, {"resources": 3}]
)
async def test_an_api_that_does_not_answer_keeps_no_other_kind(answer):
    kube, discovery = Answering(x1=answer), Discovery()
    found = await discovery.find_all(kube, [("x1.qa/v1", "X"), ("x2.qa/v1", "X")], older_than_s=30.0)
    assert isinstance(found["x1.qa/v1", "X"], UnavailableError)
    assert isinstance(found["x2.qa/v1", "X"], Kind)
    with pytest.raises(UnavailableError):
        await discovery.find(kube, "x1.qa/v1", "X", older_than_s=30.0)


async def test_who_may_read_nothing_learns_that():
    with pytest.raises(InvalidError):
        await Discovery().find_all(Answering(x1=InvalidError(403, "", "no")), [("x1.qa/v1", "X")], older_than_s=30.0)
