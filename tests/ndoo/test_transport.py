"""Requests that fail: when they are tried again, what is in doubt, and what the caller is told."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import traceback
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import stamina
import stamina.instrumentation
from aiohttp import web
from scripted import CREDENTIALS, SENT, Step, cut, drop, reply, serving, silent

from ndoo.errors import (
    ConfigError,
    ConnectionFailed,
    MeshError,
    RequestRefused,
    RequestTimeout,
    ServerFailed,
    UnexpectedAnswer,
    UnreadableList,
)
from ndoo.mailbox import Credentials, Mailbox

SECRETS = ("hush-password", "hush-key", "NHSMESH")


# -- retries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [425, 429, 502, 503, 504])
async def test_passing_faults_are_tried_again_with_a_new_token(status: int) -> None:
    """Two passing faults and a success make a success, and no token is used twice."""
    async with serving(reply(status), reply(status), reply(200, b'{"count": 3}')) as server:
        async with server.mailbox() as mailbox:
            assert await mailbox.count() == 3
        assert len({seen.token for seen in server.seen}) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 410, 417, 422, 500, 501])
async def test_lasting_faults_are_not_tried_again(status: int) -> None:
    """A refusal, or a 500, is reported after one request."""
    async with serving(reply(status)) as server:
        async with server.mailbox() as mailbox:
            with pytest.raises(MeshError) as caught:
                await mailbox.count()
        assert caught.value.status == status
        assert len(server.seen) == 1


async def test_retries_end_and_the_error_says_how_many_tries_there_were() -> None:
    """With two retries three requests are made, and the text says three."""
    async with serving(*[reply(503)] * 3) as server:
        async with server.mailbox(retries=2) as mailbox:
            with pytest.raises(ServerFailed, match="tried 3 times"):
                await mailbox.count()
        assert not server.steps


async def test_dropped_connections_are_tried_again() -> None:
    """A connection that breaks without an answer does not fail an acknowledgement."""
    async with serving(drop(), drop(), reply()) as server:
        async with server.mailbox() as mailbox:
            await mailbox.acknowledge("M1")
        assert {seen.method for seen in server.seen} == {"PUT"}


async def test_an_answer_cut_short_is_asked_for_again() -> None:
    """A JSON body that ends early is never read as a shorter one."""
    body = json.dumps({"messages": ["M1", "M2"]}).encode()
    async with serving(cut(body, 10), reply(200, body)) as server, server.mailbox() as mailbox:
        assert (await mailbox.list()).messages == ("M1", "M2")


async def test_a_token_is_new_even_where_the_http_library_repeats_a_request() -> None:
    """A kept connection that turns out closed leads to a repeated GET, and that has its own token too."""
    count = reply(200, b'{"count": 0}')
    async with serving(count, drop(), count) as server:
        async with server.mailbox(retries=0) as mailbox:
            await mailbox.count()
            await mailbox.count()
        assert len({seen.token for seen in server.seen}) == len(server.seen) == 3


async def test_the_server_says_when_to_come_back() -> None:
    """Retry-After: 0 is followed instead of the usual pause."""
    waits: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    try:
        steps = [reply(429, Retry_After="0"), reply(200, b'{"count": 1}')]
        async with serving(*steps) as server, server.mailbox() as mailbox:
            with stamina.set_testing(False):
                assert await mailbox.count() == 1
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert waits == [0.0]


# -- the first POST, and chunks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "step", [drop(), reply(500), reply(502), reply(503), reply(504), cut(b"{}", 1), reply(202, b"<html>")]
)
async def test_the_first_post_is_never_repeated_and_its_doubt_is_told(step: Step) -> None:
    """Where the message may have arrived, there is one request and advice to look before sending again."""
    async with serving(step) as server:
        async with server.mailbox() as mailbox:
            with pytest.raises(MeshError, match=r"may or may not have arrived.*--local-id mine") as caught:
                await mailbox.send("X26ABC2", "W", b"body", local_id="mine")
        assert caught.value.mailbox == "X26ABC1"
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [403, 417, 425, 429])
async def test_a_refused_first_post_is_no_doubt(status: int) -> None:
    """A refusal says nothing of a message that may have arrived."""
    async with serving(reply(status)) as server, server.mailbox() as mailbox:
        with pytest.raises(MeshError) as caught:
            await mailbox.send("X26ABC2", "W", b"body", local_id="mine")
        assert "may or may not" not in str(caught.value)


async def test_the_first_post_that_never_left_is_no_doubt(unused_tcp_port: int) -> None:
    """Where no connection was made, nothing can have arrived, and the text says what to check."""
    async with Mailbox(f"http://127.0.0.1:{unused_tcp_port}", CREDENTIALS) as mailbox:
        with pytest.raises(ConnectionFailed, match="nothing answers at http://127") as caught:
            await mailbox.send("X26ABC2", "W", b"body")
        assert "may or may not" not in str(caught.value)


@pytest.mark.parametrize("compress", [False, True])
async def test_a_chunk_is_sent_again_whole(compress: bool) -> None:
    """After a fault the same bytes of the second chunk go out under a new token; the first went once."""
    body = bytes(range(256)) * 6
    async with serving(SENT, drop(), reply(503), reply(202, b"null")) as server:
        async with server.mailbox() as mailbox:
            assert await mailbox.send("X26ABC2", "W", body, compress=compress) == "M1"
        first, *again = server.seen
        unpack = gzip.decompress if compress else bytes
        assert unpack(first.body) == body[:1000]
        assert {unpack(seen.body) for seen in again[1:]} == {body[1000:]}
        assert {seen.headers.get("content-encoding") for seen in server.seen} == {
            "gzip" if compress else None
        }
        assert [seen.headers["mex-chunk-range"] for seen in server.seen] == ["1:2", *["2:2"] * 3]
        assert [seen.path.rpartition("/outbox")[2] for seen in server.seen] == ["", *["/M1/2"] * 3]
        assert len({seen.token for seen in server.seen}) == 4


async def test_a_lost_answer_to_the_last_chunk_is_no_failure() -> None:
    """Locked (423) after a lost answer means that the chunk had completed the message."""
    async with serving(SENT, drop(), reply(423)) as server, server.mailbox() as mailbox:
        assert await mailbox.send("X26ABC2", "W", bytes(1001)) == "M1"


@pytest.mark.parametrize("steps", [[reply(423)], [reply(429), reply(423)]])
async def test_a_locked_message_is_a_failure_unless_an_answer_was_lost(steps: list[Step]) -> None:
    """Locked (423) is reported where no earlier try can have got through."""
    async with serving(SENT, *steps) as server, server.mailbox() as mailbox:
        with pytest.raises(RequestRefused, match="takes no more chunks") as caught:
            await mailbox.send("X26ABC2", "W", bytes(1001))
        assert caught.value.message_id == "M1"


async def test_what_a_send_looks_like_on_the_wire() -> None:
    """Every header of sections 3, 5 and 12 is there, and none that was not asked for."""
    async with serving(SENT) as server:
        async with server.mailbox() as mailbox:
            await mailbox.send(
                "X26ABC2",
                "W",
                b"body",
                local_id="l-1",
                subject="s",
                file_name="f.dat",
                content_type="text/plain",
            )
        (seen,) = server.seen
    headers = {name: text for name, text in seen.headers.items() if name not in ("host", "authorization")}
    agent = headers.pop("user-agent")
    assert agent.startswith("ndoo/")
    assert headers == {
        "accept": "application/vnd.mesh.v2+json",
        "accept-encoding": "gzip",
        "content-length": "4",
        "content-type": "text/plain",
        "mex-chunk-range": "1:1",
        "mex-filename": "f.dat",
        "mex-from": "X26ABC1",
        "mex-localid": "l-1",
        "mex-subject": "s",
        "mex-to": "X26ABC2",
        "mex-workflowid": "W",
    }
    assert (seen.method, seen.path, seen.body) == ("POST", "/messageexchange/X26ABC1/outbox", b"body")


async def test_a_file_that_changes_on_the_way_stops_the_sending(tmp_path: Path) -> None:
    """Chunks of two versions of a file never become one message."""
    path = tmp_path / "list.dat"
    path.write_bytes(bytes(2000))

    async def change(request: web.BaseRequest) -> web.StreamResponse:
        path.write_bytes(bytes(2001))
        return await SENT(request)

    async with serving(change, reply(202)) as server, server.mailbox() as mailbox:
        with pytest.raises(UnreadableList, match="changed while it was being sent"):
            await mailbox.send("X26ABC2", "W", path)


@pytest.mark.parametrize("text", ["20 \u00a3", "two\nlines", "tab\there", "\u0085"])
async def test_a_header_the_wire_would_change_is_refused_unsent(text: str) -> None:
    """Text that is not printable ASCII is refused by name before anything is sent."""
    async with serving() as server:
        async with server.mailbox() as mailbox:
            with pytest.raises(RequestRefused, match="Mex-Subject"):
                await mailbox.send("X26ABC2", "W", b"body", subject=text)
        assert not server.seen


# -- answers that are none ---------------------------------------------------------------------------


async def test_secrets_stay_out_of_errors_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Neither password, key, token nor body shows in texts, reprs, tracebacks or debug logs."""
    caplog.set_level(logging.DEBUG)
    texts = [repr(CREDENTIALS)]
    # In two parts, for a traceback shows the lines of this test too.
    payload = b"99900" + b"00018,"
    steps = [reply(403), reply(500), drop(), reply(202, b"??"), cut(b"{}", 1)]
    async with serving(*steps) as server, server.mailbox(retries=0) as mailbox:
        for _ in steps:
            with pytest.raises(MeshError) as caught:
                await mailbox.send("X26ABC2", "W", payload, local_id="l")
            texts += [repr(caught.value), *traceback.format_exception(caught.value)]
            texts.append(repr(caught.value.__cause__))
    shown = "\n".join([*texts, caplog.text])
    assert "send a message to X26ABC2" in caplog.text
    assert not [secret for secret in (*SECRETS, payload.decode()) if secret in shown]


