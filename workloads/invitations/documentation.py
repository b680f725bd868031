"""The API's documentation, made on the server out of its own OpenAPI document: it has no script at all.

FastAPI's pages fetch their scripts from a foreign host, which a strict content security policy forbids, and so do
networks without a way out.
"""

import re
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from workloads.invitations import openapi
from workloads.invitations.page import FOLDER, Asset, asset

_CODE = re.compile(r"`([^`]+)`")


def install(app: FastAPI, *, server: str) -> None:
    """Adds `/docs`. `server` is the address that examples ask, such as `https://app.example.com`."""

    @cache
    def made() -> Asset:
        return asset(render(app.openapi(), server=server).encode(), ".html")

    @app.get("/docs", include_in_schema=False)
    async def documentation(request: Request) -> Response:
        return made().answer(request)


def render(document: dict[str, Any], *, server: str) -> str:
    """A page for any OpenAPI 3.1 document that FastAPI makes."""
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["prose"] = _prose
    return templates.get_template("documentation.html.jinja").render(api=openapi.read(document, server=server))


def _prose(text: str) -> Markup:
    """Paragraphs, and what stands in back ticks; the rest of Markdown stays as it is written."""
    paragraphs = (" ".join(each.split()) for each in re.split(r"\n\s*\n", text.strip()))
    return Markup().join(
        Markup("<p>{}</p>").format(Markup(_CODE.sub(r"<code>\1</code>", str(escape(each)))))  # noqa: S704 - escaped
        for each in paragraphs
        if each
    )
