"""containerd with roots and sockets of its own, and the network plugins' settings.

Nothing is shared with a container runtime that the machine may have, and
everything that it leaves behind when killed can be found again.
"""

import json
import subprocess
from pathlib import Path

from hack.node.network import BRIDGE, POD_CIDR
from hack.node.process import Daemon
from hack.node.trouble import TroubleError

PAUSE_IMAGE = "localhost/pause:1"
_READY_SECONDS = 30


class Containers:
    def __init__(self, state: Path) -> None:
        self.directory = state
        self.root = state / "containerd"

    @property
    def socket(self) -> Path:
        return self.root / "containerd.sock"

    def start(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "config.toml").write_text(self.config())
        (self.root / "cni").mkdir(exist_ok=True)
        (self.root / "cni" / "10-pointsman.conflist").write_text(self.cni())
        daemon = self.daemon()
        daemon.start()
        daemon.wait_until(self._answers, seconds=_READY_SECONDS)

    def daemon(self) -> Daemon:
        return Daemon(
            name="containerd",
            directory=self.directory,
            command=["containerd", "--config", self.root / "config.toml"],
        )

    def ctr(self, *arguments: str | Path, seconds: float = 120) -> str:
        command: list[str | Path] = ["ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        if done.returncode:
            raise TroubleError(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")
        return done.stdout

    def load(self, archive: Path) -> None:
        self.ctr("images", "import", archive)

    def images(self) -> dict[str, str]:
        """Digest by name."""
        rows = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        return {row[0]: row[2] for row in rows}

    def _answers(self) -> bool:
        command: list[str | Path] = ["ctr", "--address", self.socket, "--connect-timeout", "1s", "version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def config(self) -> str:
        return f"""\
version = 2
root = "{self.root}/root"
state = "{self.root}/state"
disabled_plugins = ["io.containerd.internal.v1.restart", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{self.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{self.root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE every sandbox would die: "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  # Where `down` finds them; the usual place is shared by all.
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.root}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{self.root}/runc"
"""

    def cni(self) -> str:
        bridge = {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "ipMasq": False,  # the node's own table does it for all pods
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.root / "addresses"),
                "ranges": [[{"subnet": POD_CIDR}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        return json.dumps({"cniVersion": "0.4.0", "name": BRIDGE, "plugins": [bridge]}, indent=2)