async def test_a_server_that_speaks_no_http_gives_no_token_away() -> None:
    """An answer that is not HTTP is told, and aiohttp's error with the request's headers is not chained."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp.example ready\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Mailbox(url, CREDENTIALS) as mailbox:
            with pytest.raises(UnexpectedAnswer, match="does not speak HTTP") as caught:
                await mailbox.count()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("upload", [b"x", bytes(20_000_000)], ids=["no answer", "no reading"])
async def test_a_silent_server_is_a_timeout(upload: bytes) -> None:
    """A server that does not answer, or stops reading, is given up after the time allowed."""
    async with silent() as url, Mailbox(url, CREDENTIALS, timeout=0.2) as mailbox:
        with pytest.raises(RequestTimeout, match=r"did not answer in time.*may or may not"):
            await mailbox.send("X26ABC2", "W", upload)


async def test_a_page_of_a_proxy_is_not_taken_for_an_answer() -> None:
    """A 200 that is not MESH's JSON is told as such."""
    async with serving(reply(200, b"<html>log in</html>")) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match="not MESH's"):
            await mailbox.list()


@pytest.mark.parametrize(
    ("body", "method"),
    [
        (b'{"messages": "M1"}', "list"),
        (b'{"messages": [1]}', "list"),
        (b'{"count": "3"}', "count"),
        (b"[]", "ping"),
    ],
)
async def test_json_of_another_shape_is_an_error(body: bytes, method: str) -> None:
    """Fields of the wrong type are not passed on."""
    async with serving(reply(200, body)) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer):
            await getattr(mailbox, method)()


