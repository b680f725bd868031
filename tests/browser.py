"""What tests ask of a page in a browser: does it complain, does everybody reach everything, does it fit."""

import os
import re
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page


def complaints(page: Page) -> list[str]:
    """Fills with what the browser's console complains about from now on: errors, refused content, lost files."""
    found: list[str] = []
    page.on("console", lambda said: found.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def barriers(page: Page) -> list[str]:
    """What axe finds, of whatever impact, with the elements."""
    violations = (await Axe().run(page)).response["violations"]
    return [f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in violations]


async def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


async def focused(page: Page) -> str:
    """What has the focus, by id or text; empty if nobody could see that it has."""
    found = await page.evaluate(
        """() => {
          const one = document.activeElement, style = getComputedStyle(one);
          const seen = one.matches(":focus-visible") && style.outlineStyle !== "none" && style.outlineWidth !== "0px";
          return seen ? one.id || one.textContent : "";
        }"""
    )
    return re.sub(r"\s+", " ", found).strip()


async def look_at(page: Page, name: str) -> None:
    """With SCREENSHOTS set to a folder: a picture for people."""
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.png", full_page=True)
