import hashlib
import io
import json
import tarfile

import pytest

from hack.node import images, scratch_image
from hack.node.architecture import architecture
from hack.node.trouble import TroubleError

DOCKERFILE = """\
ARG BASE=python:3.13-slim
FROM ${BASE} AS built
COPY --chown=1:1 pyproject.toml ./
# COPY nothing /
COPY app \\
     lib/ /srv/
FROM ${BASE}
COPY --from=built /srv /srv
ADD ["my file.txt", "/srv/"]
CMD ["python", "/srv/app"]
"""


@pytest.fixture
def context(tmp_path):
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    for file in ("pyproject.toml", "app/main.py", "lib/a.py", "my file.txt", "README.md"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    return tmp_path


def digest(context, **arguments):
    return images.content_digest(context / "Dockerfile", context, arguments)


def test_what_a_dockerfile_takes_from_its_context_is_known():
    assert images.copied(DOCKERFILE) == ["pyproject.toml", "app", "lib/", "my file.txt"]


def test_the_stages_of_a_dockerfile_are_those_with_a_name():
    assert images.stages(DOCKERFILE) == ["built"]


@pytest.mark.parametrize("file", ["Dockerfile", "app/main.py", "lib/a.py", "my file.txt", "lib/new.py"])
def test_a_change_of_what_is_copied_means_another_image(context, file):
    before = digest(context)
    (context / file).write_text(DOCKERFILE + "# changed\n")
    assert digest(context) != before


@pytest.mark.parametrize("file", ["README.md", "notes.txt", "app/__pycache__/main.pyc"])
def test_a_change_of_anything_else_does_not(context, file):
    before = digest(context)
    (context / file).parent.mkdir(exist_ok=True)
    (context / file).write_text("changed")
    assert digest(context) == before


def test_a_file_that_becomes_executable_means_another_image(context):
    before = digest(context)
    (context / "app/main.py").chmod(0o755)
    assert digest(context) != before


def test_build_arguments_count_and_their_order_does_not(context):
    assert digest(context, A="1", B="2") == digest(context, B="2", A="1")
    assert digest(context, A="1") != digest(context, A="2")


def test_copying_the_whole_context_is_understood(context):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    before = digest(context)
    (context / "README.md").write_text("changed")
    assert digest(context) != before


def test_copying_what_is_not_there_is_told(context):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    with pytest.raises(TroubleError, match="Dockerfile copies absent, which"):
        digest(context)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("web", "docker.io/library/web:latest"),
        ("web:1", "docker.io/library/web:1"),
        ("team/web:1", "docker.io/team/web:1"),
        ("localhost/web:1", "localhost/web:1"),
        ("registry:5000/web", "registry:5000/web:latest"),
        ("example.org/team/web:1", "example.org/team/web:1"),
    ],
)
def test_names_are_those_that_a_kubelet_asks_for(tag, name):
    assert images.full_name(tag) == name


def test_the_images_of_an_archive_are_read_from_its_index(tmp_path):
    ref = {"org.opencontainers.image.ref.name": "localhost/web:1"}
    index = json.dumps({"manifests": [{"digest": "sha256:abc", "annotations": ref}]}).encode()
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        entry = tarfile.TarInfo("index.json")
        entry.size = len(index)
        tar.addfile(entry, io.BytesIO(index))
    assert images.names(tmp_path / "image.tar") == {"localhost/web:1": "sha256:abc"}


def _content(tar, name):
    member = tar.extractfile(name)
    assert member is not None
    return member.read()


def test_an_image_of_one_program_is_whole(tmp_path):
    (tmp_path / "pause").write_bytes(b"program")
    scratch_image.write(
        tmp_path / "pause.tar",
        name="localhost/pause:1",
        files={"pause": tmp_path / "pause"},
        entrypoint=["/pause"],
        temporary=True,
    )
    with tarfile.open(tmp_path / "pause.tar") as tar:
        manifest = json.loads(_content(tar, "manifest.json"))[0]
        config = json.loads(_content(tar, manifest["Config"]))
        layer = _content(tar, manifest["Layers"][0])
    assert manifest["RepoTags"] == ["localhost/pause:1"]
    assert config["architecture"] == architecture()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember(config["config"]["Entrypoint"][0].strip("/")).mode & 0o111
        assert tar.getmember("tmp").isdir()


@pytest.mark.parametrize(
    ("kernel", "oci"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64"), ("riscv64", "riscv64")]
)
def test_an_architecture_has_the_name_that_registries_know(kernel, oci):
    assert architecture(kernel) == oci


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (DOCKERFILE, False),
        ("FROM localhost/python-base:bookworm", False),
        ("FROM $BASE AS code\nFROM code", False),
        ("FROM python:3.13-slim", True),
        ("from --platform=linux/amd64 docker.io/library/alpine as one", True),
        ("FROM ${BASE}\nFROM code", True),
    ],
)
def test_an_image_that_would_need_a_registry_is_named_with_the_way_out(tmp_path, lines, refused):
    file = tmp_path / "Dockerfile"
    file.write_text(lines)
    if not refused:
        images._refuse_registries(file)
        return
    with pytest.raises(TroubleError, match=r"would need a registry. Begin with `ARG BASE=…` and `FROM \$\{BASE\}`"):
        images._refuse_registries(file)
