"""How commands find the simulator, prove who they are, and say why they cannot reach it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import client_exceptions, web
from processes import NOWHERE
from shell import Shell
from support import MakeSimulator, Simulator

from mesh_sim import control
from mesh_sim.certs import make_certificates
from mesh_sim.clock import real_now
from mesh_sim.config import Tls

TOKEN = "a-token-for-tests"

COMMANDS = [
    ["clock", "show"],
    ["mailbox", "list"],
    ["message", "list"],
    ["message", "put", "X26ABC2"],
    ["wait", "--timeout", "0"],
    ["optouts", "statistics"],
    ["faults", "list"],
    ["journal"],
    ["journal", "--follow"],
    ["events"],
    ["witness", "cases"],
    ["witness", "start", "--mailbox", "X26ABC1", "--case", "201", "--no-wait"],
    ["reset", "--yes"],
    ["metrics"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_a_server_that_is_not_running_is_told(lonely: Shell, arguments: list[str]) -> None:
    """Exit 1 and one line: where nothing answers, why, and what to do."""
    ran = await lonely.run(*arguments)
    ran.assert_refused(1, f"{NOWHERE}: no simulator answers (Connection refused); start one with")
    assert "'mesh-sim serve', or say where it is with --url" in ran.err


async def test_programs_are_told_in_json(lonely: Shell) -> None:
    """With --json the error is an object on standard output too."""
    ran = await lonely.run("clock", "show", "--json")
    assert ran.code == 1
    assert ran.out.count('"kind": "Unreachable"') == 1


async def test_an_address_on_the_command_line_wins(lonely: Shell, simulator: Simulator) -> None:
    """--url leads elsewhere than the settings."""
    assert (await lonely.run("clock", "show", "--url", f"{simulator.url}/")).code == 0


@pytest.mark.parametrize(
    "url", ["nonsense", "127.0.0.1:8700", "ftp://127.0.0.1", "http://", "http://h:99999", "http://h:0", ""]
)
async def test_what_is_no_address_is_refused(lonely: Shell, url: str) -> None:
    """An address that cannot be one is wrong usage."""
    ran = await lonely.run("clock", "show", "--url", url)
    ran.assert_refused(2, "is not an address; write it like http://127.0.0.1:8700")


# -- the token ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_a_token_is_needed_and_sent(
    folder: Path, make_simulator: MakeSimulator, arguments: list[str]
) -> None:
    """Without the token, or with a wrong one, the variable is named; with it the command goes through."""
    simulator = await make_simulator(admin_token=TOKEN)
    shell = Shell(folder, simulator.url)
    missing = await shell.run(*arguments)
    missing.assert_refused(2, "its control API needs a token; set MESH_SIM_ADMIN_TOKEN to the one that")
    wrong = await shell.run(*arguments, MESH_SIM_ADMIN_TOKEN="another-token")
    wrong.assert_refused(2, "the value of MESH_SIM_ADMIN_TOKEN is not this server's token")
    assert "another-token" not in wrong.err
    if arguments[0] not in ("events", "wait") and "--follow" not in arguments:
        right = await shell.run(*arguments, MESH_SIM_ADMIN_TOKEN=TOKEN)
        assert right.code == 0, right.err


# -- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates for the built-in mailboxes."""
    path = tmp_path_factory.mktemp("certs")
    make_certificates(path, [("X26HC065", "X26")], now=real_now())
    return path


async def test_commands_speak_mutual_tls(
    folder: Path, make_simulator: MakeSimulator, certificates: Path
) -> None:
    """With the server's settings commands show a certificate; without one they are told what to set."""
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certificates)
    settings = {"MESH_SIM_CERTS": str(certificates), "MESH_SIM_TLS": "mutual"}
    shell = Shell(folder, simulator.url, settings)
    assert (await shell.run("clock", "advance", "1h")).facts()["ahead by"] == "1h"
    assert (await shell.run("ready")).code == 0
    without = await shell.run("clock", "show", MESH_SIM_TLS="on")
    without.assert_refused(1, "MESH_SIM_TLS=mutual")
    plain = await shell.run("clock", "show", MESH_SIM_TLS="off")
    plain.assert_refused(1, "speaks what the address says (http or https)")


