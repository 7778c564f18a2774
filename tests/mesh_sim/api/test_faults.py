"""Injected faults on the wire: what each action does to each operation, and to the token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import pytest
from fault_calls import (
    Call,
    acknowledge,
    admin,
    ask,
    assert_quiet,
    download,
    download_gzip,
    download_large,
    download_large_gzip,
    hits,
    list_inbox,
    send,
    send_chunk,
    shake_hands,
    wired,
)
from support import V1, V2, Caller, MakeSimulator, Simulator, both_versions


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A fault is no trouble of the server's."""
    caplog.set_level(logging.INFO)
    yield
    assert_quiet(caplog)


Prepare = Callable[[Caller], Awaitable[Call]]

CALLS: Final[dict[str, tuple[str, Prepare, int]]] = {
    # the operation, what makes the call, its status when nothing goes wrong
    "handshake": ("handshake", shake_hands, 200),
    "send": ("send", send, 202),
    "send-chunk": ("send-chunk", send_chunk, 202),
    "list": ("list", list_inbox, 200),
    "download": ("download", download, 200),
    "download, large": ("download", download_large, 200),
    "download, gzip": ("download", download_gzip, 200),
    "download, large and gzip": ("download-chunk", download_large_gzip, 200),
    "acknowledge": ("acknowledge", acknowledge, 200),
}
every_call = pytest.mark.parametrize(("operation", "prepare", "status"), CALLS.values(), ids=CALLS.keys())


# -- each action on each operation ------------------------------------------------------------------


@both_versions
@every_call
async def test_a_status_is_answered_before_the_token_is_used(
    simulator: Simulator, operation: str, prepare: Prepare, status: int, version: int
) -> None:
    """The refusal names itself and the rule in the shape of the caller's version; the token stays good."""
    call = await prepare(simulator.caller())
    await admin(simulator, "POST", operation=operation, action="status", status=503, retry_after=7, times=1)
    data = call.data(version)
    async with wired(simulator.url) as wire:
        refused = await wire.ask(data)
        assert (refused.how, refused.status) == ("whole", 503)
        assert refused.headers is not None
        assert refused.headers["retry-after"] == "7"
        assert refused.headers["content-type"] == (V1 if version == 1 else V2)
        text = "Injected fault: rule f1 answers 503; see or remove it under /admin/faults"
        assert json.loads(refused.body) == (
            {"errorEvent": "", "errorCode": "", "errorDescription": text}
            if version == 1
            else {"detail": [{"event": "", "code": "", "msg": text}]}
        )
        assert (await wire.ask(data)).status == status  # on the same connection, with the same token
    assert (await ask(simulator, data)).status == 403  # now it is used up


@every_call
async def test_a_reset_comes_before_anything_is_done(
    simulator: Simulator, operation: str, prepare: Prepare, status: int
) -> None:
    """The connection is reset, nothing has happened, and the token stays good."""
    call = await prepare(simulator.caller())
    before = await simulator.caller("X26ABC2").inbox()
    await admin(simulator, "POST", operation=operation, action="reset", times=1)
    data = call.data()
    assert (await ask(simulator, data)).how == "reset"
    assert await simulator.caller("X26ABC2").inbox() == before
    assert (await ask(simulator, data)).status == status


