"""hack/cluster: a real Kubernetes on this machine, from package registries alone."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from textwrap import dedent

from hack.node import build, images
from hack.node.backend import BACKENDS, choose
from hack.node.binaries import NATIVE
from hack.node.progress import duration
from hack.node.trouble import TroubleError

_EXAMPLES = """\
    examples:
      hack/cluster up                    start it, or mend what has died; builds what is missing first
      hack/cluster up --backend kind --nodes 3
                                         three nodes, as containers of a Docker engine: the machine's or a private one
      hack/cluster status --json         what runs, for scripts; exit code 1 unless all does
      hack/cluster logs kubelet -f       follow one program's log
      hack/cluster image localhost/web:1 --dockerfile workloads/subject/Dockerfile
      hack/cluster binaries etcd kube-apiserver
      hack/cluster down                  leave nothing behind but the cache
"""


def main() -> None:
    arguments = _parser().parse_args()
    try:
        sys.exit(arguments.run(arguments))
    except TroubleError as trouble:
        print(f"hack/cluster: {trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("hack/cluster: interrupted; run the same again to go on", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster",
        description=__doc__,
        epilog=dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")

    up = command("up", "start it, or what of it does not run")
    up.add_argument(
        "--backend",
        choices=BACKENDS,
        help="default: that of the cluster there is; else kind where a Docker engine answers to root, else native",
    )
    up.add_argument("--nodes", type=int, metavar="N", help="of kind: one control plane and N-1 workers; default: 1")
    up.set_defaults(run=_up)
    command("down", "end it and remove all it left on the machine; the cache stays").set_defaults(run=_down)

    status = command("status", "what runs")
    status.add_argument("--json", action="store_true", help="for scripts")
    status.set_defaults(run=_status)

    logs = command("logs", "logs of its programs (pods' logs: kubectl logs)")
    logs.add_argument("name", nargs="?", metavar="NAME", help="one program, as `status` names it")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.set_defaults(run=_logs)

    image = command("image", "build an image and load it, if it has changed")
    image.add_argument("tag", metavar="TAG")
    image.add_argument("--dockerfile", type=Path, metavar="F", help="default: Dockerfile of the context")
    image.add_argument("--context", type=Path, default=Path(), metavar="DIR", help="default: the checkout")
    image.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    image.set_defaults(run=_image)

    binaries = command("binaries", "build programs into the cache and print where they are")
    binaries.add_argument("name", nargs="*", metavar="NAME", help=f"default: all of {', '.join(NATIVE)}")
    binaries.set_defaults(run=_binaries)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    if arguments.nodes is not None and arguments.nodes < 1:
        raise TroubleError(f"--nodes {arguments.nodes}: a cluster has at least one node.")
    began = time.monotonic()
    cluster = choose(arguments.backend, nodes=arguments.nodes).up()
    print(
        dedent(f"""\
            The cluster ({cluster.backend}) is up after {duration(time.monotonic() - began)}.
              gateway    {cluster.gateway_url} (HTTPRoutes with parentRef gateways/public)
              InfluxDB   {cluster.influx.url} (org {cluster.influx.org}, bucket {cluster.influx.bucket})
              all of it  .cluster/cluster.json
            Next:
              {cluster.export}
              kubectl get nodes,gateways --all-namespaces
              hack/cluster down""")
    )
    return 0


def _down(_: argparse.Namespace) -> int:
    choose().down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    status = choose().status()
    if arguments.json:
        parts = [{"name": part.name, "pid": part.pid, "log": str(part.log)} for part in status.parts]
        print(json.dumps({"ready": status.ready, "parts": parts}, indent=2))
    else:
        for part in status.parts:
            print(f"{part.name:<24} {part.pid or 'down'}")
        print("ready" if status.ready else "not ready: run `hack/cluster up`")
    return 0 if status.ready else 1


def _logs(arguments: argparse.Namespace) -> int:
    logs = choose().logs()
    if arguments.name and arguments.name not in logs:
        raise TroubleError(f"there is no program {arguments.name!r}; there are {', '.join(logs)}.")
    wanted = [logs[arguments.name]] if arguments.name else list(logs.values())
    present = [str(log) for log in wanted if log.exists()]
    if not present:
        raise TroubleError("there are no logs: run `hack/cluster up`.")
    lines = "200" if arguments.name else "10"
    follow = ["-F"] if arguments.follow else []
    os.execvp("tail", ["tail", "-n", lines, *follow, *present])  # noqa: S606


def _image(arguments: argparse.Namespace) -> int:
    context = arguments.context.resolve()
    dockerfile = (arguments.dockerfile or context / "Dockerfile").resolve()
    if not dockerfile.is_file():
        raise TroubleError(f"there is no {dockerfile}: name one with --dockerfile.")
    given = dict(part.partition("=")[::2] for part in arguments.build_arg)
    archive = images.build(arguments.tag, dockerfile=dockerfile, context=context, build_args=given)
    choose().load_image(archive)
    print(images.full_name(arguments.tag))
    return 0


def _binaries(arguments: argparse.Namespace) -> int:
    for name, path in build.ensure(*(arguments.name or NATIVE)).items():
        print(f"{name}\t{path}")
    return 0


if __name__ == "__main__":
    main()
