"""What the operator logs, and what never."""

import subprocess
import sys

import pytest

SECRETS = """
import logging, sys
from controller.cli.running import set_up_logging
from controller.providers import influxdb
from controller.queue_share.stores import dynamodb
from controller.runtime import kopf_adapter, operator

set_up_logging(verbose=sys.argv[1] == "verbose")
theirs = [name for name in logging.root.manager.loggerDict if name.split(".")[0] not in ("controller", "kopf")]
assert {"botocore.auth", "httpx", "aiohttp.access"} <= set(theirs), theirs
for name in theirs:
    logging.getLogger(name).debug("x-amz-security-token: secret of %s", name)
    logging.getLogger(name).info("POST https://hooks.example.com/secret of %s", name)
    logging.getLogger(name).warning("trouble of %s", name)
logging.getLogger("controller.kube").info("our words")
logging.getLogger("controller.kube").debug("more of our words")
"""


@pytest.mark.parametrize("how", ["verbose", "usual"])
def test_a_secret_that_a_library_logs_is_in_no_log(how):
    """`--verbose` logged signed headers, and with them `x-amz-security-token`."""
    ran = subprocess.run([sys.executable, "-c", SECRETS, how], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "secret" not in ran.stderr
    assert "trouble of botocore.auth" in ran.stderr
    assert "our words" in ran.stderr
    assert ("more of our words" in ran.stderr) == (how == "verbose")
