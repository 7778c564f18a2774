"""``/admin/witness``: a rehearsal over the control API, from the start of a case to the report."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from controls import assert_control_refused, control
from support import HANDSHAKE, OCTET_STREAM, Answer, Simulator

from mesh_sim.exchange.events import Kind
from mesh_sim.exchange.ports import Wanted
from mesh_sim.witness.catalogue import CASES
from mesh_sim.witness.originals import blocks
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, WORKFLOW

PATH: Final = "/admin/witness"
BOX: Final = "X26ABC1"
HERE: Final = f"{PATH}?mailbox={BOX}"
SOME_MD5: Final = "d41d8cd98f00b204e9800998ecf8427e"


async def start(simulator: Simulator, case: str, mailbox: str = BOX, **fields: Any) -> Any:
    """Start a case; give how the rehearsal stands then."""
    answer = await control(simulator.url, "POST", PATH, {"mailbox": mailbox, "case": case, **fields})
    assert answer.status == 201, answer.body
    return answer.json()


async def ask(simulator: Simulator, method: str, path: str, body: Any = None) -> Any:
    """Make a request that succeeds; give what it says."""
    answer = await control(simulator.url, method, path, body)
    assert answer.status == 200, answer.body
    return answer.json()


async def finish(simulator: Simulator, step: int = 0, exit_status: int | None = None) -> Any:
    """Say that the client has finished its part of a step."""
    body = {"mailbox": BOX, "step": step, "exit_status": exit_status}
    return await ask(simulator, "POST", f"{PATH}/finish", body)


async def collect(simulator: Simulator) -> list[bytes]:
    """Do what case 401 asks for; give the bodies."""
    caller = simulator.caller()
    assert (await caller.request("POST", headers=HANDSHAKE)).status == 200
    bodies = []
    for message_id in await caller.inbox():
        bodies.append((await caller.get(f"inbox/{message_id}")).body)
        assert (await caller.acknowledge(message_id)).status == 200
    return bodies


async def once_ended(simulator: Simulator) -> Any:
    """Wait until no case is under way; give how the rehearsal stands then."""
    state = await ask(simulator, "GET", HERE)
    async with asyncio.timeout(20):
        while state["current"] is not None:
            state = await ask(simulator, "GET", f"{HERE}&after={state['version']}&timeout=20s")
    return state


async def test_the_cases_are_listed(simulator: Simulator) -> None:
    """In the catalogue's order, with what a tester has to know of each before it is started."""
    listed = (await ask(simulator, "GET", f"{PATH}/cases"))["cases"]
    assert [case["case"] for case in listed] == [case.id for case in CASES]
    by_id = {case["case"]: case for case in listed}
    assert by_id["703"] == {
        "case": "703",
        "set": "errors",
        "title": by_id["703"]["title"],
        "required": True,
        "staged": True,
        "moves_clock": True,
    }
    assert (by_id["801"]["staged"], by_id["502"]["required"]) == (False, False)


async def test_a_case_from_its_start_to_its_outcome(simulator: Simulator) -> None:
    """What the client is to do is said at the start; the case ends once it is done, and has passed."""
    state = await start(simulator, "401")
    assert (state["mailbox"], state["counterpart"], state["dormant"]) == (BOX, COUNTERPART, DORMANT)
    current = state["current"]
    (waiting,) = await simulator.server.core.desk.find(Wanted(recipient=BOX), 10)
    assert current | {"title": "", "tell": ""} == {
        "case": "401",
        "title": "",
        "step": 0,
        "steps": 1,
        "action": "collect",
        "tell": "",
        "to": "",
        "workflow_id": WORKFLOW,
        "message_id": waiting.message_id,
        "count": 1,
        "file": None,
        "done": False,
        "settling": False,
    }
    assert BOX in current["tell"]
    assert "{" not in current["tell"]
    assert state["attempts"] == [
        {"case": "401", "started_at": state["attempts"][0]["started_at"], "ended_at": None, "outcome": None}
    ]
    await collect(simulator)
    (attempt,) = (await once_ended(simulator))["attempts"]
    assert attempt["outcome"] == "passed"
    assert attempt["ended_at"] > attempt["started_at"]


