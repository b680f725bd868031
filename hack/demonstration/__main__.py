"""The command line of hack/demo."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import dedent

from controller.kube.client import KubeError
from hack.demonstration import story, worker_story
from hack.demonstration.repository import Repository
from hack.demonstration.story import RATE, Story, Summary
from hack.demonstration.worker_story import WorkerStory, WorkerSummary
from hack.install import IMAGE_WORKER, SUBJECT, install
from hack.node import paths
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/demo            an HTTP service; everything from nothing, a few minutes more the first time
      hack/demo --worker   a queue worker, on SQS, DynamoDB and S3 of this machine
      hack/demo --json     with the summary as JSON on the last line
      hack/demo --down     remove the cluster and all it left on the machine
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="hack/demo",
        description="Good versions are promoted and bad ones rolled back, on a real cluster on this machine.",
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--worker", action="store_true", help="release a queue worker, not an HTTP service")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on the last line")
    parser.add_argument("--down", action="store_true", help="remove everything the demo made")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            choose().down()
            return 0
        told = _tell_of_worker(choose().up()) if arguments.worker else _tell_of_service(choose().up())
    except (TroubleError, KubeError) as trouble:
        print(f"hack/demo: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("hack/demo: interrupted; run the same again, or `hack/demo --down`", file=sys.stderr)
        return 130
    _say(told.text)
    if arguments.json:
        _say(json.dumps(asdict(told.summary)))
    return 0 if told.well else 1


@dataclass(frozen=True)
class _Told:
    summary: Summary | WorkerSummary
    text: str
    well: bool


def _say(text: str) -> None:
    print(text, flush=True)


def _tell_of_service(cluster: Cluster) -> _Told:
    install(cluster, _say, SUBJECT)
    summary = asyncio.run(Story(cluster, Repository(paths.STATE / "demo"), _say).tell())
    text = f"""
        version 2 promoted          {_yes(summary.promoted)}
        version 3 rolled back       {_yes(summary.rolled_back)}
        requests                    {summary.requests} at {RATE:g}/s
        failed on good versions     {summary.failed_on_good_versions}
        failed on the bad version   {summary.failed_on_bad_version}
        first bad answer to last    {summary.seconds_to_rollback} s
        evidence                    {summary.evidence}
        """
    well = summary.promoted and summary.rolled_back
    return _Told(summary, dedent(text) + _next(cluster, story.NAME, story.NAMESPACE), well)


def _tell_of_worker(cluster: Cluster) -> _Told:
    install(cluster, _say, IMAGE_WORKER)
    repository = Repository(paths.STATE / "demo-worker", manifest=Path("gitops/demo/worker/release.yaml"))
    summary = asyncio.run(WorkerStory(cluster, repository, _say).tell())
    text = f"""
        version 2 promoted                {_yes(summary.promoted)}
        version 3, failing, rolled back   {_yes(summary.failing_rolled_back)}
        version 4, slow, rolled back      {_yes(summary.slow_rolled_back)}
        jobs                              {summary.jobs}, {summary.completed} completed
        lost, made twice, dead-lettered   {summary.lost}, {summary.made_twice}, {summary.dead_lettered}
        touched by the failing version    {summary.touched_by_failing} ({summary.share_percent_failing} % meanwhile)
        touched by the slow version       {summary.touched_by_slow}
        evidence                          {summary.failing_evidence}
                                          {summary.slow_evidence}
        """
    well = summary.promoted and summary.failing_rolled_back and summary.slow_rolled_back and not summary.lost
    return _Told(summary, dedent(text) + _next(cluster, worker_story.NAME, worker_story.NAMESPACE), well)


def _yes(value: bool) -> str:  # noqa: FBT001 - the one argument is what it is about
    return "yes" if value else "NO"


def _next(cluster: Cluster, name: str, namespace: str) -> str:
    return dedent(f"""
        Now try:
          export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl.parent}:$PATH
          kubectl get releases -n {namespace}
          kubectl describe release {name} -n {namespace}
          .venv/bin/pointsman explain {name} -n {namespace}
          kubectl get analysisruns -n {namespace}
          hack/demo --down""")


if __name__ == "__main__":
    sys.exit(main())
