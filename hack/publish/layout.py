"""Images as OCI archives, as buildah writes them, and as OCI layouts, as they are pushed: an index for two machines."""

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from hack.node.commands import output_of
from hack.publish import tree
from hack.publish.machines import Machine

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_OF_THE_BUILDER = {"etc/hostname", "etc/hosts", "etc/resolv.conf"}
_CHUNK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Image:
    config: dict[str, Any]
    """As OCI's image configuration: architecture, user, entry point; without its layers and their history."""
    layers: tuple[tree.Tree, ...]

    def files(self) -> tree.Tree:
        return tree.merged(self.layers)

    def for_machine(self, machine: Machine, layers: Sequence[tree.Tree]) -> "Image":
        config = {key: value for key, value in self.config.items() if key != "variant"}
        return replace(self, config=config | machine.platform(), layers=tuple(layers))


@dataclass(frozen=True)
class Published:
    """The digests of what a layout holds."""

    index: str
    manifests: Mapping[str, str]
    """By architecture."""


def read(archive: Path, work: Path) -> Image:
    """The one image of an OCI archive, whose layers are not compressed. They lie in `work` as long as it is used."""
    work.mkdir(parents=True)
    output_of(["tar", "--extract", f"--file={archive}", f"--directory={work}"])
    [described] = json.loads((work / "index.json").read_text())["manifests"]
    manifest = json.loads(_blob(work, described["digest"]).read_text())
    config = json.loads(_blob(work, manifest["config"]["digest"]).read_text())
    layers = [tree.read(_blob(work, layer["digest"])) for layer in manifest["layers"]]
    kept = {key: value for key, value in config.items() if key in {"architecture", "os", "variant", "config"}}
    return Image(kept, tuple(_lean(layers)))


def _lean(layers: Sequence[tree.Tree]) -> Iterator[tree.Tree]:
    """Without the files that each container gets anew, and without layers that change nothing then."""
    below: tree.Tree = {}
    for whole in layers:
        layer = {path: file for path, file in whole.items() if path not in _OF_THE_BUILDER}
        if any(not file.info.isdir() or path not in below for path, file in layer.items()):
            yield layer
        below |= layer


def write(folder: Path, images: Sequence[Image], *, created: str, labels: Mapping[str, str], cache: Path) -> Published:
    """Makes the layout, whose index.json is the image index itself. `created`: as RFC 3339.

    `cache`: keeps compressed layers, of which images have some in common.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    (work / "blobs" / "sha256").mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)
    manifests = [_manifest(work, image, created=created, labels=labels, cache=cache) for image in images]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests, "annotations": dict(labels)}
    (work / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (work / "index.json").write_text(json.dumps(index, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)
    return published(folder)


def published(folder: Path) -> Published:
    content = (folder / "index.json").read_bytes()
    manifests = json.loads(content)["manifests"]
    return Published(
        index=f"sha256:{hashlib.sha256(content).hexdigest()}",
        manifests={each["platform"]["architecture"]: each["digest"] for each in manifests},
    )


def labels_of(folder: Path) -> dict[str, str]:
    """Of a layout that is complete; empty where there is none."""
    index = folder / "index.json"
    return dict(json.loads(index.read_text())["annotations"]) if index.exists() else {}


def _manifest(folder: Path, image: Image, *, created: str, labels: Mapping[str, str], cache: Path) -> dict[str, Any]:
    layers, diff_ids = [], []
    for layer in image.layers:
        diff_id, compressed = _compressed(layer, cache)
        diff_ids.append(diff_id)
        layers.append(_add(folder, compressed, media_type=_LAYER))
    config = image.config | {
        "created": created,
        "config": image.config["config"] | {"Labels": _own_labels(image) | dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _add_json(folder, config, media_type=_CONFIG),
        "layers": layers,
        "annotations": dict(labels),
    }
    platform = {key: image.config[key] for key in ("architecture", "os", "variant") if key in image.config}
    return _add_json(folder, manifest, media_type=_MANIFEST) | {"platform": platform}


def _own_labels(image: Image) -> dict[str, str]:
    given = image.config["config"].get("Labels") or {}
    return {name: value for name, value in given.items() if not name.startswith("io.buildah.")}


def _compressed(layer: tree.Tree, cache: Path) -> tuple[str, Path]:
    """The digest of the layer's archive, and the archive compressed."""
    with tempfile.TemporaryFile(dir=cache) as plain:
        tree.write(layer, plain)
        digest = _digest(plain)
        place = cache / f"{digest}.tar.gz"
        if not place.exists():
            temporary = place.with_suffix(".new")
            with temporary.open("wb") as out:
                compressor = zlib.compressobj(wbits=_GZIP)  # unlike gzip's own, it writes no time
                for chunk in _chunks(plain):
                    out.write(compressor.compress(chunk))
                out.write(compressor.flush())
            temporary.rename(place)
    return f"sha256:{digest}", place


def _add(folder: Path, file: Path, *, media_type: str) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = _digest(stream)
    place = _blob(folder, f"sha256:{digest}")
    if not place.exists():
        os.link(file, place)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": file.stat().st_size}


def _add_json(folder: Path, content: Mapping[str, Any], *, media_type: str) -> dict[str, Any]:
    text = json.dumps(content).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    _blob(folder, digest).write_bytes(text)
    return {"mediaType": media_type, "digest": digest, "size": len(text)}


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(stream):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        yield chunk
