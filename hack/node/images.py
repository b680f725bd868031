"""Container images without a registry: a base made of Debian packages, Dockerfiles built on it.

An image is built anew when its Dockerfile, what that copies, its arguments or
the base have changed, and is otherwise taken from the cache.
"""

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hack.node import debian, mounts, paths
from hack.node.alone import alone
from hack.node.commands import output_of
from hack.node.progress import Steps
from hack.node.trouble import TroubleError

BASE = "localhost/python-base:bookworm"
_PACKAGES = "ca-certificates,git,gpg,gpg-agent,openssh-client,python-is-python3,python3,python3-pip"
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.IGNORECASE)
_NOT_COPIED = {"__pycache__", ".git", ".venv"}  # caches: they change without the image changing
_TRUST = Path("/etc/ssl/certs/ca-certificates.crt")

LEFT_OUT = ("usr/share/man/", "usr/share/doc/", "usr/share/locale/")
"""What no package brings into the base."""

# As in the usual Python images: `python` and `pip install` just work. Scripts of packages compile Python's modules, and
# would put them below a folder of this checkout.
_BOOTSTRAP = (
    "env",
    "--unset=PYTHONPYCACHEPREFIX",
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--format=directory",
    f"--include={_PACKAGES}",
    "--aptopt=Acquire::Languages none",
    *(f"--dpkgopt=path-exclude=/{folder}*" for folder in LEFT_OUT),
    '--customize-hook=rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    "bookworm",
)


def build(
    tag: str,
    *,
    dockerfile: Path,
    context: Path,
    build_args: Mapping[str, str] | None = None,
    cache: Path | None = None,
) -> Path:
    """An OCI archive of the image, whose name within is `full_name(tag)`.

    `cache`: where archives, base and layers are kept, instead of the user's cache: a new one has today's Debian.
    Raises TroubleError with what the build said if it fails.
    """
    _refuse_registries(dockerfile)
    arguments = {"BASE": BASE, **(build_args or {})}
    name = full_name(tag)
    digest = content_digest(dockerfile, context, arguments)
    cache = cache or paths.cache()
    folder = cache / "images"
    archive = folder / f"{re.sub(r'[^a-z0-9.-]+', '_', name)}.{digest[:20]}.tar"
    if archive.exists():
        return archive
    with alone("images", waiting="waiting for another process that builds an image"), Steps() as steps:
        if archive.exists():  # another process has built it meanwhile
            return archive
        temporary = archive.with_suffix(".new")
        with _storage(cache) as buildah:
            _base(steps, buildah)
            with steps.step(f"image {tag}", seconds=60):
                # An earlier stage is no part of the image: without a name of its own its layers go with what is
                # replaced, and that of its last step is not kept at all.
                for stage in stages(dockerfile.read_text()):
                    kept = f"{name}-{stage}"
                    _build(buildah, kept, dockerfile=dockerfile, context=context, arguments=arguments, stage=stage)
                _build(buildah, name, dockerfile=dockerfile, context=context, arguments=arguments)
                # Not `push`, which would compress (7 s) what the import only has to inflate.
                container = _said(buildah, "from", "--pull-never", name)
                folder.mkdir(parents=True, exist_ok=True)
                _said(buildah, "commit", "--disable-compression", container, f"oci-archive:{temporary}:{name}")
                _said(buildah, "rmi", "--prune", "--force")  # what this one replaces
        for older in folder.glob(f"{archive.name.rsplit('.', 2)[0]}.*.tar"):
            older.unlink()
        temporary.rename(archive)
    return archive


