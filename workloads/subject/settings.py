"""What a version of the subject is like, read from its environment once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass

from workloads.common.environment import Environment
from workloads.common.faults import Faults
from workloads.common.faults import read as read_faults
from workloads.common.http_metrics import Identity


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Seconds. Their sum, and three for the last flush, must fit terminationGracePeriodSeconds."""

    drain: float = 5.0
    finish: float = 15.0


@dataclass(frozen=True, slots=True)
class Settings:
    version: str
    identity: Identity
    faults: Faults
    shutdown: Shutdown
    host: str
    port: int
    seed: str
    telemetry_url: str
    telemetry_bucket: str
    telemetry_token: str


def read(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError. SERVICE, REVISION and POD come from the pod's labels and name (Downward API)."""
    variables = Environment(environment)
    with variables.all_at_once():
        return _read(variables)


def _read(variables: Environment) -> Settings:
    text, number = variables.text, variables.number
    identity = Identity(service=text("SERVICE", "subject"), revision=text("REVISION", "none"), pod=text("POD", "local"))
    return Settings(
        version=text("VERSION", "dev"),
        identity=identity,
        faults=read_faults(variables),
        shutdown=Shutdown(
            drain=number("DRAIN_SECONDS", 5, highest=600), finish=number("FINISH_SECONDS", 15, highest=600)
        ),
        host=text("HOST", "0.0.0.0"),  # noqa: S104 - in a pod that is the pod's own address
        port=variables.whole("PORT", 8080, highest=65535),
        seed=text("SEED", f"{identity.revision}/{identity.pod}"),
        telemetry_url=text("TELEMETRY_URL"),
        telemetry_bucket=text("TELEMETRY_BUCKET", "metrics"),
        telemetry_token=text("TELEMETRY_TOKEN"),
    )
