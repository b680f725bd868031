"""Servers that take what a workload tells of itself: line protocol as Telegraf does, spans as a collector does."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Received:
    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float]


@dataclass
class Receiver:
    url: str = ""
    text: str = ""
    points: list[Received] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def total(self, measurement: str, name: str = "count", **tags: str) -> float:
        return sum(
            point.fields[name]
            for point in self.points
            if point.measurement == measurement and tags.items() <= point.tags.items()
        )

    async def write(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.text += text
        for line in text.splitlines():
            series, fields, _ = line.split(" ")
            measurement, *tags = series.split(",")
            values = {name: float(value.rstrip("i")) for name, value in (each.split("=") for each in fields.split(","))}
            self.points.append(Received(measurement, dict(tag.split("=") for tag in tags), values))
        return web.Response(status=204)

    async def traces(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [span for each in told.resource_spans for scope in each.scope_spans for span in scope.spans]
        return web.Response()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/api/v2/write", receiver.write)
    app.router.add_post("/v1/traces", receiver.traces)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