async def test_the_file_to_send_is_known_by_its_digest(simulator: Simulator) -> None:
    """A sending case names recipient and file; it has passed once the same bytes have come."""
    current = (await start(simulator, "201"))["current"]
    file = b"".join(blocks("201", current["file"]["size"]))
    assert current["file"]["md5"] == hashlib.md5(file, usedforsecurity=False).hexdigest()
    caller = simulator.caller()
    await caller.request("POST", headers=HANDSHAKE)
    headers = {"Mex-From": BOX, "Content-Type": OCTET_STREAM}
    await caller.sent(file, to=current["to"], workflow=current["workflow_id"], headers=headers)
    await caller.inbox()
    (attempt,) = (await once_ended(simulator))["attempts"]
    assert attempt["outcome"] == "passed"


async def test_the_steps_follow_each_other(simulator: Simulator) -> None:
    """Case 703 from the send to the report, which is there without anybody's doing."""
    state = await start(simulator, "703")
    caller = simulator.caller()
    await caller.sent(to=state["current"]["to"], workflow=state["current"]["workflow_id"])
    async with asyncio.timeout(20):
        while state["current"]["step"] == 0:
            state = await ask(simulator, "GET", f"{HERE}&after={state['version']}")
    assert await caller.inbox() == [state["current"]["message_id"]]
    await collect(simulator)
    assert (await once_ended(simulator))["attempts"][0]["outcome"] == "passed"


# -- waiting ---------------------------------------------------------------------------------------------


async def test_whoever_waits_hears_of_a_change(simulator: Simulator) -> None:
    """A long poll answers as soon as the version is another, also for a version of long ago."""
    state = await start(simulator, "704")
    waiting = asyncio.create_task(ask(simulator, "GET", f"{HERE}&after={state['version']}&timeout=20s"))
    with simulator.server.exchange.events.watch() as news:
        await finish(simulator)
        while (event := await news.next()) is not None and event.kind is not Kind.WITNESS:
            pass
    assert event is not None
    assert dict(event.data) == {"mailbox": BOX, "case": "704", "step": 0, "state": "ended"}
    ended = await waiting
    assert ended["current"] is None
    assert ended["version"] > state["version"]
    assert await ask(simulator, "GET", f"{HERE}&after={state['version']}&timeout=20s") == ended


async def test_whoever_waits_in_vain_gets_the_state_as_it_is(simulator: Simulator) -> None:
    """Once the time is up the answer is 200, with the same version."""
    state = await start(simulator, "704")
    assert await ask(simulator, "GET", f"{HERE}&after={state['version']}&timeout=0.01s") == state


async def test_whoever_waits_does_not_keep_the_simulator_from_stopping(simulator: Simulator) -> None:
    """A long poll ends when the simulator stops."""
    state = await start(simulator, "704")
    path = f"{HERE}&after={state['version']}&timeout=10m"
    waiting = asyncio.create_task(control(simulator.url, "GET", path))
    events = simulator.server.exchange.events
    async with asyncio.timeout(10):
        while not events._watchers:  # noqa: ASYNC110 - nobody tells that somebody waits
            await asyncio.sleep(0.001)
        events.end()
        assert (await waiting).json() == state


# -- what else is asked for ------------------------------------------------------------------------------


async def test_a_file_is_compared_with_what_was_to_be_received(simulator: Simulator) -> None:
    """Of a receiving case with the message's original: equal where size and digest are."""
    await start(simulator, "401")
    (body,) = await collect(simulator)
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    told = {"mailbox": BOX, "case": "401", "size": len(body), "md5": md5.upper()}
    expected = {"equal": True, "size": len(body), "md5": md5}
    assert await ask(simulator, "POST", f"{PATH}/compare", told) == expected
    told |= {"md5": SOME_MD5}
    assert await ask(simulator, "POST", f"{PATH}/compare", told) == expected | {"equal": False}
    assert (await once_ended(simulator))["attempts"][0]["outcome"] == "failed"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_is_compared_with_what_was_sent(simulator: Simulator, chunked: bool) -> None:
    """Of a sending case with the last body that arrived in it, all chunks of it together."""
    await start(simulator, "502" if chunked else "201")
    caller = simulator.caller()
    told = {"mailbox": BOX, "case": "502" if chunked else "201", "size": 11, "md5": SOME_MD5}
    refused = await control(simulator.url, "POST", f"{PATH}/compare", told)
    assert_control_refused(refused, 409, text="have the client send first")
    headers = {"Mex-Chunk-Range": "1:2"} if chunked else {}
    sent = await caller.sent(b"first", to=COUNTERPART, workflow=WORKFLOW, headers=headers)
    if chunked:
        await caller.send_chunk(sent, 2, "2:2", b"second")
    body = b"firstsecond" if chunked else b"first"
    told |= {"size": len(body), "md5": hashlib.md5(body, usedforsecurity=False).hexdigest()}
    expected = {"equal": True, "size": told["size"], "md5": told["md5"]}
    assert await ask(simulator, "POST", f"{PATH}/compare", told) == expected