@pytest.mark.parametrize("body", [b'{"results": 1}', b'{"results": [{}]}', b'{"results": ["x"]}', b"{}"])
async def test_a_lookup_of_another_shape_is_an_error(body: bytes) -> None:
    """A lookup answer without mailbox ids is not passed on."""
    async with serving(reply(200, body)) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match="no list of mailboxes"):
            await mailbox.look_up("X26", "W")


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (gzip.compress(b"{}")[:-1], "cut short"),
        (b'{"messages": []}', "not gzip"),
        (gzip.compress(bytes(17 << 20)), "longer than"),
    ],
)
async def test_json_is_decompressed_whole_and_within_a_limit(wire: bytes, reason: str) -> None:
    """A small answer that is damaged, or grows without bounds, is an error."""
    async with serving(reply(200, wire, Content_Encoding="gzip")) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match=reason):
            await mailbox.count()


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/messageexchange/X26ABC1/inbox", "//elsewhere.example/x"]
)
async def test_no_token_goes_elsewhere(link: str) -> None:
    """A link to the next page that leads off the server is not followed."""
    body = json.dumps({"messages": [], "links": {"next": link}}).encode()
    async with serving(reply(200, body)) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match="elsewhere"):
            assert [each async for each in mailbox.messages()] == []


@pytest.mark.parametrize("cycle", ["x", "xy", "xyz"])
async def test_pages_that_lead_in_a_circle_end(cycle: str) -> None:
    """A server that never ends its paging is an error, not an endless loop."""
    links = [f"/messageexchange/X26ABC1/inbox?continue_from={place}" for place in (*cycle, cycle[0])]
    pages = [reply(200, json.dumps({"messages": [], "links": {"next": link}}).encode()) for link in links]
    async with serving(*pages) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match="one that it gave before"):
            assert [each async for each in mailbox.messages()] == []


