"""Kustomizations of strangers, built by the real kubectl: within their repository, and nothing else."""

import asyncio
import multiprocessing
import resource
import subprocess

import pytest

from controller.git.remote import RefusedError
from controller.sync.rendering import render
from hack.node import build
from tests.git_server import Origin, git
from tests.unit.sync.test_rendering import config_map, copy_of, names

BASE = """\
resources: [a.yaml]
configMapGenerator:
- {name: settings, literals: ['URL=https://shop.qa/'], files: [plain.txt]}
"""


@pytest.fixture
def origin(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(build.program("kubectl").parent), prepend=":")
    return Origin(tmp_path / "git")


async def built(origin, path="prod"):
    async with copy_of(origin) as repository:
        return await render(repository, await repository.fetch("main", 1), path)


async def test_an_overlay_is_built_with_its_base_outside_of_the_path(origin):
    files = {
        "base/kustomization.yaml": BASE,
        "base/a.yaml": config_map("a"),
        "base/plain.txt": "hello",
        "prod/kustomization.yaml": "namePrefix: prod-\nresources: [../base]\n",
        "other/kustomization.yaml": "resources: ['https://elsewhere.qa/x.yaml']\n",
    }
    origin.commit("one", files)
    found = await built(origin)
    assert found.failures == ()
    a, settings = sorted(found.manifests, key=lambda one: one.name)
    assert a.name == "prod-a"
    assert settings.name.startswith("prod-settings-")
    assert settings.raw["data"] == {"URL": "https://shop.qa/", "plain.txt": "hello"}


@pytest.mark.parametrize(
    ("kustomization", "sentence"),
    [
        ("resources: ['https://elsewhere.qa/x.yaml']", "nothing is fetched from elsewhere"),
        ("resources: [github.com/team/shop]", "names prod/github.com/team/shop, which is not in the repository"),
        ("resources: ['git@elsewhere.qa:team/shop.git']", "which is not in the repository"),
        ("components: ['//elsewhere.qa/x']", "which is not in the repository"),
        ("resources: [../../etc]", "which is not in the repository"),
        ("resources: [/etc/passwd]", "which is not in the repository"),
        ("patches: [{path: 'HTTP://127.0.0.1/x'}]", "nothing is fetched from elsewhere"),
        ("configMapGenerator: [{name: a, files: ['a=http://169.254.169.254/x']}]", "nothing is fetched from elsewhere"),
        ("openapi: {path: 'https://elsewhere.qa'}", "nothing is fetched from elsewhere"),
        ("configMapGenerator: [{name: a, files: [/etc/hostname]}]", "hostname"),
        ("helmCharts: [{name: a}]", "uses helmCharts, which Pointsman does not run"),
        ("generators: [a.yaml]", "uses generators, which Pointsman does not run"),
        ("transformers: [a.yaml]", "uses transformers, which Pointsman does not run"),
        ("Generators: [a.yaml]", "has Generators; write generators"),
        ("Resources: [a.yaml]", "has Resources; write resources"),
        ("a: [", "is not YAML"),
        ("a: &a 1\nb: *a", "has a YAML alias"),
        ("- a", "has to be one YAML document"),
        ("resources: [gone.yaml]", "names prod/gone.yaml, which is not in the repository"),
        ("resources: [{a: b}]", "which is not in the repository"),
        ("resources: 3", "have to be lists"),
        ("patches: [{path: gone.yaml}]", "gone.yaml"),
    ],
)
async def test_what_would_leave_the_repository_is_a_sentence(origin, kustomization, sentence):
    origin.commit("one", {"prod/kustomization.yaml": kustomization, "prod/a.yaml": config_map("a")})
    with pytest.raises(RefusedError) as refused:
        await built(origin)
    assert sentence in str(refused.value)
    assert "pointsman-git" not in str(refused.value)


async def test_a_kustomization_has_the_memory_of_a_kustomization(origin):
    """What it takes beyond that would end the whole container."""
    laughs = "x0: &x0 [a, b, c, d, e, f, g, h, i, j]\n"
    laughs += "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 5))
    one = f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: NAME}}\n{laughs}"
    files = {"prod/a.yaml": "".join(one.replace("NAME", f"a{number}") for number in range(30))}
    origin.commit("one", {**files, "prod/kustomization.yaml": "resources: [a.yaml]"})
    said = await asyncio.to_thread(most_memory_of_a_child, origin)
    assert 0 < said < 600 << 10


def most_memory_of_a_child(origin):
    """In KiB, of a process of its own that builds: this one has had other children."""
    mine, others = multiprocessing.Pipe(duplex=False)

    def build():
        with pytest.raises(RefusedError):
            asyncio.run(built(origin))
        others.send(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)

    process = multiprocessing.get_context("fork").Process(target=build)
    process.start()
    assert mine.poll(200)
    said = mine.recv()
    process.join(10)
    return said


async def test_a_name_that_leads_out_of_the_copy_is_not_written(origin, tmp_path):
    """Git itself refuses such trees only where it is told to look."""
    origin.commit("one", {"kustomization.yaml": "resources: [a.yaml]", "a.yaml": config_map("a")})
    with_a_way_out(origin)
    assert names(await built(origin, "")) == ["a"]
    assert not list(tmp_path.rglob("escaped"))


def with_a_way_out(origin):
    """A commit whose tree has `../escaped` too."""
    blob = git(origin.work, "rev-parse", "HEAD:a.yaml").strip()
    inner = git(origin.work, "mktree", said=f"100644 blob {blob}\tescaped\n").strip()
    entries = [("..", "40000", inner)]
    for line in git(origin.work, "ls-tree", "HEAD").splitlines():
        about, _, name = line.partition("\t")
        mode, _, sha = about.split(" ")
        entries.append((name, mode, sha))
    raw = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(sha) for name, mode, sha in sorted(entries))
    command = ["git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin"]
    tree = subprocess.run(command, cwd=origin.work, input=raw, capture_output=True, check=True).stdout.decode().strip()
    commit = git(origin.work, "commit-tree", tree, "-m", "two").strip()
    git(origin.work, "push", "-q", "-f", "origin", f"{commit}:refs/heads/main")
    assert "../escaped" in git(origin.bare, "ls-tree", "-r", "--name-only", "main")


async def test_a_kustomization_at_the_top_counts(origin):
    origin.commit(
        "one", {"kustomization.yaml": "resources: [a.yaml]", "a.yaml": config_map("a"), "b.yaml": config_map("b")}
    )
    assert names(await built(origin, "")) == ["a"]
