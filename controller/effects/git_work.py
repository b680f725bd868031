"""One piece of work in a copy of a Release's repository: the way there, and how it can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from controller.api.git_origin import GitOrigin
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError, Owner
from controller.effects.git_remote import remote_of, signing_key_of
from controller.effects.git_source import Source, source_of
from controller.git.manifests import Identity
from controller.git.remote import GitError, RefusedError
from controller.git.repository import Repository, opened
from controller.kube.client import KubeError
from controller.kube.secrets import SecretError
from controller.ports import TargetError


@dataclass(frozen=True)
class Work:
    repository: Repository
    source: Source
    identity: Identity


@asynccontextmanager
async def working(context: EffectContext, owner: Owner, origin: GitOrigin) -> AsyncIterator[Work]:
    """Raises EffectFailedError, EffectRefusedError, also for what goes wrong inside."""
    try:
        source = await source_of(context.kube, owner, origin)
        remote = await remote_of(context.kube, owner.namespace, source.origin)
        signed = await signing_key_of(context.kube, owner.namespace, source.origin)
        async with opened(remote, context.addresses.resolve, signed=signed) as repository:
            yield Work(repository, source, Identity(context.cluster, owner.namespace, owner.name))
    except RefusedError as error:
        raise EffectRefusedError(str(error)) from error
    except GitError as error:
        raise EffectFailedError(str(error), retry_after=error.retry_after) from error
    except (TargetError, SecretError) as error:
        raise EffectFailedError(str(error)) from error
    except OSError as error:
        raise EffectFailedError(f"no copy of the repository can be made: {error.strerror}") from error
    except KubeError as error:
        raise EffectFailedError(f"the API server cannot be reached: {error}") from error
