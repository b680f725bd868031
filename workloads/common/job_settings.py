"""What any worker on the claim library reads from its environment, once, at the start."""

import os
import socket
from dataclasses import dataclass

from workloads.common.attempt import Rules
from workloads.common.consumer import Capacity
from workloads.common.environment import Environment
from workloads.common.http_metrics import Identity
from workloads.common.job_table import Terms

LEASE_SHARE = 0.9
"""Of the visibility timeout: a lease that ends first lets the next receiver claim instead of finding it busy."""
_QUEUE_KEEPS_DAYS = 14


@dataclass(frozen=True, slots=True)
class Telemetry:
    url: str
    bucket: str
    token: str
    emf_namespace: str
    emf_seconds: float


@dataclass(frozen=True, slots=True)
class JobSettings:
    identity: Identity
    queue: str
    dead_letters: str
    table: str
    rules: Rules
    capacity: Capacity
    terms: Terms
    wait_s: int
    host: str
    port: int
    telemetry: Telemetry

    @property
    def owner(self) -> str:
        return f"{self.identity.pod}/{os.getpid()}"


def read(variables: Environment, *, service: str) -> JobSettings:
    """Raises SettingError."""
    number, whole, text = variables.number, variables.whole, variables.text
    visibility = whole("VISIBILITY_SECONDS", 60, lowest=2, highest=12 * 3600)
    keep_days = number("KEEP_DAYS", 30, lowest=_QUEUE_KEEPS_DAYS + 1, highest=3650)
    return JobSettings(
        identity=Identity(
            service=text("SERVICE", service),
            revision=text("REVISION", "none"),
            pod=text("POD", socket.gethostname()),
        ),
        queue=variables.required("QUEUE_URL", "the URL of the job queue"),
        dead_letters=variables.required("DEAD_LETTER_QUEUE_URL", "the URL of the dead letter queue"),
        table=variables.required("JOBS_TABLE", "the name of the DynamoDB table of jobs"),
        rules=Rules(
            visibility=visibility,
            max_attempts=whole("MAX_ATTEMPTS", 6, lowest=1, highest=100),
            longest_job=number("LONGEST_JOB_SECONDS", 120, lowest=1, highest=6 * 3600),
            first_pause=number("RETRY_SECONDS", 30, lowest=0, highest=900),
            longest_pause=number("LONGEST_RETRY_SECONDS", 900, lowest=0, highest=12 * 3600),
            unknown_kind=number("UNKNOWN_KIND_HOURS", 24, lowest=0, highest=24 * _QUEUE_KEEPS_DAYS) * 3600,
        ),
        capacity=Capacity(
            slots=whole("SLOTS", 2, lowest=1, highest=64),
            drain=number("DRAIN_SECONDS", 120, highest=6 * 3600),
        ),
        terms=Terms(
            lease=visibility * LEASE_SHARE,
            skew=number("CLOCK_SKEW_SECONDS", 2, highest=60),
            keep=keep_days * 86400,
        ),
        wait_s=whole("WAIT_SECONDS", 20, lowest=0, highest=20),
        host=text("HOST", "0.0.0.0"),  # noqa: S104 - in a pod that is the pod's own address
        port=whole("PORT", 8080, highest=65535),
        telemetry=Telemetry(
            url=text("TELEMETRY_URL"),
            bucket=text("TELEMETRY_BUCKET", "metrics"),
            token=text("TELEMETRY_TOKEN"),
            emf_namespace=text("EMF_NAMESPACE"),
            emf_seconds=number("EMF_SECONDS", 10, lowest=1, highest=300),
        ),
    )