async def test_commands_trust_only_the_servers_authority(
    folder: Path, make_simulator: MakeSimulator, certificates: Path, tmp_path: Path
) -> None:
    """A server with certificates of another authority is not trusted; missing ones are named."""
    simulator = await make_simulator(tls=Tls.ON, certs=certificates)
    make_certificates(tmp_path / "others", [], now=real_now())
    shell = Shell(folder, simulator.url, {"MESH_SIM_TLS": "on"})
    assert (await shell.run("clock", "show", MESH_SIM_CERTS=str(certificates))).code == 0
    other = await shell.run("clock", "show", MESH_SIM_CERTS=str(tmp_path / "others"))
    other.assert_refused(1, "no secure connection (unable to get local issuer certificate)")
    (await shell.run("clock", "show")).assert_refused(2, "make them with 'mesh-sim certs'")


# -- who answers --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _answering(handler: object) -> AsyncIterator[str]:
    """Run a server that is no simulator."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<html>It works</html>", content_type="text/html")


async def _other_json(_: web.Request) -> web.Response:
    return web.json_response({"detail": "Not Found"}, status=404)


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:9/")


async def _too_old(request: web.Request) -> web.Response:
    if request.path == "/admin/ready":
        return web.json_response({"ready": True})
    return web.json_response({"detail": "Not Found"}, status=404)


async def _ill(request: web.Request) -> web.Response:
    if request.path == "/admin/ready":
        return web.json_response({"ready": True})
    return web.Response(status=502, text="bad gateway")


async def _short_news(request: web.Request) -> web.StreamResponse:
    if request.path == "/admin/ready":
        return web.json_response({"ready": True})
    stream = web.StreamResponse()
    await stream.prepare(request)
    await stream.write(
        b'id: 7\r\nevent: reset\r\ndata: {"at": "2026-01-02T03:04:05+00:00", "kind": "reset"}\r\n\r\n'
    )
    return stream


@pytest.mark.parametrize("handler", [_page, _other_json, _elsewhere, _too_old])
async def test_another_server_is_told_as_one(lonely: Shell, handler: object) -> None:
    """Whatever answers there, a command says that it is no simulator, or none of its version."""
    async with _answering(handler) as url:
        ran = await lonely.run("message", "show", "20200529155357895317_3573F8", "--url", url)
    ran.assert_refused(1, f"{url}: what answers there is not mesh-sim")


async def test_what_speaks_no_http_is_told_as_another_server(lonely: Shell) -> None:
    """A port on which something else talks is no simulator."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        (await lonely.run("clock", "show", "--url", url)).assert_refused(1, "is not mesh-sim")


async def test_a_server_that_fails_is_told(lonely: Shell) -> None:
    """An answer of the 500s is a failure, not wrong usage."""
    async with _answering(_ill) as url:
        (await lonely.run("clock", "show", "--url", url)).assert_refused(1, "the simulator answered 502")


async def test_news_that_end_are_a_failure(lonely: Shell) -> None:
    """Who watches events is told when the server ends them, after those that came."""
    async with _answering(_short_news) as url:
        ran = await lonely.run("events", "--url", url)
    assert (ran.code, ran.out) == (1, "Friday 02 January 2026, UTC\n03:04:05  reset\n")
    assert "the server ended the stream of events" in ran.err


def test_every_error_of_the_http_client_is_translated() -> None:
    """No exception of aiohttp's client reaches whoever types a command as a traceback."""
    kinds = [
        kind
        for name, kind in vars(client_exceptions).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and not name.startswith("WS")
    ]
    table = [kind for kind, _, _ in control._FAILURES]
    assert kinds
    assert [kind for kind in kinds if not issubclass(kind, tuple(table))] == []
    later = [
        (special, general)
        for place, special in enumerate(table)
        for general in table[:place]
        if issubclass(special, general)
    ]
    assert later == []
