"""The cluster that is up, with this checkout's Pointsman installed.

`python -m tests.e2e.installed` before the tests: from an empty cache, or on a busy machine, the images alone take
longer than a test may.
"""

from __future__ import annotations

from hack.install import IMAGE_WORKER, INVITATIONS, SUBJECT, install
from hack.node.backend import choose
from hack.node.cluster import Cluster


def installed() -> Cluster:
    """What is there already stays."""
    cluster = choose().up()
    install(cluster, print, SUBJECT, IMAGE_WORKER, INVITATIONS, sync=True)
    return cluster


if __name__ == "__main__":
    installed()
