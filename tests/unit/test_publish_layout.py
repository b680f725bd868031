"""Images as they are pushed."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hack.node.trouble import TroubleError
from hack.publish import layout, tree
from hack.publish.layout import Image
from hack.publish.machines import ARM64
from tests.image_parts import SETTINGS, image
from tests.image_parts import layer as made

LABELS = {"org.opencontainers.image.version": "0.2.0"}


def write(folder: Path, *images: Image) -> layout.Published:
    return layout.write(
        folder / "x", images, created="2026-12-01T00:00:00Z", labels=LABELS, cache=folder / "layers"
    )  # fmt: skip


def blob(folder: Path, described: dict[str, Any]) -> bytes:
    """What a descriptor describes, whose digest and size it has."""
    content: bytes = (folder / "x/blobs" / described["digest"].replace(":", "/")).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
    assert len(content) == described["size"]
    return content


def test_the_index_leads_to_an_image_for_each_machine(tmp_path: Path) -> None:
    base, code = made({"etc/os-release": "x"}), made({"app/code.py": "print()"})
    native = image(base, code)
    foreign = native.for_machine(ARM64, [made({"etc/os-release": "y"}), code])
    published = write(tmp_path, native, foreign)
    text = (tmp_path / "x/index.json").read_bytes()
    assert published.index == f"sha256:{hashlib.sha256(text).hexdigest()}"
    index = json.loads(text)
    assert [each["platform"] for each in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    assert list(published.manifests.values()) == [each["digest"] for each in index["manifests"]]
    for described, content in zip(index["manifests"], (b"x", b"y"), strict=True):
        manifest = json.loads(blob(tmp_path, described))
        config = json.loads(blob(tmp_path, manifest["config"]))
        assert config["architecture"] == described["platform"]["architecture"]
        assert config["config"] == SETTINGS | {"Labels": LABELS}
        plain = [gzip.decompress(blob(tmp_path, each)) for each in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in plain]
        with tarfile.open(fileobj=io.BytesIO(plain[0])) as tar:
            found = tar.extractfile("etc/os-release")
            assert found is not None
            assert found.read() == content
    assert layout.labels_of(tmp_path / "x") == LABELS


def test_the_same_images_have_the_same_digest(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, image(made({"a": "x", "b/c": "y"}))) for name in "12")
    assert first == second


def archive(folder: Path, *layers: dict[str, str]) -> Path:
    """As buildah commits an image without compression."""
    work = folder / "work"
    (work / "blobs/sha256").mkdir(parents=True)

    def add(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (work / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    described = []
    for files in layers:
        stream = io.BytesIO()
        tree.write(made(files), stream)
        described.append(add(stream.getvalue()))
    config = add(json.dumps({"architecture": "amd64", "os": "linux", "config": SETTINGS, "history": []}).encode())
    manifest = add(json.dumps({"config": config, "layers": described}).encode())
    (work / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(work, ".")
    return folder / "image.tar"


def test_layers_that_only_the_builder_needed_are_left_out(tmp_path: Path) -> None:
    built = archive(
        tmp_path, {"etc/os-release": "x", "etc/hostname": "builder"}, {"etc/hosts": ""}, {"app/code.py": ""}
    )
    read = layout.read(built, tmp_path / "read")
    assert [sorted(layer) for layer in read.layers] == [["etc", "etc/os-release"], ["app", "app/code.py"]]
    assert read.config == {"architecture": "amd64", "os": "linux", "config": SETTINGS}


def test_a_layer_that_removes_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TroubleError, match=r"removes app/.wh.code.py"):
        layout.read(archive(tmp_path, {"app/.wh.code.py": ""}), tmp_path / "read")