async def test_a_redirect_is_not_followed() -> None:
    """A redirect, which could carry the token to another host, is reported."""
    async with serving(reply(307, b"", Location="http://elsewhere.example/")) as server:
        async with server.mailbox() as mailbox:
            with pytest.raises(UnexpectedAnswer, match="redirects"):
                await mailbox.handshake()
        assert len(server.seen) == 1


# -- wrong use ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8700", "ftp://host", "http://", "http://user:pw@host", "http://host/?a=b", "http://[::1"],
)
def test_an_address_that_is_none_is_a_setting_to_correct(url: str) -> None:
    """A server's address that cannot be one is refused at once, with an example."""
    with pytest.raises(ConfigError, match="NDOO_URL"):
        Mailbox(url, CREDENTIALS)


@pytest.mark.parametrize("mailbox", ["", " ", "X26 ABC", "X26/ABC1", "X26:ABC1", "X26ABC\u00c9"])
def test_a_mailbox_id_that_is_none_is_a_setting_to_correct(mailbox: str) -> None:
    """Characters no mailbox id has are refused at once."""
    with pytest.raises(ConfigError, match="NDOO_MAILBOX"):
        Credentials(mailbox, "password", "key")


def test_mailbox_ids_are_upper_case() -> None:
    """The token demands upper case, whatever was typed (section 5)."""
    assert Credentials(" x26abc1 ", "password", "key").mailbox == "X26ABC1"


def test_numbers_out_of_range_are_refused() -> None:
    """A limit that makes no sense is refused at construction."""
    for chunk_size, timeout, retries in [(0, 1, 1), (100_000_001, 1, 1), (1, 0, 1), (1, 1, -1)]:
        with pytest.raises(ValueError, match="must be"):
            Mailbox(
                "http://127.0.0.1:1", CREDENTIALS, chunk_size=chunk_size, timeout=timeout, retries=retries
            )


async def test_a_mailbox_is_used_within_its_context() -> None:
    """Use before opening, and opening twice, are the programmer's mistakes and say so."""
    mailbox = Mailbox("http://127.0.0.1:1", CREDENTIALS)
    with pytest.raises(RuntimeError, match="async with"):
        await mailbox.count()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(mailbox)
        with pytest.raises(RuntimeError, match="open already"):
            await stack.enter_async_context(mailbox)