async def test_a_case_is_stopped(simulator: Simulator) -> None:
    """Its stage is put back, its attempt stays; stopping again changes nothing."""
    await start(simulator, "401")
    stopped = await ask(simulator, "DELETE", HERE)
    assert stopped["current"] is None
    assert [attempt["outcome"] for attempt in stopped["attempts"]] == ["not seen"]
    assert await simulator.caller().inbox() == []
    assert await ask(simulator, "DELETE", HERE) == stopped


async def test_a_step_is_finished_with_an_exit_status(simulator: Simulator) -> None:
    """A client that ends with 0 after 417 took it for success: the outcome follows the status."""
    for status, outcome in ((1, "passed"), (0, "failed")):
        current = (await start(simulator, "702"))["current"]
        sent = await simulator.caller().send(to=current["to"], workflow=current["workflow_id"])
        assert sent.status == 417
        assert (await finish(simulator, 0, status))["attempts"][-1]["outcome"] == outcome


async def test_the_report_has_three_forms(simulator: Simulator) -> None:
    """JSON unless something else is asked for; for people a page that a browser shows with its looks."""
    await start(simulator, "401")
    await collect(simulator)
    await once_ended(simulator)
    path = f"{PATH}/report?mailbox={BOX}"
    report = await ask(simulator, "GET", path)
    by_id = {case["case"]: case for case in report["cases"]}
    assert (report["mailbox"], report["requests"], report["journal_complete"]) == (BOX, 4, True)
    assert (by_id["401"]["outcome"], by_id["201"]["outcome"]) == ("passed", "not seen")
    junit = await control(simulator.url, "GET", f"{path}&format=junit")
    assert junit.content_type == "application/xml; charset=utf-8"
    assert len(list(ET.fromstring(junit.body).iter("testcase"))) == len(CASES)
    page = await control(simulator.url, "GET", f"{path}&format=html")
    assert page.content_type == "text/html; charset=utf-8"
    assert b"<title>" in page.body
    assert "style-src 'unsafe-inline'" in page.headers["Content-Security-Policy"]
    assert "script" not in page.headers["Content-Security-Policy"]


async def test_a_report_without_a_rehearsal(simulator: Simulator) -> None:
    """It is of all that the journal has of the mailbox, and says that nothing was begun."""
    await simulator.caller().inbox()
    report = await ask(simulator, "GET", f"{PATH}/report?mailbox={BOX}")
    assert (report["begun_at"], report["requests"]) == (None, 1)


# -- bad input -------------------------------------------------------------------------------------------

