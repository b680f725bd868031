"""What one job is: render, upload, look for earlier images that look the same."""

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from workloads.common.attempt import RefusedError, UnknownKindError
from workloads.common.aws import patiently, status
from workloads.common.job import Job
from workloads.common.job_table import Claim
from workloads.common.stages import Observer, Stage, unobserved
from workloads.image_worker.faults import Misfortune
from workloads.image_worker.kinds import kind_of
from workloads.image_worker.near import Near, NearImages
from workloads.image_worker.refusal import BadJobError, NoSuchKindError
from workloads.image_worker.renderer import Part, Rendered, Renderer
from workloads.image_worker.settings import Places
from workloads.image_worker.store import Store, Stored

_MISSING = 404


class MissingUploadError(Exception):
    """It may come yet."""


class ImageWork:
    """A Work of the claim library. The row then holds where the image is, and what it is like."""

    def __init__(
        self,
        *,
        renderer: Renderer,
        store: Store,
        near: NearImages,
        places: Places,
        misfortune: Misfortune,
        revision: str,
        patience: float,
        observer: Observer = unobserved,
    ) -> None:
        self._renderer = renderer
        self._store = store
        self._near = near
        self._places = places
        self._misfortune = misfortune
        self._revision = revision
        self._patience = patience
        self._observer = observer

    async def __call__(self, job: Job, claim: Claim) -> Mapping[str, Any]:
        await self._misfortune.strike()
        rendered = await self._rendered(job)
        self._observer(Stage.WORKED, job.job_id)
        # The image last: where there is one, all that belongs to it is there.
        stored = {
            part.name: (part, await self._put(part, rendered, job, claim))
            for part in sorted(rendered.parts, key=lambda part: part.name == "image")
        }
        self._observer(Stage.STORED, job.job_id)
        part, image = stored["image"]
        hash64 = int(image.metadata.get("hash", f"{rendered.hash64:016x}"), 16)
        near = await patiently(
            lambda: self._near.add(job.job_id, hash64, at=time.time()), seconds=self._patience
        )  # fmt: skip
        thumbnail = stored.get("thumbnail")
        return {
            **_described(part, image, hash64, near),
            "s3_path": f"s3://{self._places.bucket}/{image.key}",
            **({"thumbnail_key": thumbnail[1].key} if thumbnail else {}),
        }

    async def _rendered(self, job: Job) -> Rendered:
        try:
            kind = kind_of(job.body)
        except NoSuchKindError as problem:
            raise UnknownKindError(str(problem)) from None
        except BadJobError as problem:
            raise RefusedError(str(problem)) from None
        data = await self._upload(job) if kind.takes_upload else b""
        return await self._renderer.render(job.job_id, {**job.body, "kind": kind.name}, data)

    async def _upload(self, job: Job) -> bytes:
        key = job.body.get("source_key")
        if not isinstance(key, str) or not key.startswith(self._places.uploads):
            raise RefusedError(f"source_key: {key!r} is no name that begins with {self._places.uploads!r}")
        try:
            return await self._store.get(key)
        except ClientError as problem:
            if status(problem) != _MISSING:
                raise
            raise MissingUploadError(f"source_key: there is no {key!r} in the bucket") from None

    async def _put(self, part: Part, rendered: Rendered, job: Job, claim: Claim) -> Stored:
        return await self._store.put(
            f"{self._places.images}{job.job_id}/{part.name}.{part.extension}",
            part.data,
            content_type=part.content_type,
            job_id=job.job_id,
            metadata={
                "fence": str(claim.row.fence),
                "version": self._revision,
                "sha256": part.sha256,
                "hash": f"{rendered.hash64:016x}",
                "size": f"{part.width}x{part.height}",
            },
        )


def _described(part: Part, image: Stored, hash64: int, near: list[Near]) -> dict[str, Any]:
    """An image that an attempt before uploaded is described by what that attempt wrote on it."""
    size = image.metadata.get("size", f"{part.width}x{part.height}").split("x")
    return {
        "s3_key": image.key,
        "sha256": image.metadata.get("sha256", part.sha256),
        "content_type": part.content_type,
        "width": int(size[0]),
        "height": int(size[1]),
        "perceptual_hash": f"{hash64:016x}",
        "near_duplicates": [{"job_id": each.job_id, "distance": each.distance} for each in near],
    }
