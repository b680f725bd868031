"""The Secrets of a repository. Each says itself for which repositories it may be used.

Whoever writes a Release decides to which server a password is sent, and need not be allowed to read Secrets. So the
Secret names where it may go: a Release that names another one's Secret, or another server, gets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from controller.api.names import GIT_URLS
from controller.kube.secrets import SecretError, Secrets, annotated_secret

_PORTS = {"https": 443, "ssh": 22}


async def git_secret(kube: Secrets, namespace: str, name: str, url: str) -> Mapping[str, str]:
    """What it holds. Raises SecretError, KubeError."""
    annotations, data = await annotated_secret(kube, namespace, name)
    if not any(covers(one, url) for one in annotations.get(GIT_URLS, "").replace(",", " ").split()):
        raise SecretError(
            f"Secret {namespace}/{name} is not marked for {url}; annotate it with {GIT_URLS}: {url}, or with what that "
            "begins with"
        )
    return data


def covers(prefix: str, url: str) -> bool:
    """Whether the url begins with it: server, and folders of its path as a whole."""
    try:
        (scheme, wanted), (own_scheme, own) = ((urlsplit(one).scheme, urlsplit(one)) for one in (prefix, url))
        places = [(one.hostname, one.port or _PORTS.get(one.scheme)) for one in (wanted, own)]
    except ValueError:
        return False
    if scheme != own_scheme or scheme not in _PORTS or places[0] != places[1] or not own.hostname:
        return False
    folders, path = ([part for part in one.path.split("/") if part] for one in (wanted, own))
    # a server may read `/team/../other` as another repository
    return path[: len(folders)] == folders and not any(part in (".", "..") or "%" in part for part in path)
