"""Limits before there is a request: connections, handshakes, headers; others are served on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
from typing import Final
from urllib.parse import urlsplit

import pytest
from support import MakeSimulator
from wires import HEAD, PATIENCE_S, SHORT, connected

from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.clock import real_now

# -- connections ------------------------------------------------------------------------------------


async def test_the_longest_idle_connection_makes_room(make_simulator: MakeSimulator) -> None:
    """When there are too many, one that asks nothing goes, the oldest first; who asks is served."""
    simulator = await make_simulator(max_connections=3)
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(simulator.url)) for _ in range(3)]
        idle[0].say(HEAD + b"\r\n")  # has asked something since, so it is not the longest idle
        assert (await idle[0].answer())[0] == 200
        assert (await simulator.caller().get("count")).status == 200
        assert await idle[1].is_ended()
        for line in (idle[0], idle[2]):
            line.say(HEAD + b"\r\n")
            assert (await line.answer())[0] == 200


async def test_thousands_of_idle_connections_keep_nobody_out(make_simulator: MakeSimulator) -> None:
    """Somebody who only connects, again and again, takes no place from those who ask something."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    simulator = await make_simulator(max_connections=500)
    address = urlsplit(simulator.url)
    with contextlib.ExitStack() as stack:

        def connect() -> None:
            for _ in range(250):
                there = (address.hostname or "", address.port or 0)
                stack.enter_context(socket.create_connection(there, PATIENCE_S))

        for _ in range(8):
            await asyncio.to_thread(connect)
            assert (await simulator.caller().get("count")).status == 200


async def test_a_connection_too_many_is_refused_while_all_are_busy(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A newcomer gets a 503 and is told to come again; what others are doing goes on."""
    simulator = await make_simulator(max_connections=1)
    async with connected(simulator.url) as busy:
        await busy.upload(simulator.caller())
        for _ in range(2):
            async with connected(simulator.url) as newcomer:
                newcomer.say(HEAD + b"\r\n")
                status, headers, body = await newcomer.answer()
                assert (status, json.loads(body)) == (503, {"detail": "Service Unavailable"})
                assert headers["content-type"] == "application/json"
                assert (headers["retry-after"], headers["connection"]) == ("1", "close")
                assert await newcomer.is_ended()
        busy.say(b"x" * 1000)
        assert (await busy.answer())[0] == 202
        assert await busy.is_ended()
    assert (await simulator.caller().get("count")).status == 200
    assert caplog.text.count("MESH_SIM_MAX_CONNECTIONS") == 1


async def test_who_was_refused_and_does_not_go_is_cut_off(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused client that sends on and on is not read from for long, nor answered again."""
    simulator = await make_simulator(max_connections=1, header_time=SHORT)
    async with connected(simulator.url) as busy:
        await busy.upload(simulator.caller())
        async with connected(simulator.url) as newcomer, asyncio.timeout(PATIENCE_S):
            assert (await newcomer.answer())[0] == 503
            with pytest.raises(ConnectionError):
                await newcomer.say_on_and_on()
    assert "Fatal error" not in caplog.text


# -- headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [0, 1], ids=["first", "second"])
async def test_a_header_that_is_never_whole_is_refused(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture, earlier: int
) -> None:
    """However it trickles, and also on a connection that has asked before: 408, logged once for many."""
    simulator = await make_simulator(header_time=SHORT)
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(simulator.url)) for _ in range(3)]
        for line in slow:
            for _ in range(earlier):
                line.say(HEAD + b"\r\n")
                assert (await line.answer())[0] == 200
            line.say(HEAD)
        for _ in range(5):
            slow[0].say(b"X: y\r\n")
            await asyncio.sleep(0.01)
        for line in slow:
            status, headers, body = await line.answer()
            assert (status, json.loads(body)) == (408, {"detail": "Request Timeout"})
            assert headers["connection"] == "close"
            assert await line.is_ended()
    assert caplog.text.count("MESH_SIM_HEADER_TIME") == 1


