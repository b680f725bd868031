"""OpenTelemetry through servers and queues: the producer's context travels as the message attribute `traceparent`.

boto3's instrumentation would make a span of each call, polls too, and link none of them. A job's story is two spans,
sent and processed, and below the second one for each call and render. The consumer's span begins a trace of its own and
links the producer's, as one message may be processed more than once. Nothing is exported, and nothing costs anything,
unless OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, Tracer, format_span_id, format_trace_id

from workloads.common.http_metrics import Identity
from workloads.common.job import Job
from workloads.common.job_queue import TRACEPARENT, Message
from workloads.common.job_table import Claim

_NAME = "pointsman.workloads"


class Tracing:
    """Of one process. `close` sends what is left, for at most some seconds."""

    def __init__(self, tracer: Tracer, queue: str, provider: TracerProvider | None = None) -> None:
        self._tracer = tracer
        self._queue = queue
        self._provider = provider

    @property
    def exports(self) -> bool:
        return self._provider is not None

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Of a server, in its caller's trace. Whoever knows the route completes the name."""
        attributes = {"http.request.method": method}
        context = propagate.extract(headers)
        with self._tracer.start_as_current_span(method, context, SpanKind.SERVER, attributes) as span:
            yield span

    @contextmanager
    def attempt(self, message: Message, job: Job, claim: Claim) -> Iterator[None]:
        sender = propagate.extract(dict(message.attributes))
        context = trace.get_current_span(sender).get_span_context()
        if not self.exports:
            # Nothing is recorded, but logs carry the id of the producer's trace.
            with trace.use_span(NonRecordingSpan(context)):
                yield
            return
        with self._tracer.start_as_current_span(
            f"process {self._queue}",
            context=None,
            kind=SpanKind.CONSUMER,
            links=[Link(context)] if context.is_valid else [],
            attributes={
                **self._attributes("process"),
                "job.id": job.job_id,
                "job.attempt": claim.row.attempts,
                "job.fence": claim.row.fence,
            },
        ):
            yield

    @contextmanager
    def step(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """A part of the attempt under way: a call, a render. Outside of one (polls) there is no span."""
        if not self.exports or not trace.get_current_span().is_recording():
            yield
            return
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
            yield

    @contextmanager
    def send(self, job_id: str) -> Iterator[Mapping[str, str]]:
        """The attributes that the message is to carry; none while nothing is traced."""
        attributes = {**self._attributes("send"), "job.id": job_id}
        name = f"send {self._queue}"
        with self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            yield {name: value for name, value in carrier.items() if name == TRACEPARENT}

    def _attributes(self, operation: str) -> dict[str, str]:
        return {
            "messaging.system": "aws_sqs",
            "messaging.destination.name": self._queue,
            "messaging.operation.type": operation,
        }

    def close(self) -> None:
        if self._provider:
            self._provider.shutdown()


def ids_now() -> Mapping[str, str]:
    """Of the span under way, for a line of the log; none outside of one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}


def tracing(
    environment: Mapping[str, str], identity: Identity, *, queue: str, processor: SpanProcessor | None = None
) -> Tracing:
    """`processor` instead of the exporter is for tests."""
    name = queue.rsplit("/", 1)[-1]
    if processor is None and environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        processor = BatchSpanProcessor(OTLPSpanExporter(timeout=3))
    if processor is None:
        return Tracing(trace.NoOpTracer(), name)
    about = {
        "service.name": identity.service,
        "service.version": identity.revision,
        "service.instance.id": identity.pod,
    }
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Tracing(provider.get_tracer(_NAME), name, provider)
