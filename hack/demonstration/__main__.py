"""The command line of hack/demo."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import dedent, wrap

from controller.kube.client import KubeError
from hack.demonstration import service_story, worker_story
from hack.demonstration.forge import protected
from hack.demonstration.git_server import serving
from hack.demonstration.releasing import Outcome
from hack.demonstration.repository import Host
from hack.demonstration.service_story import Exposure, ServiceStory, ServiceSummary
from hack.demonstration.worker_story import WorkerStory, WorkerSummary
from hack.install import IMAGE_WORKER, INVITATIONS, install
from hack.node import paths
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/demo                        an HTTP API on PostgreSQL; everything from nothing: three minutes, and once 20
                                       to 30 more
      hack/demo --worker               a queue worker, on SQS, DynamoDB and S3 of this machine
      hack/demo --blue-green           the API, but all of its work moves in one switch, after a preview
      hack/demo --worker --blue-green  the worker in one switch
      hack/demo --protected            the branch is protected: each rollback is a pull request on a Gitea, which takes
                                       five minutes to build, once
      hack/demo --json                 with the summary as JSON on the last line
      hack/demo --down                 remove the cluster and all it left on the machine
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
    parser.add_argument(
        "--blue-green", action="store_true", help="each version in one switch after a preview, not step by step"
    )
    parser.add_argument(
        "--protected", action="store_true", help="the branch is protected: each rollback becomes a pull request"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on the last line")
    parser.add_argument("--down", action="store_true", help="remove everything the demo made")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            choose().down()
            return 0
        host = protected if arguments.protected else serving
        told = _tell(choose().up(), host, worker=arguments.worker, blue_green=arguments.blue_green)
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


def _tell(cluster: Cluster, host: Host, *, worker: bool, blue_green: bool) -> _Told:
    install(cluster, _say, IMAGE_WORKER if worker else INVITATIONS)
    of: type[WorkerStory | ServiceStory] = WorkerStory if worker else ServiceStory
    make = of.of_switches if blue_green else of.of_steps
    directory = paths.STATE / ("demo-worker" if worker else "demo")
    summary = asyncio.run(_end_of(make(cluster, directory, _say, host=host)))
    about = worker_story if worker else service_story
    text = _table(summary.releases, _harm(summary), _found(summary)) + _in_git(summary.history)
    return _Told(summary, text + _next(cluster, about.NAME, about.NAMESPACE))


async def _end_of(story: ServiceStory | WorkerStory) -> ServiceSummary | WorkerSummary:
    return await story.tell()


def _harm(summary: ServiceSummary | WorkerSummary) -> dict[str, str]:
    """Who met each version."""
    if isinstance(summary, ServiceSummary):
        return {each.version: _exposure(each) for each in summary.exposures}
    return {
        version: f", {count} jobs touched" if count else ", no job has met it"
        for version, count in summary.touched.items()
    }


def _exposure(found: Exposure) -> str:
    if not found.answers:
        return ", no user has met it"
    return f", {found.answers} answers, {found.failed} failed, gone in {found.seconds} s"


def _found(summary: ServiceSummary | WorkerSummary) -> dict[str, object]:
    if isinstance(summary, ServiceSummary):
        return {
            "requests": f"{summary.requests} at {service_story.RATE:g}/s",
            "failed on good versions": summary.failed_on_good_versions,
            "invited": summary.invited,
            "lost, sent twice": f"{summary.lost}, {summary.sent_twice}",
            **_times(summary, "answer"),
        }
    return {
        "jobs": f"{summary.jobs}, {summary.completed} completed",
        "lost, made twice, dead-lettered": f"{summary.lost}, {summary.made_twice}, {summary.dead_lettered}",
        **_times(summary, "job begun"),
    }


def _times(summary: ServiceSummary | WorkerSummary, last: str) -> dict[str, object]:
    """`last`: by what the end of the other version is seen."""
    found = {"switch": summary.switch_s, "return": summary.return_s}
    of_other = f"from the decision to the last {last} of the other version"
    times: dict[str, object] = {what: f"{s} s {of_other}" for what, s in found.items() if s is not None}
    exposed = getattr(summary, "exposed_s", None)
    return times if exposed is None else times | {"exposed": f"{exposed} s, until the regression was switched back"}


def _table(releases: Sequence[Outcome], harm: Mapping[str, str], more: Mapping[str, object]) -> str:
    rows: dict[str, object] = {}
    for each in releases:
        fate = str(each.fate) if each.done else f"NOT {each.fate}"
        rows[each.version] = fate + harm.get(each.version, "")
    rows |= more
    width = max(map(len, rows))
    lines = [f"{name:<{width}}   {value}" for name, value in rows.items()]
    for each in releases:
        if not each.good:
            lines += ["", *wrap(f"{each.version.partition(':')[0]}, {each.evidence}", _COLUMNS)]
    return "\n" + "\n".join(lines) + "\n"


def _in_git(history: Sequence[str]) -> str:
    return "\nIn git, newest first:\n" + "\n".join(f"  {line}" for line in history) + "\n"


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
