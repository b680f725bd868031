"""`jobDeletion`: takes away the Job of a step that is over, with its pods: promoted, rejected, aborted, replaced."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from controller.api.effect import Effect
from controller.api.fields import field, record
from controller.api.job import DELETION, job_name
from controller.api.names import RELEASE_LABEL
from controller.api.resources import JOBS, Rule
from controller.api.shapes import Text
from controller.effects.carrier import (
    CarriedOut,
    Carrier,
    EffectContext,
    EffectFailedError,
    Limits,
    Owner,
    payload_of,
)
from controller.effects.job_state import sentence
from controller.kube.client import ConflictError, KubeError

KIND = DELETION
RULES = (Rule(JOBS, ("get", "delete")),)
LIMITS = Limits(at_once=64, per_namespace=8, timeout_s=30.0)
EXAMPLE: dict[str, Any] = {"job": "job.bbbbbbbbbb.3.0.0123abcd"}
_ON_ITS_WAY_S = 1.0
"""A Job that was asked for a moment ago may not be there yet."""
_TRIES = 5
"""A young Job's controller writes its status all the time."""


@record("A payload.")
class Config:
    job: str = field(Text(253, 1), "The id of the effect that made it.")


class JobDeletion:
    def __init__(self, context: EffectContext) -> None:
        self._kube = context.kube

    async def carry_out(self, owner: Owner, effect: Effect) -> CarriedOut:
        config = payload_of(Config, effect)
        name = job_name(owner.name, config.job)
        try:
            if not await self._delete(owner, name):
                await asyncio.sleep(_ON_ITS_WAY_S)
                await self._delete(owner, name)
        except KubeError as error:
            message = f"Job {owner.namespace}/{name} cannot be deleted: {sentence(str(error))}"
            raise EffectFailedError(message, retry_after=error.retry_after) from error
        return CarriedOut({})

    async def _delete(self, owner: Owner, name: str) -> bool:
        """Whether there was one. Raises KubeError."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(ConflictError):
                return await self._delete_as_seen(owner, name)
        return await self._delete_as_seen(owner, name)

    async def _delete_as_seen(self, owner: Owner, name: str) -> bool:
        job = await self._kube.find(JOBS, owner.namespace, name)
        if job is None:
            return False
        ours = (job["metadata"].get("labels") or {}).get(RELEASE_LABEL) == owner.name
        if ours and "deletionTimestamp" not in job["metadata"]:
            await self._kube.delete(JOBS, owner.namespace, name, seen=job)
        return True


create = JobDeletion
_is_carrier: type[Carrier] = JobDeletion
