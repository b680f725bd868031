"""Images of one program and what it needs, from nothing: written as an archive, so no builder is needed."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.node.architecture import architecture

_PATH = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write(
    archive: Path,
    *,
    name: str,
    files: Mapping[str, Path],
    entrypoint: Sequence[str] = (),
    user: str = "",
    temporary: bool = False,
) -> None:
    """Writes an archive as `docker save` makes it. `files`: by their path within. `temporary`: with a /tmp."""
    layer = _layer(files, temporary=temporary)
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "User": user, "Env": [_PATH]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, mode="w") as tar:
        for path, content in (
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            _add(tar, path, content, mode=0o644)


def _layer(files: Mapping[str, Path], *, temporary: bool) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        if temporary:
            folder = tarfile.TarInfo("tmp")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
        for path, file in files.items():
            _add(tar, path, file.read_bytes(), mode=0o755)
    return target.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
