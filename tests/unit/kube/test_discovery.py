"""What is kept of the kinds that manifests name."""

from controller.kube import applying
from controller.kube.applying import Discovery
from controller.kube.client import KubeClient


class Answering(KubeClient):
    def __init__(self):
        self.paths = []

    async def request(self, method, path, **options):
        self.paths.append(f"{method} {path}")
        return {"resources": []}


async def test_versions_that_strangers_name_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(applying, "_MOST_VERSIONS", 3)
    kube, discovery = Answering(), Discovery()
    for number in range(10):
        assert await discovery.find(kube, f"x{number}.qa/v1", "X", older_than_s=30.0) is None
    assert len(kube.paths) == 10
    assert len(discovery._versions) == 3
    assert await discovery.find(kube, "x9.qa/v1", "X", older_than_s=30.0) is None
    assert len(kube.paths) == 10
