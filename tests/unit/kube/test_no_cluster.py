"""A cluster that cannot be reached is one sentence, which names the file or the address."""

import pytest

from controller.api.resources import RELEASES
from controller.kube.client import KubeClient, UnavailableError

NO_SERVER = """\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:PORT"}}]
users: [{name: a, user: {token: x}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""


@pytest.mark.parametrize("content", ["root:x:0:0", "", "[1, 2]", "clusters: 5", "{", "\x00"])
async def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, content):
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(
        UnavailableError, match=f"^no cluster: {file} cannot be used as a kubeconfig; name another file"
    ):
        await KubeClient.connect(str(file))


async def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(UnavailableError, match=f"^no cluster: {tmp_path}/gone does not exist; name another file"):
        await KubeClient.connect()


async def test_a_server_that_is_not_there_is_named(tmp_path, unused_tcp_port):
    file = tmp_path / "config"
    file.write_text(NO_SERVER.replace("PORT", str(unused_tcp_port)))
    kube = await KubeClient.connect(str(file))
    sentence = f"Connection refused at 127.0.0.1:{unused_tcp_port}; is the cluster up"
    with pytest.raises(UnavailableError, match=sentence):
        await kube.list(RELEASES, "shop")
    await kube.close()
