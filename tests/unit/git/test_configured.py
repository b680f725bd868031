"""A version with configuration from ConfigMaps, in plain manifests: their content is taken back, too."""

import pytest

from controller.git.rendered import versions
from controller.git.rollback import Retry
from tests.unit.git.story import ORDER, WEB, carried_out, manifest, rollback

FILE = "apps/web.yaml"
SETTINGS = "apps/settings.yaml"
RELEASE = manifest().replace(
    "- name: app\n",
    "- name: app\n        env: [{name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}]\n",
)
TEXT = """\
# what may change
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data:
  mode: fast   # the switch
  other: "1"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: others, namespace: shop}
data: {mode: fast}
"""


def version(release=RELEASE, settings=TEXT):
    found, problem = versions([release, settings], WEB)
    assert not problem
    return max(found)


def order(good, bad, **changes):
    return rollback(manifest(), manifest("x"), **{"stable": good, "rejected": bad, **changes})


@pytest.fixture
def configured(origin):
    origin.commit("good", {FILE: RELEASE, SETTINGS: TEXT})
    return origin


async def test_the_keys_that_the_version_reads_are_as_they_were_and_the_rest_stays(configured):
    bad = TEXT.replace("mode: fast", "mode: slow").replace('"1"', '"2"')
    configured.commit("bad, and something good", {SETTINGS: bad})
    configured.commit("more", {SETTINGS: bad.replace("# what may change", "# what may change, and more")})
    written = await carried_out(configured.url, order(version(), version(settings=bad)))
    assert written.commit, written.note
    expected = bad.replace("mode: slow   # the switch", "mode: fast   # the switch")
    assert configured.read(SETTINGS) == expected.replace("# what may change", "# what may change, and more")


async def test_an_image_and_its_configuration_come_back_together_and_a_retry_brings_both_again(configured):
    release, settings = RELEASE.replace("web:1", "web:2"), TEXT.replace("mode: fast   #", "mode: slow   #")
    configured.commit("bad", {FILE: release, SETTINGS: settings})
    wanted = order(version(), version(release, settings))
    assert (await carried_out(configured.url, wanted)).commit
    assert (configured.read(FILE), configured.read(SETTINGS)) == (RELEASE, TEXT)
    assert (await carried_out(configured.url, Retry(**{**vars(wanted), "attempt": 9}))).commit
    assert (configured.read(FILE), configured.read(SETTINGS)) == (release, settings)


async def test_a_version_that_has_configuration_for_the_first_time_is_taken_back(origin):
    good = manifest()
    origin.commit("good", {FILE: good})
    origin.commit("bad", {FILE: RELEASE, SETTINGS: TEXT})
    assert (await carried_out(origin.url, order(ORDER.stable, version()))).commit
    assert origin.read(FILE) == good


async def test_a_config_map_that_people_have_changed_again_is_not_touched(configured):
    bad = TEXT.replace("mode: fast   #", "mode: slow   #")
    configured.commit("bad", {SETTINGS: bad})
    configured.commit("better", {SETTINGS: TEXT.replace("mode: fast   #", "mode: medium   #")})
    written = await carried_out(configured.url, order(version(), version(settings=bad)))
    assert written.note == "somebody has changed it again since; nothing is touched"
    assert configured.subjects()[0] == "better"


async def test_a_config_map_that_is_not_in_git_is_named(origin):
    origin.commit("good", {FILE: RELEASE})
    written = await carried_out(origin.url, order("a" * 10, "b" * 10))
    assert "ConfigMap settings, on which the version depends, is not in git" in written.note