async def test_a_connection_that_asks_nothing_is_closed(make_simulator: MakeSimulator) -> None:
    """Without an answer: nothing was asked. One that has asked before may be idle for longer."""
    simulator = await make_simulator(header_time=SHORT)
    async with connected(simulator.url) as patient, connected(simulator.url) as silent:
        patient.say(HEAD + b"\r\n")
        assert (await patient.answer())[0] == 200
        assert await silent.is_ended()
        await asyncio.sleep(2 * SHORT.total_seconds())
        patient.say(HEAD + b"\r\n")
        assert (await patient.answer())[0] == 200


async def test_a_connection_idle_for_too_long_is_closed(make_simulator: MakeSimulator) -> None:
    """After its last answer a connection is kept for ``idle_time``."""
    simulator = await make_simulator(idle_time=SHORT)
    async with connected(simulator.url) as line:
        line.say(HEAD + b"\r\n")
        assert (await line.answer())[0] == 200
        assert await line.is_ended()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """Certificates of a server."""
    return make_certificates(tmp_path_factory.mktemp("certs"), [], now=real_now())


async def test_a_handshake_of_tls_is_finished_in_time(
    make_simulator: MakeSimulator, certificates: CertificateFolder
) -> None:
    """Who connects and says nothing, or half of it, is cut off; who speaks TLS is answered."""
    simulator = await make_simulator(tls="on", certs=certificates.path, header_time=SHORT)
    async with connected(simulator.url) as silent, connected(simulator.url) as half:
        half.say(b"\x16\x03\x01\x02\x00\x01")  # the start of a first message
        assert await silent.is_ended()
        assert await half.is_ended()
    async with connected(simulator.url, trusted=certificates.ca) as line:
        line.say(HEAD)
        assert (await line.answer())[0] == 408
        assert await line.is_ended()


async def test_handshakes_count_as_connections(
    make_simulator: MakeSimulator, certificates: CertificateFolder
) -> None:
    """Those that are not finished make room, the oldest first; while all are busy nobody else gets in."""
    simulator = await make_simulator(tls="on", certs=certificates.path, max_connections=2)
    async with contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(simulator.url)) for _ in range(2)]
        busy = await stack.enter_async_context(connected(simulator.url, trusted=certificates.ca))
        await busy.upload(simulator.caller())
        assert await silent[0].is_ended()
        other = await stack.enter_async_context(connected(simulator.url, trusted=certificates.ca))
        await other.upload(simulator.caller())
        assert await silent[1].is_ended()
        async with connected(simulator.url) as newcomer:
            assert await newcomer.is_ended()
        for line in (busy, other):
            line.say(b"x" * 1000)
            assert (await line.answer())[0] == 202


TOO_LONG: Final = {
    "one line": (b"X: " + b"x" * 2000 + b"\r\n\r\n", "MESH_SIM_MAX_HEADER_BYTES"),
    "many lines without an end": (b"Ab: cdefgh\r\n" * 200, "MESH_SIM_MAX_HEADER_BYTES"),
    "too many lines": (b"A: b\r\n" * 20 + b"\r\n", "MESH_SIM_MAX_HEADERS"),
}


@pytest.mark.parametrize("kind", TOO_LONG)
async def test_a_header_too_long_is_refused(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """431, in the shape of what has no operation yet, and the log names the setting."""
    lines, setting = TOO_LONG[kind]
    simulator = await make_simulator(
        max_header_bytes=1024, max_headers=256 if setting != "MESH_SIM_MAX_HEADERS" else 16
    )
    async with connected(simulator.url) as line:
        line.say(HEAD + lines)
        status, headers, body = await line.answer()
        assert (status, headers["content-type"]) == (431, "application/json")
        assert json.loads(body) == {"detail": "Request Header Fields Too Large"}
        assert await line.is_ended()
    assert setting in caplog.text
