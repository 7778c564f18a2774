"""The pages under fire: markup from outside, and forms and addresses of nobody's making."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from controls import control
from pages import Element, Page, visiting
from raw import assert_log_decent, head, talk
from support import Callers, Simulator

from mesh_sim.exchange.events import Kind
from mesh_sim.web.routes import OPEN_PAGES, PAGES

MARKUP: Final = "\"><script>alert(1)</script><img src=x onerror=alert(1)><!--'{{7*7}}"
JUNK: Final = (
    "",
    "0",
    "-1",
    "9" * 30,
    "1.5",
    "nan",
    "inf",
    "x" * 5000,
    MARKUP,
    "\x00",
    "\udcff",
    "٣",
    "2026-13-45",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "%",
    "_",
    "../../../etc/passwd",
    "' OR 1=1 --",
    "1e309",
    "5d" * 100,
    "//[",
    "/\u65e5\u672c",
    "9990000018",
)
ADDRESS_NAMES: Final = ("before", "after", "side", "q", "done", "next", "kinds", "page")
NAMES: Final = re.compile(r"""name="([a-z_]+)\"""")


async def _fill(simulator: Simulator) -> str:
    """Put markup wherever a client or a tester may put text; give the id of a message that has it all."""
    headers = {
        "Mex-Subject": MARKUP,
        "Mex-LocalID": MARKUP,
        "Mex-FileName": MARKUP,
        "Mex-PartnerID": MARKUP,
        "Content-Type": "text/html",
        "User-Agent": MARKUP,
    }
    caller = simulator.caller("X26ABC1")
    message_id = await caller.sent(MARKUP.encode(), workflow=MARKUP, headers=headers)
    await caller.sent(MARKUP.encode(), to="X26HC065", workflow="SPINE_NTT_UPHOLDING", headers=headers)
    await caller.get("inbox", authorization=MARKUP, headers={"User-Agent": MARKUP})
    await caller.get(f"/messageexchange/{quote(MARKUP)}/inbox")
    box = {"mailbox_id": "X26EVIL", "mailbox_name": MARKUP, "org_name": MARKUP, "ods_code": MARKUP}
    await control(simulator.url, "POST", "/admin/mailboxes", box)
    await control(simulator.url, "POST", "/admin/witness", {"mailbox": "X26ABC1", "case": "201"})
    return message_id


def _addresses(method: str, message_id: str) -> Iterator[str]:
    known = {"mailbox_id": "X26ABC1", "message_id": message_id, "name": "live.js", "rule_id": "f1"}
    for given, path, _ in (*PAGES, *OPEN_PAGES):
        if given == method and path != "/live":
            yield re.sub(r"{(\w+)}", lambda match: known[match[1]], path)


def _assert_harmless(page: Page) -> None:
    scripts = page.root.all("script")
    assert [script.attributes.get("src") for script in scripts] == ["/assets/live.js"]
    assert not [child for script in scripts for child in script.children]
    assert not page.root.all("img")
    for element in page.root.all():
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"], (
            element.name
        )
        for name in ("href", "action", "src"):
            assert re.match(r"[/?#]|https://|$", element.attributes.get(name, "")), element.attributes


async def test_markup_from_outside_is_text(simulator: Simulator) -> None:
    """Whatever a client, a sender or a tester wrote, every page shows it as text, and runs nothing of it."""
    message_id = await _fill(simulator)
    shown = []
    async with visiting(simulator.url) as visitor:
        addresses = [*_addresses("GET", message_id), f"/search?q={quote(MARKUP)}", "/mailboxes/X26EVIL"]
        addresses += [f"/mailboxes/X26ABC1?side=outbox&subject={quote(MARKUP)}", "/journal?refused=true"]
        for address in addresses:
            answer = await control(simulator.url, "GET", address)
            if answer.content_type != "text/html; charset=utf-8" or "/report" in address:
                continue
            page = await visitor.get(address)
            _assert_harmless(page)
            if _says(page.root, "<script>alert(1)</script>"):
                shown.append(address)
    assert {f"/messages/{message_id}", "/journal?refused=true", "/mailboxes/X26EVIL"} <= set(shown)


def _says(root: Element, text: str) -> bool:
    return text in root.one("main").text