@every_call
async def test_a_lost_response_comes_after_everything_is_done(
    simulator: Simulator,
    operation: str,
    prepare: Prepare,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not a byte comes back and the connection is closed; the token can be sent again."""
    call = await prepare(simulator.caller())
    before = await simulator.caller("X26ABC2").inbox()
    await admin(simulator, "POST", operation=operation, action="lose-response", times=1)
    data = call.data()
    assert (await ask(simulator, data)).how == "closed"
    assert "the connection broke" not in caplog.text  # that is said of broken uploads
    after = len(await simulator.caller("X26ABC2").inbox()) - len(before)
    assert after == {"send": 1, "acknowledge": -1}.get(operation, 0)
    assert (await ask(simulator, data)).status == status
    assert (await ask(simulator, data)).status == 403


@both_versions
@every_call
async def test_a_body_is_cut_short_under_the_headers_of_the_whole(
    simulator: Simulator, operation: str, prepare: Prepare, status: int, version: int
) -> None:
    """Status and headers are those of the whole answer, and half the body; the token can be sent again."""
    call = await prepare(simulator.caller())
    await admin(simulator, "POST", operation=operation, action="truncate", times=1)
    data = call.data(version)
    async with wired(simulator.url) as wire:
        cut = await wire.ask(data)
        assert await wire.ended()
    whole = await ask(simulator, data)
    assert (whole.how, whole.status, cut.status) == ("whole", status, status)
    changing = ("date", "content-length") if operation == "send" else ("date",)
    assert {name: value for name, value in (cut.headers or {}).items() if name not in changing} == {
        name: value for name, value in (whole.headers or {}).items() if name not in changing
    }
    if whole.body == b"":
        assert (cut.how, cut.body) == ("whole", b"")  # there is nothing to cut
        return
    assert cut.how == "cut"
    if (length := cut.length()) is not None:
        assert len(cut.body) == length // 2
    if operation != "send":  # a second message has another id
        assert len(cut.body) < len(whole.body)
        assert whole.body.startswith(cut.body)


async def test_a_delay_goes_by_real_time_and_then_nothing_is_wrong(simulator: Simulator) -> None:
    """The call is answered as ever, only later."""
    await admin(simulator, "POST", operation="list", action="delay", delay="0.3s", times=1)
    data = (await list_inbox(simulator.caller())).data()
    began = time.monotonic()
    assert (await ask(simulator, data)).status == 200
    assert time.monotonic() - began >= 0.3


async def test_a_long_delay_does_not_hold_up_the_stop(make_simulator: MakeSimulator) -> None:
    """A server that stops ends the delays, and those who waited get their answers."""
    simulator = await make_simulator()
    await admin(simulator, "POST", operation="list", action="delay", delay="10m")
    waiting = asyncio.create_task(ask(simulator, Call("X26ABC2", "GET", "inbox", {}).data()))
    while await hits(simulator) == [0]:
        pass
    async with asyncio.timeout(5):
        await simulator.stop()
        assert (await waiting).status == 200


# -- messages ---------------------------------------------------------------------------------------


async def test_a_message_lost_after_acceptance_is_there_twice_after_a_resend(simulator: Simulator) -> None:
    """A client that hears nothing and sends again, as a new request, makes a second message."""
    await admin(simulator, "POST", operation="send", action="lose-response", times=1)
    call = await send(simulator.caller())
    assert (await ask(simulator, call.data())).how == "closed"
    answer = await ask(simulator, call.data())
    assert answer.status == 202
    recipient = simulator.caller("X26ABC2")
    first, second = await recipient.inbox()
    assert second == json.loads(answer.body)["message_id"]
    assert [(await recipient.get(f"inbox/{message}")).body for message in (first, second)] == [b"payload"] * 2


async def test_a_message_whose_response_was_lost_outlives_the_server(make_simulator: MakeSimulator) -> None:
    """It was accepted, so it is kept: another start on the same folder finds it."""
    first = await make_simulator()
    await admin(first, "POST", operation="send", action="lose-response")
    assert (await ask(first, (await send(first.caller())).data())).how == "closed"
    await first.stop()
    second = await make_simulator(data=first.server.core.settings.data)
    assert len(await second.caller("X26ABC2").inbox()) == 1
    assert (await admin(second, "GET"))["faults"] == []


async def test_an_upload_is_reset_before_its_body_is_read(simulator: Simulator) -> None:
    """A sender that has only sent its headers is reset at once."""
    await admin(simulator, "POST", operation="send", action="reset")
    call = Call("X26ABC1", "POST", "outbox", {"Mex-To": "X26ABC2", "Mex-WorkflowID": "W"}, b"x" * 100_000)
    assert (await ask(simulator, call.data()[:-100_000])).how == "reset"


async def test_a_token_that_the_file_cannot_forget_is_good_again_all_the_same(simulator: Simulator) -> None:
    """A client that sends the same request again after a lost response is let in, as on a full disk too."""
    with contextlib.closing(sqlite3.connect(simulator.server.core.settings.data / "tokens.db")) as tokens:
        tokens.execute(
            "CREATE TRIGGER keep BEFORE DELETE ON used_tokens BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )
        tokens.commit()
        await admin(simulator, "POST", operation="send", action="lose-response", times=1)
        data = (await send(simulator.caller())).data()
        assert (await ask(simulator, data)).how == "closed"
        assert tokens.execute("SELECT count(*) FROM used_tokens").fetchone() == (1,)
    assert (await ask(simulator, data)).status == 202
    assert (await ask(simulator, data)).status == 403
