"""HEAD is answered as GET is, without the body: link checkers and previews of messengers ask so first."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Headless:
    """ASGI middleware, the innermost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        try:
            await self._app(asked, receive, without_body)
        finally:
            for name, value in asked.items():  # what those outside look for: the route, and what became of it
                scope.setdefault(name, value)
