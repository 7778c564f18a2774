"""Injected faults: how much of an answer gets through, which calls fail, and who is told."""

from __future__ import annotations

import contextlib
import gzip
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fault_calls import (
    LARGE,
    Call,
    admin,
    ask,
    assert_quiet,
    download,
    download_large,
    download_large_gzip,
    send,
    wired,
)
from support import UNKNOWN_ID, MakeSimulator, Simulator, assert_refused

from mesh_sim.api.fault_actions import FAULT_LISTENERS, add_faults, inject_faults
from mesh_sim.api.journal import FAULT
from mesh_sim.api.operations import OPERATION_NAMES, Handler
from mesh_sim.faults import Action, FaultRule, Faults


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A fault is no trouble of the server's."""
    caplog.set_level(logging.INFO)
    yield
    assert_quiet(caplog)


@contextlib.asynccontextmanager
async def small_app(
    handler: Handler, *middlewares: Any
) -> AsyncIterator[tuple[TestClient[web.Request, web.Application], Faults, web.Application]]:
    """Serve one handler as the operation send, with faults and little else."""
    app = web.Application(middlewares=[*middlewares, inject_faults])
    app[OPERATION_NAMES] = {handler: "send"}
    app.add_routes([web.post("/", handler)])
    faults = Faults(["send"], of_mailboxes=["send"])
    add_faults(app, faults)
    async with TestClient(TestServer(app)) as client:
        yield client, faults, app


# -- how much gets through --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_bytes", "through"), [(0, 0), (1, 1), (1_000_000, 1_000_000), (2_999_999, 2_999_999), (10**9, -1)]
)
async def test_so_many_bytes_get_through_and_never_all(
    simulator: Simulator, after_bytes: int, through: int
) -> None:
    """A large body is cut at the byte that is asked for, and where it is too short for that, at its last."""
    call = await download_large(simulator.caller())
    await admin(simulator, "POST", operation="download", action="truncate", after_bytes=after_bytes)
    cut = await ask(simulator, call.data())
    assert (cut.how, cut.length()) == ("cut", len(LARGE))
    assert cut.body == LARGE[:through]


@pytest.mark.parametrize(("after_bytes", "through"), [(0, 0), (3, 3), (10, 9), (1000, 9)])
async def test_so_many_bytes_of_a_small_body_get_through(
    simulator: Simulator, after_bytes: int, through: int
) -> None:
    """A body that is answered in one piece is cut at the byte too."""
    call = await download(simulator.caller())
    await admin(simulator, "POST", operation="download", action="truncate", after_bytes=after_bytes)
    cut = await ask(simulator, call.data())
    assert (cut.how, cut.length(), cut.body) == ("cut", 10, b"0123456789"[:through])


@pytest.mark.parametrize("after_bytes", [0, 7, 1_000_000, 10**9])
async def test_a_body_of_unknown_length_lacks_its_end(simulator: Simulator, after_bytes: int) -> None:
    """A body packed on its way out is cut at the byte, or lacks at least the mark of its end."""
    call = await download_large_gzip(simulator.caller())
    await admin(simulator, "POST", action="truncate", after_bytes=after_bytes)
    cut = await ask(simulator, call.data())
    assert (cut.how, cut.length()) == ("cut", None)
    if after_bytes == 10**9:
        assert gzip.decompress(cut.body) == LARGE
    else:
        assert len(cut.body) == after_bytes


