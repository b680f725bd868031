"""AWS in a process of this machine's own."""

import signal
import socket

from hack.node.aws import LocalAws
from hack.node.process import gone, record, running


def test_killed_it_leaves_its_address_free(tmp_path):
    """`hack/cluster down` kills what runs: a child that lived on would be in the way of the next cluster."""
    aws = LocalAws(tmp_path)
    aws.start()
    identity = running(record(tmp_path, "ministack"))
    assert identity is not None
    identity.send(signal.SIGKILL)
    assert gone(identity, seconds=10)
    host, port = aws.url.removeprefix("http://").split(":")
    with socket.create_server((host, int(port))):
        aws.stop()
