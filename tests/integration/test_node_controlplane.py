"""The control plane is started again whatever has died of it."""

import signal

import pytest

from hack.node.controlplane import ControlPlane
from hack.node.process import gone, record, running

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")


@pytest.mark.parametrize("dead", [("etcd",), ("kube-apiserver",), PARTS], ids=["etcd", "API server", "all"])
def test_what_has_died_is_started_and_what_it_kept_is_there(dead, tmp_path):
    """An API server whose etcd had died was taken for one that runs, and ended while it was waited for."""
    with ControlPlane(tmp_path) as plane:
        with plane.http() as http:
            http.post("/api/v1/namespaces", json={"metadata": {"name": "kept"}}).raise_for_status()
        for name in dead:
            identity = running(record(tmp_path, name))
            assert identity is not None
            identity.send(signal.SIGKILL)
            assert gone(identity, seconds=10)
        plane.start()
        with plane.http() as http:
            assert http.get("/api/v1/namespaces/kept").status_code == 200
        assert all(running(record(tmp_path, name)) for name in PARTS)
