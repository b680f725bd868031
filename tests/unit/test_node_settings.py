import json
import os
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from hack.node import kubelet, mounts, network, paths, services
from hack.node.claim import Claim
from hack.node.cluster import load_cluster
from hack.node.containers import PAUSE_IMAGE, Containers
from hack.node.pki import Authority
from hack.node.trouble import TroubleError
from tests.some_cluster import CLUSTER


def manifests(name):
    return list(yaml.load_all((paths.NODE / "manifests" / name).read_text(), Loader=yaml.CSafeLoader))


def slices(name):
    found = [m for m in manifests(name) if m["kind"] == "EndpointSlice"]
    return {m["metadata"]["labels"]["kubernetes.io/service-name"]: m for m in found}


def test_services_lead_to_where_the_hosts_programs_listen():
    ports = {
        "influxdb": services.INFLUX_PORT,
        "telegraf": services.TELEGRAF_PORT,
        "aws": services.AWS_PORT,
        "postgres": services.POSTGRES_PORT,
    }
    found = slices("monitoring.yaml") | slices("aws.yaml") | slices("databases.yaml")
    assert found.keys() == ports.keys()
    for name, endpoints in found.items():
        assert [port["port"] for port in endpoints["ports"]] == [ports[name]]
        assert endpoints["endpoints"][0]["addresses"] == [network.ADDRESS]


def test_pods_ask_the_name_server_that_answers():
    service = manifests("dns.yaml")[0]
    endpoints = slices("dns.yaml")["kube-dns"]
    assert kubelet.kubelet_config(Path("/r"), Path("/ca"), runtime=Path("/s"))["clusterDNS"] == [
        service["spec"]["clusterIP"]
    ]
    assert {port["port"] for port in endpoints["ports"]} == {services.DNS_PORT}
    config = services.dns_config(Path("/kubeconfig"), upstream=None)
    assert config.startswith(f".:{services.DNS_PORT} {{")
    assert f"bind {endpoints['endpoints'][0]['addresses'][0]}\n" in config


def test_the_gateway_listens_on_traefiks_entry_point():
    gateway = manifests("gateway.yaml")[1]
    config = services.gateway_config("http://influx", "secret", Path("/middlewares"))
    listeners = {one["name"]: f"127.0.0.1:{one['port']}" for one in gateway["spec"]["listeners"]}
    points = {name: point["address"] for name, point in config["entryPoints"].items() if name != "traefik"}
    assert points == listeners
    assert config["entryPoints"]["retrying"]["http"]["middlewares"] == [
        f"{name}@file" for name in services.gateway_middlewares()["http"]["middlewares"]
    ]


def test_every_program_listens_on_this_machine_only():
    config = services.gateway_config("http://influx", "secret", Path("/middlewares"))
    hosts = {point["address"].split(":")[0] for point in config["entryPoints"].values()}
    proxy = kubelet.proxy_config(Path("/kubeconfig"))
    node = kubelet.kubelet_config(Path("/r"), Path("/ca"), runtime=Path("/s"))
    assert hosts == {"127.0.0.1"}
    assert proxy["metricsBindAddress"].startswith("127.0.0.1:")
    assert proxy["healthzBindAddress"].startswith("127.0.0.1:")
    assert node["address"] == network.ADDRESS
    assert node["healthzBindAddress"] == "127.0.0.1"


@pytest.mark.parametrize(("upstream", "forwards"), [(None, False), (Path("/etc/resolv.conf"), True)])
def test_names_are_only_forwarded_where_the_machine_has_a_name_server(upstream, forwards):
    assert ("forward ." in services.dns_config(Path("/kubeconfig"), upstream=upstream)) is forwards


def test_telegraf_writes_what_it_hears_without_a_host_tag():
    config = tomllib.loads(services.telegraf_config("http://10.244.0.1:18086", "secret"))
    assert config["agent"]["omit_hostname"] is True
    assert config["agent"]["flush_interval"] == "1s"
    assert config["outputs"]["influxdb_v2"][0] == {
        "urls": ["http://10.244.0.1:18086"],
        "token": "secret",
        "organization": "pointsman",
        "bucket": "metrics",
    }


def test_containerd_shares_no_directory_with_another(tmp_path):
    config = tomllib.loads(Containers(tmp_path).config())
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]["Root"]
    opt = config["plugins"]["io.containerd.internal.v1.opt"]["path"]
    places = [config["root"], config["state"], config["grpc"]["address"], cri["cni"]["conf_dir"], runc, opt]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)
    assert cri["sandbox_image"] == PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True


