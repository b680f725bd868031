"""What the worker reads from its environment, once, at the start. The README has the same as a table."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from workloads.common.attempt import Rules
from workloads.common.consumer import Capacity
from workloads.common.environment import Environment, SettingError
from workloads.common.http_metrics import Identity
from workloads.common.job_table import Terms
from workloads.image_worker import faults
from workloads.image_worker.faults import Faults
from workloads.image_worker.renderer import Limits

LEASE_SHARE = 0.9
"""Of the visibility timeout: a lease that ends first lets the next receiver claim instead of finding it busy."""
_QUEUE_KEEPS_DAYS = 14


@dataclass(frozen=True, slots=True)
class Places:
    """Where the worker's things are."""

    queue: str
    dead_letters: str
    jobs: str
    near: str
    bucket: str
    images: str = "images/"
    uploads: str = "uploads/"


@dataclass(frozen=True, slots=True)
class Telemetry:
    url: str
    bucket: str
    token: str
    emf_namespace: str
    emf_seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    identity: Identity
    places: Places
    rules: Rules
    capacity: Capacity
    terms: Terms
    wait_s: int
    patience: float
    render: Limits
    near_bits: int
    faults: Faults
    seed: str
    host: str
    port: int
    telemetry: Telemetry

    @property
    def owner(self) -> str:
        return f"{self.identity.pod}/{os.getpid()}"


def read(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    variables = Environment(environment)
    number, whole, text = variables.number, variables.whole, variables.text
    visibility = whole("VISIBILITY_SECONDS", 60, lowest=2, highest=12 * 3600)
    keep_days = number("KEEP_DAYS", 30, lowest=_QUEUE_KEEPS_DAYS + 1, highest=3650)
    identity = Identity(
        service=text("SERVICE", "image-worker"),
        revision=text("REVISION", "none"),
        pod=text("POD", socket.gethostname()),
    )
    return Settings(
        identity=identity,
        places=places(environment),
        rules=Rules(
            visibility=visibility,
            max_attempts=whole("MAX_ATTEMPTS", 6, lowest=1, highest=100),
            longest_job=number("LONGEST_JOB_SECONDS", 120, lowest=1, highest=6 * 3600),
            first_pause=number("RETRY_SECONDS", 30, lowest=0, highest=900),
            longest_pause=number("LONGEST_RETRY_SECONDS", 900, lowest=0, highest=12 * 3600),
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
        patience=number("OUTAGE_SECONDS", 90, highest=3600),
        render=Limits(
            memory_mib=whole("RENDER_MEMORY_MIB", 1536, lowest=256, highest=65536),
            cpu_s=whole("RENDER_CPU_SECONDS", 60, lowest=1, highest=6 * 3600),
        ),
        near_bits=whole("DUPLICATE_BITS", 4, lowest=0, highest=15),
        faults=faults.read(variables),
        seed=text("SEED", f"{identity.revision}/{identity.pod}"),
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


def places(environment: Mapping[str, str]) -> Places:
    """Raises SettingError. What the command line needs too."""
    variables = Environment(environment)
    found = Places(
        queue=variables.required("QUEUE_URL", "the URL of the job queue"),
        dead_letters=variables.required("DEAD_LETTER_QUEUE_URL", "the URL of the dead letter queue"),
        jobs=variables.required("JOBS_TABLE", "the name of the DynamoDB table of jobs"),
        near=variables.required("NEAR_TABLE", "the name of the DynamoDB table of perceptual hashes"),
        bucket=variables.required("BUCKET", "the name of the S3 bucket"),
        images=variables.text("IMAGES_PREFIX", "images/"),
        uploads=variables.text("UPLOADS_PREFIX", "uploads/"),
    )
    if found.images.startswith(found.uploads) or found.uploads.startswith(found.images):
        raise SettingError(
            f"UPLOADS_PREFIX: {found.uploads!r} and IMAGES_PREFIX {found.images!r} overlap: "
            "a job could then name another's image as its upload"
        )
    return found