STARTED: Final = {"mailbox": BOX, "case": "401"}
COMPARED: Final = {"mailbox": BOX, "case": "401", "size": 1, "md5": SOME_MD5}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field", "text"),
    [
        (
            "POST",
            "",
            STARTED | {"mailbox": "X26NONE"},
            404,
            "mailbox",
            "no mailbox X26NONE; known are X26ABC1",
        ),
        ("POST", "", STARTED | {"mailbox": "X26HC065"}, 400, "mailbox", "is the opt-out service's"),
        ("POST", "", STARTED | {"mailbox": COUNTERPART}, 400, "mailbox", "is the counterpart of those who"),
        ("POST", "", STARTED | {"mailbox": DORMANT}, 400, "mailbox", "is the dormant one of those who"),
        ("POST", "", STARTED | {"case": "999"}, 400, "case", "there is no such case; known are 201, 202"),
        (
            "POST",
            "",
            STARTED | {"case": "801"},
            400,
            "case",
            "801 is judged by the whole traffic, and needs no",
        ),
        ("POST", "", STARTED | {"case": "polling"}, 400, "case", "polling is judged by the whole traffic"),
        ("POST", "", {"mailbox": BOX}, 400, "case", "is needed"),
        ("POST", "", STARTED | {"cases": 1}, 400, "cases", "did you mean case?"),
        ("POST", "", STARTED | {"fresh": "maybe"}, 400, "fresh", "must be true or false"),
        ("GET", "", None, 400, "mailbox", "is needed"),
        ("GET", "?mailbox=X26NONE", None, 404, "mailbox", "no mailbox X26NONE"),
        ("GET", "?mailbox=X26ABC2", None, 404, None, "mesh-sim witness start --mailbox X26ABC2"),
        ("GET", "?mailbox=X26ABC2&after=1", None, 404, None, "has no rehearsal"),
        ("GET", "?mailbox=X26ABC1&after=x", None, 400, "after", "must be a whole number"),
        ("GET", "?mailbox=X26ABC1&after=1&timeout=1h", None, 400, "timeout", "must be at most 10 minutes"),
        ("DELETE", "?mailbox=X26ABC2", None, 404, None, "has no rehearsal"),
        ("DELETE", "", None, 400, "mailbox", "is needed"),
        ("POST", "/finish", {"mailbox": "X26ABC2", "step": 0}, 404, None, "has no rehearsal"),
        ("POST", "/finish", {"mailbox": BOX}, 400, "step", "is needed"),
        ("POST", "/finish", {"mailbox": BOX, "step": -1}, 400, "step", "must be at least 0"),
        ("POST", "/finish", {"mailbox": BOX, "step": 1}, 409, None, "step 1 of case 401 is not set up"),
        (
            "POST",
            "/finish",
            {"mailbox": BOX, "step": 0, "exit_status": "x"},
            400,
            "exit_status",
            "whole number",
        ),
        ("POST", "/compare", COMPARED | {"mailbox": "X26ABC2"}, 404, None, "has no rehearsal"),
        ("POST", "/compare", COMPARED | {"case": "999"}, 400, "case", "there is no such case"),
        ("POST", "/compare", COMPARED | {"case": "801"}, 400, "case", "is judged by the whole traffic"),
        ("POST", "/compare", COMPARED | {"case": "402"}, 409, None, "case 402 was not started for X26ABC1"),
        ("POST", "/compare", COMPARED | {"md5": "x"}, 400, "md5", "must be 32 hexadecimal digits"),
        ("POST", "/compare", COMPARED | {"size": -1}, 400, "size", "must be at least 0"),
        ("GET", "/report", None, 400, "mailbox", "is needed"),
        ("GET", "/report?mailbox=X26NONE", None, 404, "mailbox", "no mailbox X26NONE"),
        (
            "GET",
            "/report?mailbox=X26ABC1&format=pdf",
            None,
            400,
            "format",
            "must be 'json', 'junit' or 'html'",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_in_one_line(
    simulator: Simulator, method: str, path: str, body: Any, status: int, field: str | None, text: str
) -> None:
    """Each mistake is told with what is allowed, and nothing changes."""
    state = await start(simulator, "401")
    answer = await control(simulator.url, method, f"{PATH}{path}", body)
    assert_control_refused(answer, status, field=field, text=text)
    assert "\n" not in answer.json()["error"]
    assert await ask(simulator, "GET", HERE) == state


async def test_a_case_while_another_needs_the_clock(simulator: Simulator) -> None:
    """It is 409, and says which case of which mailbox it is, and how to end it."""
    await start(simulator, "703")
    for mailbox, case in (("X26ABC2", "401"), (BOX, "401")):
        refused: Answer = await control(simulator.url, "POST", PATH, {"mailbox": mailbox, "case": case})
        assert_control_refused(refused, 409, text="case 703 is under way for mailbox X26ABC1")
        assert "mesh-sim witness stop --mailbox X26ABC1" in json.loads(refused.body)["error"]
    assert (await start(simulator, "703"))["current"]["case"] == "703"


async def test_a_case_with_nothing_to_compare_with(simulator: Simulator) -> None:
    """Where no file is sent or received, there is nothing to compare with: 409."""
    await start(simulator, "704")
    answer = await control(simulator.url, "POST", f"{PATH}/compare", COMPARED | {"case": "704"})
    assert_control_refused(answer, 409, text="in it no file is sent or received")