async def test_half_of_a_body_of_unknown_length_is_half_of_its_first_block() -> None:
    """Where nobody can know the length, the cut comes as early as in the first block."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for block in (b"0123456789", b"more", b"and more"):
            await response.write(block)
        raise AssertionError  # the rule ends it before

    async with small_app(handler) as (client, faults, _):
        faults.add(FaultRule(action=Action.TRUNCATE))
        async with wired(str(client.make_url("/"))) as wire:
            cut = await wire.ask(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    assert (cut.how, cut.body) == ("cut", b"01234")


async def test_what_comes_after_the_cut_is_not_read(simulator: Simulator) -> None:
    """A download ends with its cut: that the rest is damaged on the disk goes unnoticed."""
    call = await download_large(simulator.caller())
    payloads = simulator.server.core.settings.data / "payloads"
    (file,) = (path for path in payloads.rglob("*") if path.is_file())
    file.write_bytes(LARGE[:2_500_000])
    await admin(simulator, "POST", operation="download", action="truncate", after_bytes=1000)
    cut = await ask(simulator, call.data())
    assert (cut.how, cut.body) == ("cut", LARGE[:1000])


async def test_a_refusal_is_cut_and_lost_as_well(simulator: Simulator) -> None:
    """What the handler refuses is an answer like any other."""
    await admin(simulator, "POST", action="truncate", after_bytes=5, times=1)
    await admin(simulator, "POST", action="lose-response", times=1)
    call = Call("X26ABC2", "GET", f"inbox/{UNKNOWN_ID}", {})
    cut = await ask(simulator, call.data())
    assert (cut.how, cut.status, len(cut.body)) == ("cut", 404, 5)
    assert (await ask(simulator, call.data())).how == "closed"
    assert (await ask(simulator, call.data())).how == "whole"


async def test_an_answer_without_a_body_loses_nothing_but_its_connection(simulator: Simulator) -> None:
    """A HEAD, cut short, arrives and is the last on its connection."""
    call = await download(simulator.caller())
    await admin(simulator, "POST", operation="head", action="truncate")
    async with wired(simulator.url) as wire:
        answer = await wire.ask(Call("X26ABC2", "HEAD", call.path, {}).data())
        assert (answer.how, answer.status) == ("whole", 200)
        assert await wire.ended()


# -- which calls ------------------------------------------------------------------------------------


async def _statuses(simulator: Simulator, count: int, mailbox: str = "X26ABC2") -> list[int]:
    caller = simulator.caller(mailbox)
    return [(await caller.get("inbox")).status for _ in range(count)]


async def test_the_nth_call_and_so_many_after_it(simulator: Simulator) -> None:
    """A rule acts from its nth call, as often as it may, and stays listed with its counters."""
    await admin(simulator, "POST", operation="list", action="status", status=429, nth=3, times=2)
    assert await _statuses(simulator, 6) == [200, 200, 429, 429, 200, 200]
    (rule,) = (await admin(simulator, "GET"))["faults"]
    assert (rule["calls"], rule["hits"], rule["exhausted"]) == (6, 2, True)


async def test_a_seeded_chance_is_the_same_in_every_run(make_simulator: MakeSimulator) -> None:
    """Two simulators with the same rule fail the same calls, some and not all of them."""
    runs = []
    for _ in range(2):
        simulator = await make_simulator()
        await admin(simulator, "POST", operation="list", action="status", status=500, probability=0.5, seed=9)
        runs.append(await _statuses(simulator, 30))
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


async def test_another_mailbox_is_left_alone(simulator: Simulator) -> None:
    """A rule for one mailbox, however it is written, acts on that mailbox's calls only."""
    await admin(simulator, "POST", mailbox="x26abc1", action="status", status=500)
    assert await _statuses(simulator, 1) == [200]
    assert await _statuses(simulator, 1, "X26ABC1") == [500]
    refused = await simulator.caller().get("/messageexchange/x26abc1/inbox", version=2)
    assert refused.status == 500


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "status", "status": 500}])
async def test_only_mesh_operations_fail(simulator: Simulator, fault: dict[str, object]) -> None:
    """With a rule for everything in force, control, health and unknown paths answer as ever, uncounted."""
    await admin(simulator, "POST", operation="*", **fault)
    caller = simulator.caller()
    for path, status in {
        "/admin/ready": 200,
        "/admin/faults": 200,
        "/health": 200,
        "/messageexchange/_ping": 200,
        "/nothing": 404,
    }.items():
        assert (await caller.get(path, authorization=None)).status == status
    assert (await caller.request("DELETE", "inbox")).status == 405
    (rule,) = (await admin(simulator, "DELETE"))["removed"]
    assert (rule["calls"], rule["hits"]) == (0, 0)
    assert (await caller.get("inbox")).status == 200


async def test_a_look_up_fails_like_any_operation(simulator: Simulator) -> None:
    """Operations that name no mailbox can fail too, in the shape of their version."""
    await admin(simulator, "POST", operation="workflowsearch", action="status", status=502)
    answer = await simulator.caller().get("/messageexchange/workflowsearch/W", authorization=None)
    assert_refused(
        answer, 1, 502, "Injected fault: rule f1 answers 502; see or remove it under /admin/faults"
    )


# -- the log, the journal and listeners -------------------------------------------------------------


async def test_a_fault_is_logged(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the rule, what it does, the operation and the mailbox, and not the token."""
    await admin(simulator, "POST", operation="send", action="lose-response")
    await ask(simulator, (await send(simulator.caller())).data())
    assert "fault f1: lose-response on send for mailbox 'X26ABC1'" in caplog.text
    assert "NHSMESH" not in caplog.text


async def test_listeners_and_the_request_know_the_rule() -> None:
    """Whoever listens is told rule and operation, and a middleware outside finds the rule's id."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=202)

    seen: list[tuple[str | None, int]] = []
    heard: list[tuple[str, str]] = []

    @web.middleware
    async def outside(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        seen.append((request.get(FAULT), response.status))
        return response

    async with small_app(handler, outside) as (client, faults, app):
        app[FAULT_LISTENERS].append(lambda rule, operation: heard.append((rule.id, operation)))
        assert (await client.post("/")).status == 202
        faults.add(FaultRule(action=Action.STATUS, status=500, times=1))
        assert (await client.post("/")).status == 500
        faults.add(FaultRule(action=Action.LOSE_RESPONSE))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.post("/")
    assert heard == [("f1", "send"), ("f2", "send")]
    assert seen == [(None, 202), ("f1", 500), ("f2", 202)]
