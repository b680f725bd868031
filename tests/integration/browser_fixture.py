"""Debian's Chromium, driven by Playwright; one for all tests of a module."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from hack.node import debian

INSECURE = "page.test"
"""This machine by a name that browsers do not trust without TLS, as they do 127.0.0.1."""
_OPTIONS = ["--no-sandbox", f"--host-resolver-rules=MAP {INSECURE} 127.0.0.1"]  # root has no sandbox; pages are our own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    debian.ensure(debian.BROWSER, by="a test in a browser")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_OPTIONS)
        yield chromium
        await chromium.close()
