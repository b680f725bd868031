"""The command line of hack/demo."""

import argparse
import asyncio
import json
import sys
from textwrap import dedent

from controller.kube.client import KubeError
from hack.demonstration.repository import Repository
from hack.demonstration.story import NAME, NAMESPACE, RATE, Story, Summary, as_json
from hack.install import install
from hack.node import paths
from hack.node.backend import choose
from hack.node.cluster import Cluster
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/demo            everything, from nothing; a few minutes more the first time
      hack/demo --json     the same, with the summary as JSON on the last line
      hack/demo --down     remove the cluster and all it left on the machine
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="hack/demo",
        description="A good version is promoted and a bad one rolled back, on a real cluster on this machine.",
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on the last line")
    parser.add_argument("--down", action="store_true", help="remove everything the demo made")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            choose().down()
            return 0
        return _run(as_json_line=arguments.json)
    except (TroubleError, KubeError) as trouble:
        print(f"hack/demo: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("hack/demo: interrupted; run the same again, or `hack/demo --down`", file=sys.stderr)
        return 130


def _run(*, as_json_line: bool) -> int:
    def say(text: str) -> None:
        print(text, flush=True)

    cluster = choose().up()
    install(cluster, say)
    summary = asyncio.run(Story(cluster, Repository(paths.STATE / "demo"), say).tell())
    say(_epilogue(summary, cluster))
    if as_json_line:
        say(json.dumps(as_json(summary)))
    return 0 if summary.promoted and summary.rolled_back else 1


def _epilogue(summary: Summary, cluster: Cluster) -> str:
    def yes(value: bool) -> str:  # noqa: FBT001 - the one argument is what it is about
        return "yes" if value else "NO"

    return dedent(f"""
        version 2 promoted          {yes(summary.promoted)}
        version 3 rolled back       {yes(summary.rolled_back)}
        requests                    {summary.requests} at {RATE:g}/s
        failed on good versions     {summary.failed_on_good_versions}
        failed on the bad version   {summary.failed_on_bad_version}
        first bad answer to last    {summary.seconds_to_rollback} s
        evidence                    {summary.evidence}

        Now try:
          export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl.parent}:$PATH
          kubectl get releases -n {NAMESPACE}
          kubectl describe release {NAME} -n {NAMESPACE}
          .venv/bin/pointsman explain {NAME} -n {NAMESPACE}
          kubectl get analysisruns -n {NAMESPACE}
          hack/demo --down""")


if __name__ == "__main__":
    sys.exit(main())
