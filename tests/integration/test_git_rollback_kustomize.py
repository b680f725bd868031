"""A rollback of Releases that bases, patches, components and generators complete, with the real kustomize."""

import asyncio
import os
import resource
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.git_origin import Write
from controller.git import kustomize, rendered
from controller.git.rendered import versions
from controller.git.rollback import Retry
from hack.node import build
from tests.git_server import Origin, git
from tests.unit.git.story import ORDER, WEB, Forge, carried_out

COMPONENT = Path(__file__).parents[2] / "gitops" / "kustomize"
OVERLAY = "apps/production"
BASE = """\
apiVersion: pointsman.dev/v1alpha1
kind: Release
metadata: {name: web}
spec:
  replicas: 3   # enough for Mondays
  template:
    spec:
      containers:
      - name: app
        image: shop/web:1   # set by CI
        envFrom: [{configMapRef: {name: settings}}]
  service:
    ports: [{port: 80}]
"""
PATCH = """\
apiVersion: pointsman.dev/v1alpha1
kind: Release
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      # more than in staging
      - {name: app, env: [{name: LEVEL, value: "1"}]}
"""
KUSTOMIZATION = """\
# production
namespace: shop
resources: [../base]
components: [../pointsman, ../component]
patches:
- path: patch.yaml
images:
- {name: api, newTag: "1"}   # another service's
configMapGenerator:
- name: settings
  literals: [MODE=fast]   # the switch
- name: others
  literals: [A=1]
"""
INLINE = textwrap.indent(PATCH.replace("LEVEL", "MORE"), "    ")
FILES = {
    "apps/base/kustomization.yaml": "resources: [web.yaml]\n",
    "apps/base/web.yaml": BASE,
    "apps/component/kustomization.yaml": textwrap.dedent(
        """\
        apiVersion: kustomize.config.k8s.io/v1alpha1
        kind: Component
        labels: [{pairs: {team: shop}}]
        configMapGenerator: [{name: more, files: [more.properties]}]
        """
    ),
    "apps/component/more.properties": "a=1\n",
    f"{OVERLAY}/kustomization.yaml": KUSTOMIZATION,
    f"{OVERLAY}/patch.yaml": PATCH,
    **{f"apps/pointsman/{one.name}": one.read_text() for one in COMPONENT.iterdir()},
}
KEY = f"{OVERLAY}/kustomization.yaml"


@pytest.fixture(autouse=True)
def kubectl(monkeypatch):
    path = f"{build.program('kubectl').parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)


class Shop(Origin):
    def asks_for(self, commit="main", folder=OVERLAY):
        """The version that the real kustomize makes of it."""
        names = git(self.bare, "ls-tree", "-r", "--name-only", commit).splitlines()
        texts = {name: self.read(name, commit) for name in names}
        found, problem = versions(asyncio.run(kustomize.build(texts, folder)).split("\n---\n"), WEB)
        assert not problem
        return max(found)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path / "git")
    shop.commit("first", FILES)
    return shop


def rolled_back(shop, *bad, order=ORDER, **changes):
    """Each commit of `bad` is pushed; the newest version falls."""
    stable = shop.asks_for()
    for number, files in enumerate(bad):
        shop.commit(f"bad {number}", files)
    wanted = replace(order, stable=stable, rejected=shop.asks_for(), path=OVERLAY, **changes)
    assert wanted.rejected != stable
    return wanted, asyncio.run(carried_out(shop.url, wanted))