def names(archive: Path) -> dict[str, str]:
    """Digest by name of the images in an OCI archive."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        if index is None:
            raise TroubleError(f"{archive} is not an OCI archive: it holds no index.json.")
        manifests = json.load(index)["manifests"]
    return {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in manifests}


def full_name(tag: str) -> str:
    """As the kubelet understands a name without a registry."""
    name = tag if ":" in tag.rsplit("/", 1)[-1] else f"{tag}:latest"
    first, *rest = name.split("/")
    if not rest:
        return f"docker.io/library/{name}"
    return name if first == "localhost" or "." in first or ":" in first else f"docker.io/{name}"


def content_digest(dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps([dict(sorted(arguments.items())), base_key()]).encode())
    digest.update(dockerfile.read_bytes())
    for source in copied(dockerfile.read_text()):
        found = sorted(context.glob(source)) if source not in {".", "./"} else [context]
        if not found:
            raise TroubleError(f"{dockerfile} copies {source}, which {context} does not hold.")
        for file in (file for path in found for file in _files(path)):
            executable = os.access(file, os.X_OK)
            digest.update(f"\0{file.relative_to(context)}\0{executable}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def copied(dockerfile: str) -> list[str]:
    """The sources of COPY and ADD that come from the context."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile))
    sources = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() not in {"COPY", "ADD"}:
            continue
        parts = json.loads(rest) if rest.lstrip().startswith("[") else rest.split()
        flags = [part for part in parts if part.startswith("--")]
        if not any(flag.startswith("--from=") for flag in flags):
            sources += [part.removeprefix("./") or "." for part in parts[len(flags) : -1]]
    return sources


def stages(dockerfile: str) -> list[str]:
    """The names of its stages."""
    return re.findall(r"(?im)^FROM\s.*\sAS\s+(\S+)\s*$", dockerfile)


def base_key() -> str:
    return hashlib.sha256("\0".join(_BOOTSTRAP).encode()).hexdigest()[:10]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.name not in _NOT_COPIED:
        for entry in sorted(path.iterdir()):
            yield from _files(entry)


def _refuse_registries(dockerfile: Path) -> None:
    """None is asked here, and buildah's own sentence does not say what to do."""
    here = {"${BASE}", "$BASE"}
    for line in dockerfile.read_text().splitlines():
        found = _FROM.match(line)
        if found is None:
            continue
        if found["image"] not in here and not found["image"].startswith("localhost/"):
            raise TroubleError(
                f"{dockerfile}: FROM {found['image']} would need a registry. Begin with `ARG BASE=…` and "
                "`FROM ${BASE}`, which is Debian's Python here."
            )
        here.add(found["stage"] or "")


def _build(
    buildah: list[str], name: str, *, dockerfile: Path, context: Path, arguments: Mapping[str, str], stage: str = ""
) -> None:
    # chroot: runc would want CAP_SYS_RESOURCE. The host's network, and its trust, lead pip to its registry.
    command = ["bud", "--isolation=chroot", "--network=host", "--layers", "--pull-never", f"--tag={name}"]
    if _TRUST.exists():
        command.append(f"--volume={_TRUST}:{_TRUST}:ro")
    if stage:
        command.append(f"--target={stage}")
    command += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    _said(buildah, *command, f"--file={dockerfile}", str(context))


def _base(steps: Steps, buildah: list[str]) -> None:
    """Makes it, unless it is there by this recipe."""
    name = f"{BASE}-{base_key()}"
    if _said(buildah, "images", "--quiet", "--filter", f"reference={name}"):
        return
    with steps.step("base image of Debian and Python", seconds=60):
        container = _said(buildah, "from", "scratch")
        output_of([*_BOOTSTRAP, _said(buildah, "mount", container)])
        _said(buildah, "config", "--cmd=python3", container)
        listed = ("images", "--filter", f"reference={BASE}*", "--format", "{{.Name}}:{{.Tag}}")
        for older in _said(buildah, *listed).split():  # of another recipe
            _said(buildah, "rmi", "--force", older)
        _said(buildah, "tag", _said(buildah, "commit", "--rm", container, name), BASE)


@contextmanager
def _storage(cache: Path) -> Iterator[list[str]]:
    """buildah with a storage of its own, whose layers make the next build quick."""
    debian.ensure()
    folder = cache / "buildah"
    folder.mkdir(parents=True, exist_ok=True)
    # It makes these although it needs neither: its networks' lock and a cache of registries' answers.
    made = [place for place in (Path("/etc/cni"), Path("/var/lib/containers")) if not place.exists()]
    buildah = ["buildah", f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=overlay"]
    try:
        yield buildah
    finally:
        _said(buildah, "rm", "--all")
        mounts.unmount(folder)  # it leaves its storage mounted on itself
        for place in made:
            shutil.rmtree(place, ignore_errors=True)


def _said(buildah: list[str], *arguments: str) -> str:
    return output_of([*buildah, *arguments]).strip()