async def test_a_body_comes_as_a_file_only(simulator: Simulator) -> None:
    """What a sender calls a page is saved when it is asked for, and never shown."""
    message_id = await _fill(simulator)
    answer = await control(simulator.url, "GET", f"/messages/{message_id}/body")
    assert answer.body == MARKUP.encode()
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "\n" not in answer.headers["Content-Disposition"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_any_address_is_answered(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in a page's query, the answer is a page, and never that the simulator failed."""
    message_id = await _fill(simulator)
    async with aiohttp.ClientSession() as session:
        for address in _addresses("GET", message_id):
            async with session.get(simulator.url + address) as answer:
                text = await answer.text(errors="replace")
            names = {*NAMES.findall(text), *ADDRESS_NAMES} - {"csrf"}
            for value in JUNK:
                given = quote(value.encode("utf-8", "surrogateescape"))
                asked = "&".join(f"{name}={given}" for name in sorted(names))
                each = [f"{name}={given}" for name in sorted(names)] if value in JUNK[:3] else []
                for query in (asked, *each):
                    await _asked(session, "GET", f"{simulator.url}{address}?{query}")
    assert_log_decent(caplog)


async def test_any_path_is_answered(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """An id of nobody's, however it is written, is a page that says so."""
    async with aiohttp.ClientSession() as session:
        for _, path, _ in PAGES:
            for value in filter(None, JUNK) if "{" in path else ():
                given = quote(value.encode("utf-8", "surrogateescape"), safe="")
                status = await _asked(session, "GET", simulator.url + re.sub(r"{\w+}", given, path))
                assert status in {400, 404, 405}, (path, value)
    assert_log_decent(caplog)


@pytest.mark.parametrize(
    "target",
    [
        "/messages/%2e%2e/body",
        "/messages/../../etc/passwd",
        "/messages/%00/body",
        "/messages/%252e%252e%252fetc",
        "/assets/%2e%2e%2fpage.py",
        "/assets/..%5c..%5cpage.py",
        "/assets/style.css",
        "/mailboxes/" + "A" * 6000,
        "//evil.example/",
        "/%",
        "/witness/%0d%0aX-Evil:1/report",
    ],
)
async def test_a_path_leads_nowhere_else(shared: Callers, target: str) -> None:
    """However a path is written, it leads to a page of ours or to none, and is not taken into the answer."""
    lines = ("Accept: text/html", "Connection: close")
    (answer,) = (await talk(shared.url, head("GET", target, *lines))).answers
    assert answer.status == 404
    assert answer.header("Location") is None
    assert answer.header("X-Evil") is None
    for word in (b"evil", b"passwd", b"AAAA", b"import"):
        assert word not in answer.body


async def test_slow_readers_and_a_burst_keep_nobody_waiting(simulator: Simulator) -> None:
    """Who does not take in what was asked for holds up neither others nor the end of the simulator."""
    swelling = gzip.compress(bytes(50_000_000))
    headers = {"Content-Encoding": "gzip"}
    message_id = await simulator.caller("X26ABC1").sent(swelling, headers=headers)
    address = urlsplit(simulator.url)
    opened = []
    for path in (f"/messages/{message_id}/body", "/live?kinds=request,reset", "/live?kinds=request") * 5:
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        writer.write(head("GET", path))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        opened.append(writer)
    events, now = simulator.server.exchange.events, simulator.server.exchange.now()
    for number in range(20_000):
        events.publish(Kind.REQUEST, now, number=number, mailbox="X26ABC1")
    async with asyncio.timeout(10):
        assert (await simulator.caller("X26ABC2").get("count")).status == 200
        await simulator.stop()
    for writer in opened:
        writer.close()


async def test_any_form_is_answered(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is filled in, a form is carried out or shown again, and never fails."""
    message_id = await _fill(simulator)
    async with visiting(simulator.url) as visitor:
        names: set[str] = set()
        for address in _addresses("GET", message_id):
            answer = await control(simulator.url, "GET", address)
            names |= set(NAMES.findall(answer.body.decode("utf-8", "replace")))
        names -= {"csrf"}
        csrf = (await visitor.get("/clock-and-faults")).root.all("input", name="csrf")[0].attributes["value"]
        for address in _addresses("POST", message_id):
            for value in JUNK:
                text = value.encode("utf-8", "replace").decode()
                page = await visitor.post(address, {"csrf": csrf} | dict.fromkeys(sorted(names), text))
                assert page.status < 500, (address, value, page.text)
    assert_log_decent(caplog)


async def _asked(session: aiohttp.ClientSession, method: str, address: str) -> int:
    async with session.request(method, aiohttp.client.URL(address, encoded=True)) as answer:
        await answer.read()
        assert answer.status < 500, address
        return answer.status


async def test_no_page_shows_a_number_of_a_list(shared: Callers) -> None:
    """The numbers of a list that was sent are masked wherever a page shows it, its answer and its receipt."""
    numbers = ("9990000018", "9990000026", "9990000034")
    caller = shared.caller("X26ABC1")
    async with visiting(shared.url) as visitor:
        message_id = await caller.sent(
            "".join(f"{number},\r\n" for number in numbers).encode(),
            to="X26HC065",
            workflow="SPINE_NTT_UPHOLDING",
            headers={"Mex-Subject": "check", "Mex-LocalID": "masked1"},
        )
        page = await visitor.get(f"/messages/{message_id}")
        assert "999 *** **" in page.text
        for element in page.root.all("a", class_="id"):
            linked = await visitor.get(element.attributes["href"])
            assert not [number for number in numbers if number in linked.body.decode()]
        assert not [number for number in numbers if number in page.body.decode()]


async def test_a_number_across_chunks_is_masked(shared: Callers) -> None:
    """Where a number begins in one chunk and ends in the next, it is a number all the same."""
    caller = shared.caller("X26ABC1")
    message_id = await caller.sent(b"9990000018\r\n99900", headers={"Mex-Chunk-Range": "1:2"})
    assert (await caller.send_chunk(message_id, 2, "2:2", b"00026\r\n")).status == 202
    async with visiting(shared.url) as visitor:
        page = await visitor.get(f"/messages/{message_id}")
    assert "999 *** **18 999 *** **26" in page.text
