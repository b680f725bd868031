"""`python -m hack.aws up|down`: SQS, DynamoDB and S3 on this machine, for trying the workloads without an account.

`eval "$(python -m hack.aws up)"` gives the shell what it needs. The data are in memory and gone with `down`.
"""

import argparse
import shlex
from pathlib import Path

from hack.node import paths
from hack.node.aws import LocalAws


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.aws", description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--directory", type=Path, default=paths.cache() / "aws", help="of its log and process id")
    arguments = parser.parse_args()
    aws = LocalAws(arguments.directory)
    aws.stop()  # `up` again is a new one, and the old one is not left behind
    if arguments.what == "up":
        aws.start()
        for name, value in aws.environment.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
