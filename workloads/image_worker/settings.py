"""What the worker reads from its environment, once, at the start. The README has the same as a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from workloads.common import job_settings
from workloads.common.environment import Environment
from workloads.common.job_settings import JobSettings
from workloads.image_worker import faults
from workloads.image_worker.faults import Faults
from workloads.image_worker.renderer import Limits

_RENDER_SHARE = 0.9
"""Of LONGEST_JOB_SECONDS. Drawing that takes so long would take it each time, and is refused; what else is slow, such
as S3, may be faster the next time.
"""


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
class Settings:
    jobs: JobSettings
    places: Places
    patience: float
    render: Limits
    near_bits: int
    faults: Faults
    seed: str


def read(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    variables = Environment(environment)
    with variables.all_at_once():
        return _read(variables)


def _read(variables: Environment) -> Settings:
    whole = variables.whole
    jobs = job_settings.read(variables, service="image-worker")
    return Settings(
        jobs=jobs,
        places=_places(variables),
        patience=variables.number("OUTAGE_SECONDS", 90, highest=3600),
        render=Limits(
            memory_mib=whole("RENDER_MEMORY_MIB", 1536, lowest=256, highest=65536),
            cpu_s=whole("RENDER_CPU_SECONDS", 60, lowest=1, highest=6 * 3600),
            whole_s=jobs.rules.longest_job * _RENDER_SHARE,
        ),
        near_bits=whole("DUPLICATE_BITS", 4, lowest=0, highest=15),
        faults=faults.read(variables),
        seed=variables.text("SEED", f"{jobs.identity.revision}/{jobs.identity.pod}"),
    )


def places(environment: Mapping[str, str]) -> Places:
    """Raises SettingError. What the command line needs too."""
    variables = Environment(environment)
    with variables.all_at_once():
        return _places(variables)


def _places(variables: Environment) -> Places:
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
        variables.refuse(
            f"UPLOADS_PREFIX: {found.uploads!r} and IMAGES_PREFIX {found.images!r} overlap: "
            "a job could then name another's image as its upload"
        )
    return found
