"""The server's description of itself, and that every path is for the methods it names and no others."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from support import MakeSimulator, Simulator

from mesh_sim.api.control_file import _LENGTHS
from mesh_sim.api.openapi.document import document
from mesh_sim.api.routes import ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The document."""
    return document()


def described_operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the document's operations by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_the_document_has_every_path_of_the_server_and_no_other(described: dict[str, Any]) -> None:
    """Route table and description name the same methods of the same paths."""
    assert set(described_operations(described)) == {(route.method, route.path) for route in ROUTES}


def test_the_document_is_valid(described: dict[str, Any]) -> None:
    """It is OpenAPI 3.1, its schemas are JSON Schema, what it refers to is there and all there is is used."""
    schemathesis.openapi.from_dict(described).validate()
    text = json.dumps(described)
    named = described["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) == set(named)
    assert text.count('"$ref"') == text.count('"$ref": "#/components/schemas/')
    for schema in named.values():
        Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for operation in described_operations(described).values()]
    assert len(set(ids)) == len(ids)


def test_the_document_knows_the_headers_of_a_send(described: dict[str, Any]) -> None:
    """Their names and most characters are those that are checked; Content-Type is no parameter in OpenAPI."""
    send = described["paths"]["/messageexchange/{mailbox_id}/outbox"]["post"]
    told = {given["name"]: given["schema"].get("maxLength") for given in send["parameters"]}
    assert told | {"Content-Type": None} == _LENGTHS


async def test_the_document_is_for_everybody(make_simulator: MakeSimulator) -> None:
    """It needs no token, also where the control API does, and tells nothing of this server's settings."""
    simulator = await make_simulator(admin_token="a long and secret token")
    answer = await simulator.caller().get("/openapi.json", authorization=None)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json() == document()


async def test_no_path_is_for_another_method(simulator: Simulator, described: dict[str, Any]) -> None:
    """A method that a path is not described for is 405, naming those it is for, with no body after HEAD."""
    operations = described_operations(described)
    patterns = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in described["paths"]}
    async with aiohttp.ClientSession() as session:
        for path in patterns:
            place = re.sub(r"\{\w+\}", "1", path)
            # A fixed segment may be another path's parameter: then it is for that one's methods as well.
            own = {method for method, other in operations if patterns[other].fullmatch(place)}
            for method in set(METHODS) - own:
                async with session.request(method, simulator.url + place) as answer:
                    body = await answer.read()
                    assert (answer.status, answer.content_type) == (405, "application/json"), (method, path)
                    assert set(answer.headers["Allow"].split(",")) == own, (method, path)
                    expected = b"" if method == "HEAD" else b'{"detail":"Method Not Allowed"}'
                    assert body == expected, (method, path)
