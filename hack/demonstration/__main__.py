"""The command line of hack/demo."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import dedent, wrap

from controller.kube.client import KubeError
from hack.demonstration import invitations, service_story, worker_story
from hack.demonstration.releasing import Outcome
from hack.demonstration.repository import Repository
from hack.demonstration.service_story import ServiceStory, ServiceSummary
from hack.demonstration.worker_story import WorkerStory, WorkerSummary
from hack.install import IMAGE_WORKER, INVITATIONS, install
from hack.node import paths
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/demo            an HTTP API on PostgreSQL; everything from nothing: three minutes, and once 20 to 30 more
      hack/demo --worker   a queue worker, on SQS, DynamoDB and S3 of this machine
      hack/demo --json     with the summary as JSON on the last line
      hack/demo --down     remove the cluster and all it left on the machine
"""
_COLUMNS = 100


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="hack/demo",
        description="Good versions are promoted and bad ones rolled back, on a real cluster on this machine.",
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--worker", action="store_true", help="release a queue worker, not an HTTP API")
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
    return 0 if told.summary.well else 1


@dataclass(frozen=True)
class _Told:
    summary: ServiceSummary | WorkerSummary
    text: str


def _say(text: str) -> None:
    print(text, flush=True)


def _tell_of_service(cluster: Cluster) -> _Told:
    install(cluster, _say, INVITATIONS)
    repository = Repository(paths.STATE / "demo", invitations.MANIFEST)
    summary = asyncio.run(ServiceStory(cluster, repository, _say).tell())
    told = {
        "requests": f"{summary.requests} at {service_story.RATE:g}/s",
        "failed on good versions": summary.failed_on_good_versions,
        "invited": summary.invited,
        "lost, sent twice": f"{summary.lost}, {summary.sent_twice}",
    }
    harm = {
        each.version: f", {each.answers} answers, {each.failed} failed, gone in {each.seconds} s"
        for each in summary.exposures
    }
    text = _table(summary.releases, harm, told)
    return _Told(summary, text + _next(cluster, service_story.NAME, service_story.NAMESPACE))


def _tell_of_worker(cluster: Cluster) -> _Told:
    install(cluster, _say, IMAGE_WORKER)
    repository = Repository(paths.STATE / "demo-worker", worker_story.MANIFEST)
    summary = asyncio.run(WorkerStory(cluster, repository, _say).tell())
    told = {
        "jobs": f"{summary.jobs}, {summary.completed} completed",
        "lost, made twice, dead-lettered": f"{summary.lost}, {summary.made_twice}, {summary.dead_lettered}",
    }
    harm = {version: f", {count} jobs touched" for version, count in summary.touched.items()}
    text = _table(summary.releases, harm, told)
    return _Told(summary, text + _next(cluster, worker_story.NAME, worker_story.NAMESPACE))


def _table(releases: Sequence[Outcome], harm: Mapping[str, str], more: Mapping[str, object]) -> str:
    rows: dict[str, object] = {}
    for each in releases:
        fate = "promoted" if each.good else "rolled back"
        rows[each.version] = (fate if each.done else f"NOT {fate}") + harm.get(each.version, "")
    rows |= more
    width = max(map(len, rows))
    lines = [f"{name:<{width}}   {value}" for name, value in rows.items()]
    for each in releases:
        if not each.good:
            lines += ["", *wrap(f"{each.version.partition(':')[0]}, {each.evidence}", _COLUMNS)]
    return "\n" + "\n".join(lines) + "\n"


def _next(cluster: Cluster, name: str, namespace: str) -> str:
    return dedent(f"""
        Now try:
          {cluster.export}
          kubectl get releases -n {namespace}
          kubectl describe release {name} -n {namespace}
          pointsman explain {name} -n {namespace}
          kubectl get analysisruns -n {namespace}
          hack/demo --down""")


if __name__ == "__main__":
    sys.exit(main())
