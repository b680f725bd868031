"""The repository of a Release, with what its Secrets hold."""

from __future__ import annotations

from controller.api.git_origin import GitOrigin
from controller.effects.git_secret import git_secret
from controller.git.remote import NO_CREDENTIALS, Remote, credentials_of
from controller.git.signing import SigningKey, signing_key
from controller.kube.secrets import Secrets


async def remote_of(kube: Secrets, namespace: str, origin: GitOrigin) -> Remote:
    """Raises SecretError, KubeError."""
    if origin.secret is None:
        return Remote(origin.url, NO_CREDENTIALS)
    return Remote(origin.url, credentials_of(await git_secret(kube, namespace, origin.secret.name, origin.url)))


async def signing_key_of(kube: Secrets, namespace: str, origin: GitOrigin) -> SigningKey | None:
    """Raises GitError, SecretError, KubeError."""
    if origin.signing_secret is None:
        return None
    name = origin.signing_secret.name
    return signing_key(await git_secret(kube, namespace, name, origin.url), name)
