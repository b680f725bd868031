"""What an OpenAPI 3.1 document says, in the form that a page shows it: operations, schemas, errors."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workloads.invitations.openapi_schemas import Kind, Object, Schemas, as_json, limits

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    where: str
    """`path`, `query`, `header` or `cookie` of a parameter; empty of a property."""
    kind: Kind
    limits: tuple[str, ...]
    required: bool
    about: str
    example: str


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    media_type: str
    kind: Kind
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    about: str
    headers: tuple[Field, ...]
    bodies: tuple[Body, ...]

    @property
    def failed(self) -> bool:
        return self.status.isdigit() and int(self.status) >= _FIRST_ERROR


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    anchor: str
    tag: str
    summary: str
    about: str
    signed_in: bool
    parameters: tuple[Field, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    curl: str


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    kind: Kind
    about: str
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the error table; `code` is empty where the document names none."""

    status: str
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    version: str
    about: str
    operations: tuple[Operation, ...]
    schemas: tuple[Schema, ...]
    failures: tuple[Failure, ...]


def read(document: Object, *, server: str) -> Document:
    """`server` begins the addresses of the examples."""
    return _Reader(document, server).document()


class _Reader:
    def __init__(self, document: Object, server: str) -> None:
        self._document = document
        self._server = server.rstrip("/")
        self._schemas = Schemas(document)

    def document(self) -> Document:
        info = self._document["info"]
        return Document(
            title=info["title"],
            version=info["version"],
            about=info.get("description", ""),
            operations=tuple(self._operations()),
            schemas=tuple(self._schema(name, schema) for name, schema in self._schemas.named.items()),
            failures=tuple(sorted(set(self._failures()), key=lambda each: (each.status, each.code))),
        )

    def _operations(self) -> Iterator[Operation]:
        for path, item in self._document.get("paths", {}).items():
            for method in (name for name in _METHODS if name in item):
                yield self._operation(path, method, item[method], shared=item.get("parameters", ()))

    def _operation(self, path: str, method: str, operation: Object, *, shared: Any) -> Operation:
        parameters = tuple(self._parameter(each) for each in (*shared, *operation.get("parameters", ())))
        bodies = self._bodies(self._schemas.resolved(operation.get("requestBody", {})).get("content", {}))
        security = operation.get("security", self._document.get("security", ()))
        signed_in = any(security) and {} not in security
        return Operation(
            method=method.upper(),
            path=path,
            anchor=operation.get("operationId", f"{method}-{path.strip('/').replace('/', '-')}"),
            tag=next(iter(operation.get("tags", ())), ""),
            summary=operation.get("summary", path),
            about=operation.get("description", ""),
            signed_in=signed_in,
            parameters=parameters,
            bodies=bodies,
            answers=tuple(
                self._answer(status, self._schemas.resolved(answer))
                for status, answer in operation["responses"].items()
            ),
            curl=self._curl(path, method, parameters, bodies, signed_in=signed_in),
        )

    def _curl(
        self, path: str, method: str, parameters: tuple[Field, ...], bodies: tuple[Body, ...], *, signed_in: bool
    ) -> str:
        for each in parameters:
            if each.where == "path":
                path = path.replace(f"{{{each.name}}}", each.example)
        lines = ["curl" if method == "get" else f"curl -X {method.upper()}"]
        lines[0] += f" {shlex.quote(self._server + path)}"
        if signed_in:
            lines.append('-H "Authorization: Bearer $TOKEN"')
        for body in bodies[:1]:
            lines.append(f"-H {shlex.quote(f'Content-Type: {body.media_type}')}")
            if body.media_type.endswith("json"):
                lines.append(f"-d {shlex.quote(json.dumps(json.loads(body.examples[0].text), ensure_ascii=False))}")
        return " \\\n  ".join(lines)

    def _parameter(self, parameter: Object) -> Field:
        parameter = self._schemas.resolved(parameter)
        return self._field(
            parameter["name"],
            {"description": parameter.get("description", ""), **parameter.get("schema", {})},
            where=parameter["in"],
            required=parameter.get("required", False),
            given=parameter,
        )

    def _answer(self, status: str, answer: Object) -> Answer:
        answer = self._schemas.resolved(answer)
        headers = tuple(
            self._field(name, {"description": header.get("description", ""), **header.get("schema", {})}, given=header)
            for name, header in answer.get("headers", {}).items()
        )
        return Answer(status, answer.get("description", ""), headers, self._bodies(answer.get("content", {})))

    def _bodies(self, content: Object) -> tuple[Body, ...]:
        return tuple(
            Body(media_type, self._schemas.kind(media.get("schema", {})), tuple(self._examples(media)))
            for media_type, media in content.items()
        )

    def _examples(self, media: Object) -> Iterator[Example]:
        named = media.get("examples", {})
        for name, example in named.items():
            yield Example(name, as_json(self._schemas.resolved(example).get("value")))
        if not named:
            yield Example(
                "", as_json(media["example"] if "example" in media else self._schemas.sample(media.get("schema", {})))
            )

    def _schema(self, name: str, schema: Object) -> Schema:
        required = schema.get("required", ())
        fields = tuple(
            self._field(each, prop, required=each in required) for each, prop in schema.get("properties", {}).items()
        )
        kind = self._schemas.kind(schema)
        return Schema(name, kind, schema.get("description", ""), fields, as_json(self._schemas.sample(schema)))

    def _field(
        self, name: str, schema: Object, *, where: str = "", required: bool = True, given: Object | None = None
    ) -> Field:
        example = (given or {}).get("example", self._schemas.sample(schema))
        return Field(
            name=name,
            where=where,
            kind=self._schemas.kind(schema),
            limits=tuple(limits(schema)),
            required=required,
            about=schema.get("description", ""),
            example=example if isinstance(example, str) else as_json(example),
        )

    def _failures(self) -> Iterator[Failure]:
        for operation in self._operations():
            for answer in (each for each in operation.answers if each.failed):
                codes = [json.loads(example.text) for body in answer.bodies for example in body.examples]
                named = [each for each in codes if isinstance(each, Mapping) and {"code", "title"} <= each.keys()]
                for each in named:
                    yield Failure(answer.status, str(each["code"]), str(each["title"]))
                if not named:
                    yield Failure(answer.status, "", answer.about)
