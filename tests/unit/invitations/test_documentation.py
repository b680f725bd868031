"""The documentation page of an application that has little in common with the invitation API."""

import re
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Path, Query
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field

from workloads.invitations import openapi
from workloads.invitations.documentation import render
from workloads.invitations.openapi_schemas import Schemas

SERVER = "https://zoo.example.com"


class Diet(Enum):
    MEAT = "meat"
    HAY = "hay"


class Animal(BaseModel):
    """Lives here; `name` is what it hears."""

    name: Annotated[str, Field(min_length=1, max_length=9, examples=["Rex"])]
    born: datetime
    diet: Diet | None = None
    kind: Literal["cat", "dog"] = "cat"
    weights: dict[str, float] = {}
    young: "list[Animal]" = []


@pytest.fixture
def zoo() -> FastAPI:
    app = FastAPI(title="Zoo <b>", version="7")
    router = APIRouter(tags=["animals"])
    scheme = OAuth2PasswordBearer(tokenUrl="token")

    @router.put("/animals/{name}/at/{number}")
    async def put(
        name: Annotated[str, Path(examples=["Rex"], description="`Its` name.")],
        number: Annotated[int, Path(ge=3)],
        animal: Animal,
        _: Annotated[str, Depends(scheme)],
        deep: Annotated[list[int] | None, Query(max_length=4)] = None,
        x_trace: Annotated[str, Header()] = "none",
        session: Annotated[str | None, Cookie()] = None,
    ) -> Animal | Diet:
        """Put an animal <script>there</script>.

        Or elsewhere.
        """
        raise NotImplementedError

    @router.post("/photos", status_code=204)
    async def photo(file: Annotated[bytes, Body(media_type="image/png")]) -> None:
        raise NotImplementedError

    @router.get("/anything")
    async def anything() -> Any:
        raise NotImplementedError

    app.include_router(router)
    return app


def the(zoo: FastAPI, method: str) -> openapi.Operation:
    (found,) = [each for each in openapi.read(zoo.openapi(), server=SERVER).operations if each.method == method]
    return found


def test_parameters_of_all_kinds_are_told(zoo):
    """I28."""
    told = {each.name: (each.where, each.kind.words, each.required, each.limits) for each in the(zoo, "PUT").parameters}
    assert told == {
        "name": ("path", "string", True, ()),
        "number": ("path", "integer", True, ("at least 3",)),
        "deep": ("query", "list of integer or null", False, ("at most 4 of them",)),
        "x-trace": ("header", "string", False, ("none if absent",)),
        "session": ("cookie", "string or null", False, ()),
    }


def test_an_example_is_a_call_that_can_be_made(zoo):
    """I28."""
    put = the(zoo, "PUT")
    assert put.signed_in
    assert put.curl.startswith('curl -X PUT https://zoo.example.com/animals/Rex/at/3 \\\n  -H "Authorization: Bearer')
    (body,) = put.bodies
    made = Animal.model_validate_json(body.examples[0].text)
    assert (made.name, made.diet) == ("Rex", Diet.MEAT)
    assert not the(zoo, "GET").signed_in
    assert "image/png" in the(zoo, "POST").curl


def test_schemas_are_told_with_unions_and_themselves(zoo):
    """I28."""
    animal = next(each for each in openapi.read(zoo.openapi(), server=SERVER).schemas if each.name == "Animal-Input")
    told = {each.name: (each.kind.words, each.kind.schema, each.required) for each in animal.fields}
    assert told == {
        "name": ("string", "", True),
        "born": ("string (date-time)", "", True),
        "diet": ("Diet or null", "Diet", False),
        "kind": ('"cat" or "dog"', "", False),
        "weights": ("object of number", "", False),
        "young": ("list of Animal-Input", "Animal-Input", False),
    }


def test_an_example_of_what_contains_itself_ends():
    """I28."""
    tree = {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}}}
    assert Schemas({"components": {"schemas": {"Tree": tree}}}).sample(tree)["left"]["left"]


def test_every_failure_is_a_row(zoo):
    """I28."""
    failures = openapi.read(zoo.openapi(), server=SERVER).failures
    assert failures == (openapi.Failure("422", "", "Validation Error"),)


def test_the_page_escapes_what_it_shows_and_its_links_lead_somewhere(zoo):
    """I28."""
    page = render(zoo.openapi(), server=SERVER)
    assert "<h1>Zoo &lt;b&gt; API</h1>" in page
    assert "<p>Put an animal &lt;script&gt;there&lt;/script&gt;.</p><p>Or elsewhere.</p>" in page
    assert "<code>Its</code> name." in page
    assert "<script" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
