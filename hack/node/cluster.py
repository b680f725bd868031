"""What a user of a running cluster needs to know; `hack/cluster up` writes it, tests read it."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hack.node import paths
from hack.node.trouble import TroubleError


@dataclass(frozen=True, kw_only=True)
class Influx:
    url: str
    token: str
    org: str
    bucket: str


@dataclass(frozen=True, kw_only=True)
class InCluster:
    """The same servers, as pods reach them."""

    influx_url: str
    telegraf_url: str
    aws_url: str
    postgres: str
    """Host and port; nobody has a password yet."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    backend: str
    kubeconfig: Path
    kubectl: Path
    gateway_url: str
    retrying_url: str
    """The same gateway, which tries another pod when one refuses a connection."""
    influx: Influx
    aws_url: str
    """SQS, DynamoDB, S3 and SNS; takes any key."""
    postgres_url: str
    """Of its administrator, by a socket of this machine."""
    in_cluster: InCluster
    address: str
    """Of this machine, as pods reach what else runs on it."""
    networks: tuple[str, ...]
    """Of pods, of Services, and of this machine as pods see it."""

    @property
    def export(self) -> str:
        """For a shell: kubectl, and `pointsman` from the environment of this program."""
        return f"export KUBECONFIG={self.kubeconfig} PATH={self.kubectl.parent}:{Path(sys.prefix) / 'bin'}:$PATH"

    def save(self, state: Path) -> None:
        """Only for its owner: it holds the token."""
        file = cluster_file(state)
        temporary = file.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n")
        temporary.rename(file)

    @classmethod
    def parse(cls, content: dict[str, Any]) -> "Cluster":
        return cls(
            backend=content["backend"],
            kubeconfig=Path(content["kubeconfig"]),
            kubectl=Path(content["kubectl"]),
            gateway_url=content["gateway_url"],
            retrying_url=content["retrying_url"],
            influx=Influx(**content["influx"]),
            aws_url=content["aws_url"],
            postgres_url=content["postgres_url"],
            in_cluster=InCluster(**content["in_cluster"]),
            address=content["address"],
            networks=tuple(content["networks"]),
        )


def cluster_file(state: Path) -> Path:
    return state / "cluster.json"


def load_cluster(state: Path = paths.STATE) -> Cluster:
    """Raises TroubleError if this checkout has no cluster that is up."""
    try:
        return Cluster.parse(json.loads(cluster_file(state).read_text()))
    except FileNotFoundError:
        raise TroubleError("this checkout has no cluster: run `hack/cluster up`.") from None
    except (KeyError, TypeError):
        raise TroubleError("the cluster was made by another version of this checkout: run `hack/cluster up`.") from None
