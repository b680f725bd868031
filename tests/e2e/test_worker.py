"""A queue worker's releases on the real node: pods take jobs from SQS, the operator gives them their share."""

import asyncio
import re
from pathlib import Path

import pytest

from hack.demonstration.repository import Repository
from hack.demonstration.worker_story import NAME, NAMESPACE, WorkerStory
from hack.install import Kubectl
from tests.e2e.shop import Shop


@pytest.fixture
def told():
    """What the story says, line by line."""
    return []


@pytest.fixture
async def story(cluster, tmp_path, told):
    manifest = Path("gitops/demo/worker/release.yaml")
    yield WorkerStory(cluster, Repository(tmp_path / "git", manifest=manifest), told.append)
    await asyncio.to_thread(
        Kubectl(cluster), "delete", "release", NAME, f"--namespace={NAMESPACE}", "--ignore-not-found"
    )


async def test_workers_that_fail_or_are_slow_are_rolled_back_and_no_job_is_lost(cluster, kube, story, told, measured):
    summary = await story.tell()
    measured("summary", summary)
    assert summary.promoted
    assert summary.failing_rolled_back
    assert summary.failing_evidence.startswith("failures:")
    assert summary.slow_rolled_back
    assert summary.slow_evidence.startswith("duration:")
    assert summary.completed == summary.jobs > 100
    assert (summary.lost, summary.made_twice, summary.dead_lettered) == (0, 0, 0)
    assert 0 < summary.touched_by_failing < summary.jobs / 10
    assert 0 < summary.touched_by_slow < summary.jobs / 10
    listed = await Shop(cluster, kube, NAMESPACE, NAME).kubectl("get", "release", NAME, "--no-headers")
    assert re.match(r"image-worker +RolledBack +1/2 +0 +False +Regressed +duration \d+/\d+ vs \d+/\d+", listed.text)
