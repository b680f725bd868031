"""kind without a Docker engine and without a registry: what is decided before any container runs."""

import ipaddress
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from hack.node import backend, docker, kind_network, narrow_runc, network, node_image, services
from hack.node.backend import choose
from hack.node.kind import Kind
from hack.node.kind_config import cluster_config
from hack.node.kind_network import Node
from hack.node.native import Native
from hack.node.trouble import TroubleError

ALL = 0x1FFFFFFFFFF
ONE = Node(name="pointsman-control-plane", address="10.247.0.2", pods="10.245.0.0/24")
TWO = Node(name="pointsman-worker", address="10.247.0.3", pods="10.245.1.0/24")


@pytest.mark.parametrize(("bounds", "held"), [(ALL, True), (ALL & ~(1 << 24), False)])
def test_what_the_machine_lacks_is_read_from_the_kernel(bounds, held):
    assert narrow_runc.is_held(f"CapEff:\t0\nCapBnd:\t{bounds:016x}\nCapAmb:\t0\n") is held


def test_a_container_asks_for_nothing_that_the_machine_cannot_give():
    process = {
        "capabilities": {"bounding": ["CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"], "effective": ["CAP_SYS_RESOURCE"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}],
        "oomScoreAdj": -500,
        "args": ["/sbin/init"],
    }
    narrow_runc.narrow(process)
    assert process == {"capabilities": {"bounding": ["CAP_SYS_ADMIN"], "effective": []}, "args": ["/sbin/init"]}


def test_a_score_that_anybody_may_set_stays():
    process = {"oomScoreAdj": 0}
    narrow_runc.narrow(process)
    assert process == {"oomScoreAdj": 0}


def test_runc_is_given_the_narrowed_specification_and_all_of_its_arguments(tmp_path, monkeypatch):
    specification = {"process": {"oomScoreAdj": -1, "args": ["true"]}, "root": {"path": "rootfs"}}
    (tmp_path / "config.json").write_text(json.dumps(specification))
    (tmp_path / "process.json").write_text('{"oomScoreAdj": -1}')
    run = []
    monkeypatch.setattr(narrow_runc, "is_held", lambda _: False)
    monkeypatch.setattr(os, "execvp", lambda _, arguments: run.append(arguments))
    for arguments in (
        ["--root", "/r", "create", "--bundle", str(tmp_path), "name"],
        ["exec", "--process", str(tmp_path / "process.json"), "name"],
    ):
        monkeypatch.setattr(sys, "argv", ["runc", *arguments])
        narrow_runc.main()
        assert run.pop() == ["runc", *arguments]
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "process": {"args": ["true"]},
        "root": {"path": "rootfs"},
    }
    assert json.loads((tmp_path / "process.json").read_text()) == {}


def test_both_backends_fit_on_one_machine():
    ours = [kind_network.NODE_CIDR, kind_network.POD_CIDR, kind_network.SERVICE_CIDR]
    natives = [network.POD_CIDR, network.SERVICE_CIDR]
    ranges = [ipaddress.ip_network(one) for one in (*ours, *natives)]
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    assert ipaddress.ip_address(kind_network.CLUSTER_DNS) in ranges[2]
    native, kind = Native(Path("/a")), Kind(Path("/a"))
    assert native.hosted.influx.url != kind.hosted.influx.url
    assert native.hosted.postgres.folder != kind.hosted.postgres.folder
    assert len(kind_network.NAME) < 16, "the kernel's limit for an interface"


@pytest.mark.parametrize("own_image", [True, False])
def test_kind_makes_one_control_plane_and_workers(own_image):
    config = yaml.safe_load(cluster_config(nodes=3, own_image=own_image))
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert config["networking"]["podSubnet"] == kind_network.POD_CIDR
    patches = [yaml.safe_load(text) for text in config["kubeadmConfigPatches"]]
    assert ({"kind": "KubeletConfiguration", "failCgroupV1": False} in patches) is own_image
    assert ("containerdConfigPatches" in config) is own_image


def test_a_node_leads_to_the_pods_of_the_others_and_knows_its_own():
    script = kind_network.node_script(ONE, [TWO])
    assert "ip route replace 10.245.1.0/24 via 10.247.0.3" in script
    assert "via 10.247.0.2" not in script
    (cable, _) = json.loads(kind_network.cni(ONE))["plugins"]
    assert cable["ipam"]["ranges"] == [[{"subnet": "10.245.0.0/24"}]]


def test_the_gateway_of_kind_listens_where_the_native_one_does_not():
    gateway = services.Gateway(address="127.0.0.2", admin_port=18091)
    config = services.gateway_config("http://influx", "secret", Path("/middlewares"), gateway)
    ours = {point["address"] for point in config["entryPoints"].values()}
    native = services.gateway_config("http://influx", "secret", Path("/middlewares"))
    assert ours.isdisjoint(point["address"] for point in native["entryPoints"].values())
    assert config["providers"]["kubernetesGateway"]["statusAddress"] == {"ip": "127.0.0.2"}


@pytest.fixture
def no_engine(monkeypatch):
    monkeypatch.setattr(docker, "machines_own", lambda: None)


def test_a_checkout_keeps_to_the_backend_that_its_cluster_has(tmp_path, no_engine):
    assert isinstance(choose(state=tmp_path), Native)
    backend.keep("kind", tmp_path)
    assert isinstance(choose(state=tmp_path), Kind)
    assert isinstance(choose("kind", state=tmp_path), Kind)
    with pytest.raises(TroubleError, match="has a cluster of the kind backend: run `hack/cluster down` first"):
        choose("native", state=tmp_path)


def test_a_cluster_of_an_older_checkout_is_native(tmp_path, monkeypatch):
    monkeypatch.setattr(docker, "machines_own", docker.Docker)
    (tmp_path / "pki").mkdir()
    assert isinstance(choose(state=tmp_path), Native)


@pytest.mark.parametrize(("engine", "user", "chosen"), [(True, 0, Kind), (False, 0, Native), (True, 1000, Native)])
def test_kind_is_chosen_where_a_docker_engine_answers_to_root(tmp_path, monkeypatch, engine, user, chosen):
    monkeypatch.setattr(docker, "machines_own", lambda: docker.Docker() if engine else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sys, "platform", "linux")
    assert isinstance(choose(state=tmp_path), chosen)


def test_several_nodes_are_for_kind(tmp_path, no_engine):
    with pytest.raises(TroubleError, match="--backend kind"):
        choose("native", nodes=3, state=tmp_path)


def test_the_private_engine_is_reached_and_the_machines_own_is_not(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere")
    private = docker.Docker(program="/cache/usr/bin/docker", engine="unix:///s/docker.sock", config="/s/config")
    assert private.env["DOCKER_HOST"] == "unix:///s/docker.sock"
    assert private.env["PATH"].startswith("/cache/usr/bin:")
    assert docker.Docker().env["DOCKER_HOST"] == "tcp://elsewhere"


def test_another_program_is_another_node_image(monkeypatch):
    before = node_image.key()
    monkeypatch.setattr(node_image, "_PACKAGES", "systemd")
    assert node_image.key() != before


def test_links_of_the_image_are_followed_within_it(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/libmnl.so.0.2").write_text("library")
    (tmp_path / "usr/lib/libmnl.so.0").symlink_to("libmnl.so.0.2")
    (tmp_path / "libmnl.so").symlink_to("/usr/lib/libmnl.so.0")
    assert node_image._within(tmp_path, tmp_path / "libmnl.so").read_text() == "library"
