"""Which gate a worker has, by its environment.

| variable | |
|---|---|
| `SHARE_LEDGER` | `dynamodb://TABLE`, `http://HOST:PORT`, or empty: nobody shares the queue |
| `SERVICE_ID` | NAMESPACE/RELEASE |
| `REVISION`, `POD` | from the pod's label and name (Downward API) |
| `SHARE_LEDGER_TOKEN_FILE` | with HTTP: a projected service account token, where the operator asks for one |
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

from workloads.common.environment import SettingError
from workloads.common.gate import Gate, Open
from workloads.common.share import Share
from workloads.common.share_dynamodb import DynamoLedger
from workloads.common.share_http import HttpLedger, TokenFile
from workloads.common.share_ledger import Consumer, ShareLedger

_SERVICE = re.compile(r"[a-z0-9][-a-z0-9]*/[a-z0-9][-.a-z0-9]*")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@asynccontextmanager
async def gate(environment: Mapping[str, str]) -> AsyncIterator[Gate]:
    """Raises SettingError. Inside, the consumer reports."""
    address = environment.get("SHARE_LEDGER", "")
    if not address:
        yield Open()
        return
    who = consumer(environment)
    async with Share(_ledger(address, who, environment), who) as share:
        yield share


def consumer(environment: Mapping[str, str]) -> Consumer:
    """A new one with each call: totals begin at 0 with the process."""
    service = environment.get("SERVICE_ID", "")
    if not _SERVICE.fullmatch(service):
        raise SettingError(f"SERVICE_ID: {service!r} is not NAMESPACE/RELEASE, such as shop/thumbnails")
    for name in ("REVISION", "POD"):
        if not environment.get(name):
            raise SettingError(f"{name} is empty; with SHARE_LEDGER it comes from the pod through the Downward API")
    return Consumer(service, f"{environment['POD']}.{secrets.token_hex(4)}", environment["REVISION"])


def _ledger(address: str, who: Consumer, environment: Mapping[str, str]) -> ShareLedger:
    wrong = SettingError(f"SHARE_LEDGER: {address!r} is neither dynamodb://TABLE nor http://HOST:PORT nor empty")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as problem:
        raise wrong from problem
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise wrong
    match parts.scheme:
        case "dynamodb" if _TABLE.fullmatch(parts.netloc):
            try:
                return DynamoLedger(parts.netloc, who)
            except BotoCoreError as problem:
                raise SettingError(f"SHARE_LEDGER: {address!r} cannot be used: {problem}") from problem
        case "http" | "https":
            file = environment.get("SHARE_LEDGER_TOKEN_FILE", "")
            return HttpLedger(address, who, token=TokenFile(Path(file)) if file else None)
        case _:
            raise wrong
