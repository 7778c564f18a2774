"""NHS's mesh-client in a rehearsal: what its caller has to add, as docs/witness.md lists it, and no more."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import requests
from mesh_client import MeshClient, MeshError
from rehearsing import Act, Rehearsal, Wish
from support import Simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "witness" / "client.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The client of docs/witness.md, which does what the page lists."""
    spec = importlib.util.spec_from_file_location("witness_client", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_thread(do: Callable[[Wish], None]) -> Act:
    """Give what does a step beside the simulator, as the client blocks."""

    async def act(wish: Wish) -> int:
        try:
            await asyncio.to_thread(do, wish)
        except (MeshError, requests.RequestException):
            return 1
        return 0

    return act


async def test_a_caller_that_adds_what_is_listed_passes_all(
    simulator: Simulator, tmp_path: Path, example: ModuleType
) -> None:
    """With the example's additions every case is passed, with messages of 200 MB too."""
    report = await Rehearsal(simulator.url, tmp_path).play(in_thread(example.act))
    assert report.cases("failed") == [], report.fields
    assert report.cases("not seen") == []


def as_it_is(wish: Wish) -> None:
    """Do a step by the library's own methods, and nothing beside them."""
    with MeshClient(
        wish["WITNESS_URL"], wish["WITNESS_MAILBOX"], "password", shared_key=b"TestKey"
    ) as client:
        match wish["WITNESS_ACTION"]:
            case "collect":
                for message in client.iterate_all_messages():
                    with message:
                        message.read()
            case "download":
                client.retrieve_message(wish["WITNESS_MESSAGE_ID"])
            case action:
                with Path(wish["WITNESS_FILE"]).open("rb") as file:
                    client.send_message(
                        wish["WITNESS_TO"],
                        file,
                        workflow_id=wish["WITNESS_WORKFLOW"],
                        compress=action == "send-compressed",
                    )


SHAKEN = "the client has shaken hands in the 24 hours before its first other request"
CHECKED = "the inbox is checked after the send"
HEADERS = (
    "every send has Authorization, Mex-From, Mex-To, Mex-WorkflowID, Content-Type: application/octet-stream"
)
MARKED = "every send says Mex-Content-Compress: Y, or Mex-Content-Compressed: Y"

BROKEN = {
    "201": [SHAKEN, HEADERS, CHECKED],
    "202": [SHAKEN, MARKED, HEADERS, CHECKED],
    "401": [SHAKEN],
    "402": [SHAKEN],
    "501": [SHAKEN],
    "502": [SHAKEN, CHECKED],
    "601": [SHAKEN],
    "handshake-cadence": ["a handshake was made in the 24 hours before every other request"],
}
"""What the library by itself does not do; ``inbox-after-send`` would take a minute's silence to break."""


async def test_as_it_is_it_fails_what_is_listed(simulator: Simulator, tmp_path: Path) -> None:
    """Its caller adds nothing: the cases fail that the page names, for what the page says, and no others."""
    report = await Rehearsal(simulator.url, tmp_path).play(in_thread(as_it_is))
    assert {case: report.broken(case) for case in report.cases("failed")} == BROKEN
    assert report.cases("not seen") == []


def read_only(wish: Wish) -> None:
    """Collect, without the ``with`` that acknowledges."""
    url, mailbox = wish["WITNESS_URL"], wish["WITNESS_MAILBOX"]
    with MeshClient(url, mailbox, "password", shared_key=b"TestKey") as client:
        client.handshake()
        for message in client.iterate_all_messages():
            message.read()


async def test_reading_alone_does_not_acknowledge(simulator: Simulator, tmp_path: Path) -> None:
    """A caller that reads a message and leaves it at that is told so."""
    report = await Rehearsal(simulator.url, tmp_path).play(in_thread(read_only), ["401"])
    assert report.broken("401") == ["the message is acknowledged after it was downloaded"]
    assert report.breach("401")[1].startswith("it was not acknowledged after its download")