def test_pods_hang_on_the_nodes_bridge_and_no_plugin_writes_firewall_rules(tmp_path):
    [plugin] = json.loads(Containers(tmp_path).cni())["plugins"]
    assert plugin["bridge"] == network.BRIDGE
    assert plugin["ipMasq"] is False
    assert plugin["ipam"]["ranges"] == [[{"subnet": network.POD_CIDR}]]


def test_mounts_are_found_innermost_first_and_others_are_left_alone():
    lines = (
        "22 1 8:1 / / rw - ext4 /dev/vda rw",
        "31 22 0:5 / /work/.cluster/pods/a rw - tmpfs tmpfs rw",
        "32 31 0:6 / /work/.cluster/pods/a/my\\040volume rw - tmpfs tmpfs rw",
        "33 22 0:7 / /work/.cluster-of-another rw - tmpfs tmpfs rw",
    )
    found = mounts.find("\n".join(lines), Path("/work/.cluster"))
    assert found == [Path("/work/.cluster/pods/a/my volume"), Path("/work/.cluster/pods/a")]


def test_a_cluster_is_read_back_and_its_token_is_private(tmp_path):
    CLUSTER.save(tmp_path)
    assert load_cluster(tmp_path) == CLUSTER
    assert stat.S_IMODE((tmp_path / "cluster.json").stat().st_mode) == 0o600


def test_a_cluster_of_another_version_is_told_with_the_way_out(tmp_path):
    (tmp_path / "cluster.json").write_text('{"backend": "native", "kubeconfig": "/k"}')
    with pytest.raises(TroubleError, match="another version of this checkout"):
        load_cluster(tmp_path)


def test_no_cluster_is_told_with_the_way_out(tmp_path):
    with pytest.raises(TroubleError, match="run `hack/cluster up`"):
        load_cluster(tmp_path)


@pytest.fixture
def claim(tmp_path):
    return Claim(tmp_path / "run")


def test_a_second_cluster_on_the_machine_is_refused_naming_the_first(claim):
    with claim.exclusive():
        claim.take(Path("/one/.cluster"))
        claim.take(Path("/one/.cluster"))
        with pytest.raises(TroubleError, match=r"already runs the cluster of /one: run `hack/cluster down` there"):
            claim.take(Path("/two/.cluster"))


def test_a_machine_without_a_cluster_bears_no_trace(claim):
    with claim.exclusive():
        claim.take(Path("/one/.cluster"))
    assert claim.owner() == Path("/one/.cluster")
    with claim.exclusive():
        claim.release(Path("/two/.cluster"))
        claim.release(Path("/one/.cluster"))
    assert not claim.folder.exists()


def test_certificates_are_made_once_and_verify(tmp_path):
    authority = Authority(tmp_path / "pki")
    authority.create()
    serving = authority.server("apiserver", names=["kubernetes"], addresses=["10.96.0.1"])
    first = serving.certificate.read_bytes()
    authority.create()
    assert (
        authority.server("apiserver", names=["kubernetes"], addresses=["10.96.0.1"]).certificate.read_bytes() == first
    )
    checks = ["-purpose", "sslserver", "-verify_ip", "10.96.0.1", "-x509_strict"]
    subprocess.run(
        ["openssl", "verify", "-CAfile", authority.pair.certificate, *checks, serving.certificate],
        check=True,
        capture_output=True,
    )


def test_a_kubeconfig_holds_its_users_key_and_is_private(tmp_path):
    authority = Authority(tmp_path / "pki")
    authority.create()
    client = authority.client("admin", user="admin", group="system:masters")
    path = authority.kubeconfig(tmp_path / "admin.kubeconfig", server="https://127.0.0.1:1", client=client)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(client.key.stat().st_mode) == 0o600
    assert set(yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["users"][0]["user"]) == {
        "client-certificate-data",
        "client-key-data",
    }


def test_a_machine_without_nftables_has_no_other_kubernetes_and_nothing_to_take_down(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(network, "BRIDGE", "pointsman-none")  # the machine of the tests may have ours
    assert not network.foreign_proxy()
    network.down(tmp_path)


def test_a_kubeconfig_that_is_written_again_is_whole_at_any_moment(tmp_path):
    authority = Authority(tmp_path / "pki")
    authority.create()
    client = authority.client("admin", user="admin")
    path = authority.kubeconfig(tmp_path / "admin.kubeconfig", server="https://127.0.0.1:6443", client=client)
    with path.open() as read_by_another:
        authority.kubeconfig(path, server="https://127.0.0.1:6443", client=client)
        assert os.fstat(read_by_another.fileno()).st_ino != path.stat().st_ino, "nobody's open file is truncated"
        assert yaml.safe_load(read_by_another)["current-context"] == "pointsman"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
