"""What Telegraf's configurations in gitops say that Telegraf's own defaults would undo."""

import tomllib
from pathlib import Path

from hack.node.binaries import PROGRAMS, GoTool

NODE = Path(__file__).parents[2] / "gitops/telegraf/node.conf"


def test_the_labels_of_versions_become_tags():
    """`label_exclude` is ["*"] where it is left out, and goes before `label_include`."""
    (kubelet,) = tomllib.loads(NODE.read_text())["inputs"]["kubernetes"]
    assert kubelet["label_include"] == ["pointsman.dev/release", "pointsman.dev/revision"]
    assert kubelet["label_exclude"] == []


def test_the_telegraf_of_the_tests_has_every_plugin_of_the_nodes():
    source = PROGRAMS["telegraf-node"].source
    assert isinstance(source, GoTool)
    used = {
        f"{kind}.{name}"
        for kind, plugins in tomllib.loads(NODE.read_text()).items()
        if kind in ("inputs", "outputs")
        for name in plugins
    }
    assert used <= set(source.tags.split(","))
