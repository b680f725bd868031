"""One piece of work in a copy of a Release's repository: the way there, and how it can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from controller.api.git_origin import GitOrigin
from controller.effects.carrier import EffectContext, EffectFailedError, EffectRefusedError, Owner
from controller.effects.git_remote import remote_of, signing_key_of
from controller.effects.git_source import Source, source_of
from controller.git.manifests import Identity
from controller.git.place import Place
from controller.git.remote import GitError, RefusedError, Remote
from controller.git.repository import Repository, opened
from controller.kube.secrets import SecretError
from controller.ports import TargetError

EXAMPLE_ORIGIN: Mapping[str, Any] = {
    "url": "https://git.qa/team/shop.git",
    "branch": "main",
    "path": "apps",
    "write": "Push",
    "secretRef": {"name": "shop-git"},
    "author": {"name": "Pointsman", "email": "pointsman@shop.qa"},
}


@dataclass(frozen=True)
class Work:
    repository: Repository
    source: Source
    remote: Remote
    identity: Identity

    @property
    def place(self) -> Place:
        return Place(self.repository, self.identity, self.source.origin.branch, self.source.origin.path)


@contextmanager
def git_failures() -> Iterator[None]:
    """Raises EffectFailedError, EffectRefusedError. KubeErrors pass: a lane knows them, and when to come back."""
    try:
        yield
    except RefusedError as error:
        raise EffectRefusedError(str(error)) from error
    except GitError as error:
        raise EffectFailedError(str(error), retry_after=error.retry_after) from error
    except (TargetError, SecretError) as error:
        raise EffectFailedError(str(error)) from error
    except OSError as error:
        raise EffectFailedError(f"no copy of the repository can be made: {error.strerror}") from error


@asynccontextmanager
async def working(context: EffectContext, owner: Owner, origin: GitOrigin) -> AsyncIterator[Work]:
    """Raises EffectFailedError, EffectRefusedError, KubeError; so does what goes wrong inside."""
    with git_failures():
        source = await source_of(context.kube, owner, origin)
        remote = await remote_of(context.kube, owner.namespace, source.origin)
        signed = await signing_key_of(context.kube, owner.namespace, source.origin)
        async with opened(remote, context.addresses.resolve, signed=signed) as repository:
            yield Work(repository, source, remote, Identity(context.cluster, owner.namespace, owner.name))
