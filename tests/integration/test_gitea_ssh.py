"""Repositories over SSH, from a real forge: who the server is has to be known before anything is read."""

import pytest

from controller.git.remote import Credentials, GitError, Remote
from controller.git.repository import opened
from controller.sync.fetching import GIT_MEMORY
from tests.integration.forge_fixture import ROBOT, forge, forged
from tests.ssh_keys import SshKey
from tests.unit.git.story import anywhere

__all__ = ["forge", "forged"]


async def read(forged, *, identity, known_hosts):
    """The file of the newest commit, as `pointsman sync` fetches it."""
    remote = Remote(forged.ssh_url, Credentials(identity=identity.private, known_hosts=known_hosts))
    async with opened(remote, anywhere, most_memory=GIT_MEMORY) as repository:
        assert await repository.remote_commit("main")
        commit = await repository.fetch("main", 1)
        (file,) = (await repository.files(commit, "apps", lambda _: True)).values()
        return (await repository.texts([file.blob]))[file.blob]


async def test_only_a_server_whose_key_is_known_is_believed(forged):
    forged.commit("one", {"apps/a.yaml": "a: 1\n"})
    key, other, host = SshKey.make(), SshKey.make(), forged.forge.host_key
    forged.forge.call("POST", f"/admin/users/{ROBOT}/keys", title=forged.name, key=key.public)
    here = f"[127.0.0.1]:{forged.forge.gitea.ssh_port}"
    known = f"{here} {host.public}\n"
    assert await read(forged, identity=key, known_hosts=known) == "a: 1\n"
    for hosts in (f"{here} {other.public}\n", f"git.example.com {host.public}\n"):
        with pytest.raises(GitError, match="Host key verification failed"):
            await read(forged, identity=key, known_hosts=hosts)
    with pytest.raises(GitError, match="Permission denied") as refused:
        await read(forged, identity=other, known_hosts=known)
    assert other.private.splitlines()[1] not in str(refused.value)
