"""A Release in a repository, a bad version of it, and the rollback that follows."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from controller.api.git_origin import Write
from controller.git.manifests import Identity, find, revisions
from controller.git.remote import NO_CREDENTIALS, Credentials, Remote
from controller.git.repository import Author, opened
from controller.git.rollback import Retry, Rollback, bring_back, roll_back

WEB = Identity("cluster-1", "shop", "web")
FILE = "apps/web.yaml"
TESTED = frozenset({"file", "http", "https", "ssh"})


def manifest(image="shop/web:1", replicas=3, more=""):
    return textwrap.dedent(
        f"""\
        # the shop window
        apiVersion: pointsman.dev/v1alpha1
        kind: Release
        metadata:
          name: web
          namespace: shop
        spec:
          replicas: {replicas}   # enough for Mondays
          template:
            spec:
              containers:
              - name: app
                image: {image}   # set by CI
          service:
            ports: [{{port: 80}}]
        """
    ) + textwrap.dedent(more)


def revision(text, **others):
    found = find({FILE: text, **others}, WEB)
    assert found is not None
    # the current name and that of 0.1: either is one
    return max(revisions(found, WEB)), found


def rollback(good, bad, **changes):
    order = Rollback(
        identity=WEB,
        rejected=revision(bad)[0],
        stable=revision(good)[0],
        attempt=4,
        at=1_800_000_000.0,
        message="errors 12/240 vs 3/4600",
        evidence="AnalysisRun web-x-4",
        branch="main",
        path="apps",
        write=Write.PUSH,
        author=Author("Pointsman", "pointsman@shop.qa"),
    )
    return replace(order, **changes)


def retry(good, bad, **changes):
    """`pointsman retry` of the bad version."""
    given = {"attempt": 5, "message": "retry by ann", "evidence": "", **changes}
    return Retry(**{**vars(rollback(good, bad)), **given})


async def anywhere(host, port):
    return ["127.0.0.1"]


class Forge:
    def __init__(self, url="https://git.qa/pulls/1"):
        self.url, self.asked = url, []

    async def __call__(self, branch, title, text):
        self.asked.append((branch, title, text))
        return self.url


async def carried_out(url, order, forge=None, credentials: Credentials = NO_CREDENTIALS, signed=None):
    async with opened(Remote(url, credentials, TESTED), anywhere, signed=signed) as repository:
        carry_out = bring_back if isinstance(order, Retry) else roll_back
        return await carry_out(repository, order, forge or Forge())


GOOD, BAD = manifest(), manifest("shop/web:2")
ORDER = rollback(GOOD, BAD)
