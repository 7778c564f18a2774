"""Injected faults on both event loops, plain and over TLS."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop
from fault_calls import (
    LARGE,
    Call,
    assert_quiet,
    wired,
)

from mesh_sim.app import running
from mesh_sim.certs import make_certificates
from mesh_sim.clock import real_now
from mesh_sim.config import Settings, Tls


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A fault is no trouble of the server's."""
    caplog.set_level(logging.INFO)
    yield
    assert_quiet(caplog)


LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def any_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Each kind of event loop that the server runs on."""
    return LOOPS[request.param]


@pytest.fixture(params=[Tls.OFF, Tls.ON])
def served(
    request: pytest.FixtureRequest, any_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> Iterator[tuple[str, ssl.SSLContext | None]]:
    """The address of a simulator on either loop, plain or over TLS, and what a client must trust."""
    files = make_certificates(tmp_path / "certs", [], now=real_now())
    settings = Settings(data=tmp_path / "data", port=0, tls=request.param, certs=files.path)
    started: Future[tuple[str, asyncio.AbstractEventLoop]] = Future()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with running(settings) as server:
            started.set_result((server.url, asyncio.get_running_loop()))
            await stopping.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=any_loop) as runner:
            runner.run(serve())

    with ThreadPoolExecutor(1) as thread:
        ran = thread.submit(run)
        futures: list[Future[Any]] = [started, ran]
        wait(futures, return_when=FIRST_COMPLETED)
        if ran.done():
            ran.result()  # raises what stopped it from starting
        url, loop = started.result()
        secure = request.param is not Tls.OFF
        yield url, ssl.create_default_context(cafile=files.ca) if secure else None
        loop.call_soon_threadsafe(stopping.set)
        ran.result()


FAULTS: Final[dict[str, tuple[dict[str, object], str, int]]] = {
    "status": ({"action": "status", "status": 503}, "whole", 503),
    "delay": ({"action": "delay", "delay": 0.01}, "whole", 200),
    "reset": ({"action": "reset"}, "reset", 0),
    "truncate": ({"action": "truncate"}, "cut", 200),
    "lose-response": ({"action": "lose-response"}, "closed", 0),
}


@pytest.mark.parametrize(("fault", "how", "status"), FAULTS.values(), ids=FAULTS.keys())
async def test_faults_on_either_loop_plain_and_over_tls(
    served: tuple[str, ssl.SSLContext | None], fault: dict[str, object], how: str, status: int
) -> None:
    """On a connection kept from earlier requests every action does the same, for bodies small and large."""
    url, trust = served
    rule = json.dumps({"operation": "download", "times": 2, **fault}).encode()
    add = b"POST /admin/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(rule) + rule
    async with wired(url, trust) as wire:
        messages = []
        for body in (b"small", LARGE):
            send = Call("X26ABC1", "POST", "outbox", {"Mex-To": "X26ABC2", "Mex-WorkflowID": "W"}, body)
            messages.append(json.loads((await wire.ask(send.data())).body)["message_id"])
        assert (await wire.ask(add)).status == 201
    for message, body in zip(messages, (b"small", LARGE), strict=True):
        download = Call("X26ABC2", "GET", f"inbox/{message}", {}).data()
        async with wired(url, trust) as wire:
            assert (await wire.ask(Call("X26ABC2", "GET", "inbox", {}).data())).status == 200
            outcome = await wire.ask(download)
            assert (outcome.how, outcome.status) == (how, status)
            if how == "whole":
                assert (await wire.ask(Call("X26ABC2", "GET", "inbox", {}).data())).status == 200
            elif how == "cut":
                assert outcome.body == body[: len(body) // 2]
                assert await wire.ended()
    async with wired(url, trust) as wire:
        assert (await wire.ask(Call("X26ABC2", "GET", f"inbox/{messages[1]}", {}).data())).body == LARGE