CHANGES = {
    "base": {"apps/base/web.yaml": BASE.replace("shop/web:1", "shop/web:2")},
    "patch": {f"{OVERLAY}/patch.yaml": PATCH.replace('"1"', '"2"')},
    "literals": {KEY: KUSTOMIZATION.replace("MODE=fast", "MODE=slow")},
    "image": {KEY: KUSTOMIZATION.replace("images:\n", "images:\n- {name: shop/web, newTag: '2'}\n")},
    "inline patch": {KEY: KUSTOMIZATION.replace("patches:\n", "patches:\n" + f"- patch: |\n{INLINE}")},
    "patches": {
        KEY: KUSTOMIZATION.replace("- path: patch.yaml\n", "- path: patch.yaml\n- path: more.yaml\n"),
        f"{OVERLAY}/more.yaml": PATCH.replace("LEVEL", "MORE"),
    },
    "no patch": {KEY: KUSTOMIZATION.replace("patches:\n- path: patch.yaml\n", ""), f"{OVERLAY}/patch.yaml": None},
    "component": {
        "apps/component/kustomization.yaml": FILES["apps/component/kustomization.yaml"].replace(
            "labels: [{pairs: {team: shop}}]", "labels: [{pairs: {team: shop}, includeTemplates: true}]"
        )
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_bad_commit_changed_anywhere_is_as_it_was(shop, name):
    _, written = rolled_back(shop, CHANGES[name])
    assert written.commit, written.note
    changed = git(shop.bare, "diff", "--name-only", "main~2", "main").splitlines()
    assert changed in ([], [f"{OVERLAY}/more.yaml"]), "a file that nothing names any more may stay"


def test_only_what_the_version_needs_is_taken_back_and_later_edits_stay(shop):
    good = {
        "apps/base/web.yaml": BASE.replace("replicas: 3", "replicas: 4"),
        "apps/component/more.properties": "a=2\n",
        KEY: KUSTOMIZATION.replace('newTag: "1"', 'newTag: "2"').replace("A=1", "A=2"),
    }
    bad = {**good, "apps/base/web.yaml": good["apps/base/web.yaml"].replace("shop/web:1", "shop/web:2")}
    bad[KEY] = good[KEY].replace("MODE=fast", "MODE=slow")
    stable = shop.asks_for()
    shop.commit("bad, and much good", bad)
    rejected = shop.asks_for()
    shop.commit("more pods", {"apps/base/web.yaml": bad["apps/base/web.yaml"].replace("replicas: 4", "replicas: 9")})
    order = replace(ORDER, stable=stable, rejected=rejected, path=OVERLAY)
    written = asyncio.run(carried_out(shop.url, order))
    assert written.commit, written.note
    assert shop.asks_for() == stable
    assert shop.read("apps/base/web.yaml") == BASE.replace("replicas: 3", "replicas: 9")
    assert shop.read(KEY) == good[KEY]
    assert shop.read("apps/component/more.properties") == "a=2\n"


def test_a_patch_that_is_added_to_plain_manifests_is_seen(tmp_path):
    """The file alone asks for stable's version, before and after."""
    shop = Shop(tmp_path / "git")
    plain = BASE.replace("        envFrom: [{configMapRef: {name: settings}}]\n", "")
    files = {
        **FILES,
        f"{OVERLAY}/web.yaml": plain,
        KEY: "namespace: shop\nresources: [web.yaml]\ncomponents: [../pointsman]\n",
    }
    shop.commit("first", files)
    patched = f"{files[KEY]}patches:\n- patch: |\n{INLINE}"
    _, written = rolled_back(shop, {KEY: patched})
    assert written.commit, written.note
    assert shop.read(KEY) == files[KEY]


def test_a_release_that_the_bad_commit_moved_stays_where_it_is(shop):
    moved = {
        "apps/base/web.yaml": None,
        "apps/base/release.yaml": BASE.replace("shop/web:1", "shop/web:2"),
        "apps/base/kustomization.yaml": "resources: [release.yaml]\n",
    }
    _, written = rolled_back(shop, moved)
    assert written.commit, written.note
    assert shop.read("apps/base/release.yaml") == BASE
    assert git(shop.bare, "diff", "--name-only", "main~1", "main").split() == ["apps/base/release.yaml"]


def test_commits_that_were_pushed_together_are_taken_back_together_and_a_retry_brings_both_again(shop):
    order, written = rolled_back(shop, CHANGES["base"], CHANGES["literals"])
    assert written.commit, written.note
    assert shop.asks_for() == order.stable
    assert shop.read(KEY) == KUSTOMIZATION
    again = Retry(**{**vars(order), "attempt": 9})
    assert asyncio.run(carried_out(shop.url, again)).commit
    assert shop.asks_for() == order.rejected


def test_what_cannot_be_taken_back_as_a_whole_is_a_pull_request_that_says_so(shop):
    stable = shop.asks_for()
    shop.commit("bad", CHANGES["base"])
    rejected = shop.asks_for()
    shop.commit("another version", CHANGES["patch"])
    order = replace(ORDER, stable=stable, rejected=rejected, path=OVERLAY)
    forge = Forge()
    written = asyncio.run(carried_out(shop.url, order, forge))
    assert written.proposed, written.note
    assert f"The result is not {stable}" in forge.asked[0][2]
    assert shop.read("apps/base/web.yaml", written.proposed) == BASE


def test_people_who_moved_on_are_left_alone(shop):
    stable = shop.asks_for()
    shop.commit("bad", CHANGES["base"])
    rejected = shop.asks_for()
    shop.commit("better", {"apps/base/web.yaml": BASE.replace("shop/web:1", "shop/web:3")})
    order = replace(ORDER, stable=stable, rejected=rejected, path=OVERLAY)
    assert "somebody has changed it again since" in asyncio.run(carried_out(shop.url, order)).note
    assert shop.subjects()[0] == "better"


def test_without_kubectl_nothing_is_written_and_that_is_said(shop, monkeypatch):
    order, _ = rolled_back(shop, CHANGES["patch"], write=Write.PULL_REQUEST)
    monkeypatch.setattr(kustomize, "program", lambda: None)
    written = asyncio.run(carried_out(shop.url, replace(order, write=Write.PUSH)))
    assert "no kubectl" in written.note


FETCHED = "nothing is fetched from elsewhere"
ELSEWHERE = f"which is not in the repository; {FETCHED}"
ODD: list[tuple[dict[str, Any], str]] = [
    *(
        ({"resources": ["../base", entry]}, ELSEWHERE)
        for entry in (
            "github.com/team/base?ref=v1",
            "git@git.qa:team/base.git",
            "../../../../etc",
            "/etc",
            "../nothing",
        )
    ),
    ({"resources": ["../base", "https://git.qa/base.yaml"]}, FETCHED),
    ({"resources": ["../base", "HTTP://127.0.0.1:9/base.yaml"]}, FETCHED),
    ({"components": ["https://git.qa/component"]}, FETCHED),
    ({"Components": ["https://git.qa/component"]}, "has Components; write components"),
    ({"openapi": {"path": "https://git.qa/openapi.json"}}, FETCHED),
    ({"OpenAPI": {"Path": "https://git.qa/openapi.json"}}, FETCHED),
    ({"crds": ["https://git.qa/crd.json"]}, FETCHED),
    ({"configMapGenerator": [{"name": "x", "files": ["a=https://git.qa/x"]}]}, FETCHED),
    ({"helmCharts": [{"name": "x", "repo": "https://git.qa"}]}, "uses helmCharts, which Pointsman does not run"),
    ({"HelmCharts": [{"name": "x", "repo": "https://git.qa"}]}, "has HelmCharts; write helmCharts"),
    ({"transformers": ["kind: PatchTransformer\npath: https://git.qa/x\n"]}, "uses transformers"),
    ({"resources": ["../base", "../base"]}, "cannot render it"),
]


def test_nothing_is_loaded_from_beyond_the_repository_and_what_cannot_be_rendered_is_said(shop):
    order = replace(ORDER, stable="a" * 10, rejected="b" * 10, path=OVERLAY)
    for more, why in ODD:
        shop.commit("odd", {KEY: yaml.safe_dump({**yaml.safe_load(KUSTOMIZATION), **more})})
        assert why in asyncio.run(carried_out(shop.url, order)).note


def test_a_bomb_of_aliases_takes_bounded_time_and_memory(shop):
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nl0: &l0 [x]\n" + "\n".join(levels) + "\n"
    shop.commit(
        "bomb", {"apps/base/bomb.yaml": bomb, "apps/base/kustomization.yaml": "resources: [web.yaml, bomb.yaml]\n"}
    )
    order = replace(ORDER, stable="a" * 10, rejected="b" * 10, path=OVERLAY)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert "cannot render it" in asyncio.run(carried_out(shop.url, order)).note
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20


def test_a_folder_that_takes_long_is_given_up(shop, monkeypatch):
    monkeypatch.setattr(rendered, "MOST_RENDERING_S", 0.0)
    order = replace(ORDER, stable="a" * 10, rejected="b" * 10, path=OVERLAY)
    assert "took longer than 0 s in all" in asyncio.run(carried_out(shop.url, order)).note


def test_a_base_that_never_ends_is_ended(shop, monkeypatch):
    monkeypatch.setattr(kustomize, "TIMEOUT_S", 0.001)
    order = replace(ORDER, stable="a" * 10, rejected="b" * 10, path=OVERLAY)
    assert "took longer" in asyncio.run(carried_out(shop.url, order)).note
