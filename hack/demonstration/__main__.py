"""The command line of hack/demo."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from functools import partial
from textwrap import dedent

from controller.kube.client import KubeError
from hack.demonstration.forge import protected
from hack.demonstration.git_server import serving
from hack.demonstration.releasing import Named
from hack.demonstration.service_story import ServiceStory
from hack.demonstration.story import Story
from hack.demonstration.telling import Summary, told
from hack.demonstration.worker_story import WorkerStory
from hack.install import IMAGE_WORKER, INVITATIONS, OPERATOR, build_images, install
from hack.node import paths
from hack.node.backend import BACKENDS, choose
from hack.node.beside import beside
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/demo                        an HTTP API on PostgreSQL; everything from nothing: three minutes, and once
                                       12 more to build it
      hack/demo --worker               a queue worker, on SQS, DynamoDB and S3 of this machine
      hack/demo --blue-green           the API, but all of its work moves in one switch, after a preview
      hack/demo --worker --blue-green  the worker in one switch
      hack/demo --protected            the branch is protected: each version and each rollback is a pull request on a
                                       Gitea, which takes five to fifteen minutes to build, once
      hack/demo --backend kind         on kind, where a Docker engine is used, and without one a private one
      hack/demo --json                 with the summary as JSON on the last line
      hack/demo --down                 remove the cluster and all it left on the machine
"""


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
        "--protected", action="store_true", help="the branch is protected: each rollback is a pull request"
    )
    parser.add_argument("--backend", choices=BACKENDS, help="default: as `hack/cluster up --help` says")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on the last line")
    parser.add_argument("--down", action="store_true", help="remove everything the demo made")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            choose(arguments.backend).down()
            return 0
        workload = IMAGE_WORKER if arguments.worker else INVITATIONS
        backend = choose(arguments.backend)
        backend.check()
        with beside(build_images, OPERATOR, workload):  # downloads and a disk, while the compiler has the cores
            cluster = backend.up()
        install(cluster, _say, workload, sync=True)
        story = _story(cluster, arguments)
        summary = asyncio.run(story.tell())
    except (TroubleError, KubeError) as trouble:
        print(f"hack/demo: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("hack/demo: interrupted; run the same again, or `hack/demo --down`", file=sys.stderr)
        return 130
    _say(told(summary) + _next(cluster, story.release))
    if arguments.json:
        _say(json.dumps(asdict(summary)))
    return 0 if summary.well else 1


def _story(cluster: Cluster, arguments: argparse.Namespace) -> Story[Summary]:
    of: type[Story[Summary]] = WorkerStory if arguments.worker else ServiceStory
    make = of.of_switches if arguments.blue_green else of.of_steps
    directory = paths.STATE / ("demo-worker" if arguments.worker else "demo")
    host = partial(protected if arguments.protected else serving, address=cluster.address)
    return make(cluster, directory, _say, host=host)


def _say(text: str) -> None:
    print(text, flush=True)


def _next(cluster: Cluster, release: Named) -> str:
    return dedent(f"""
        Now try:
          {cluster.export}
          kubectl get releases -n {release.namespace}
          kubectl describe release {release.name} -n {release.namespace}
          pointsman explain {release.name} -n {release.namespace}
          kubectl get analysisruns -n {release.namespace}
          hack/demo --down""")


if __name__ == "__main__":
    sys.exit(main())
