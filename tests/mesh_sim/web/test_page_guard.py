"""Who may see the pages, which forms are carried out, and what a browser is told about them."""

from __future__ import annotations

import asyncio
import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from controls import control
from pages import visiting
from support import Callers, MakeSimulator, Simulator, speak

from mesh_sim import app as assembly
from mesh_sim.api.routes import HEALTH_PATHS
from mesh_sim.certs import CertificateFolder
from mesh_sim.web import live, routes
from mesh_sim.web.forms import MAX_FORM_BYTES
from mesh_sim.web.routes import OPEN_PAGES, PAGES

TOKEN = "an admin token"

OPEN: Final = {"/sign-in", "/assets/1", "/openapi.json", "/admin/ready", *HEALTH_PATHS}
"""What there is for whoever has no token: how to get in, and what is no secret of the simulator's."""

LOOKUPS: Final = ("/messageexchange/endpointlookup/", "/messageexchange/workflowsearch/")
"""MESH's own, which has no token in the protocol either."""

_OTHERS = ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"})


def _paths(method: str) -> list[str]:
    return [re.sub(r"{\w+}", "1", path) for given, path, _ in PAGES if given == method]


async def test_every_page_needs_the_token(make_simulator: MakeSimulator) -> None:
    """Where the control API has a token, a page leads to where one signs in, and a form does nothing."""
    simulator = await make_simulator(admin_token=TOKEN)
    for path in _paths("GET"):
        answer = await control(simulator.url, "GET", path, allow_redirects=False)
        assert answer.status == 303, path
        assert answer.headers["Location"].startswith("/sign-in?next="), path
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in _paths("POST"):
        answer = await control(simulator.url, "POST", path, b"advance=5d", headers=form)
        assert answer.status == 401, path


async def test_signing_in_leads_on(make_simulator: MakeSimulator) -> None:
    """Whoever has the token gets to the page they asked for; whoever has another is told where it is from."""
    simulator = await make_simulator(admin_token=TOKEN)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/journal?refused=true")
        assert page.title == "Sign in"
        assert page.fields("/sign-in")["next"] == "/journal?refused=true"
        wrong = await visitor.post("/sign-in", page.fields("/sign-in") | {"token": "wrong"})
        assert wrong.status == 403
        assert "MESH_SIM_ADMIN_TOKEN" in wrong.problem("token")
        page = await visitor.post("/sign-in", wrong.fields("/sign-in") | {"token": TOKEN})
        assert str(page.url.relative()) == "/journal?refused=true"
        assert TOKEN.encode() not in page.body
        out = await visitor.submit("/", "/sign-out")
        assert out.title == "Sign in"
        assert (await visitor.get("/journal")).title == "Sign in"


async def test_a_signed_in_cookie_s_terms(make_simulator: MakeSimulator) -> None:
    """It is out of scripts' reach, not sent along by other sites' forms, and each port has its own."""
    simulator = await make_simulator(admin_token=TOKEN)
    answer = await control(simulator.url, "GET", "/sign-in")
    port = simulator.url.rpartition(":")[2]
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"mesh-sim-{port}=out.")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    "onward",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "evil",
        "/\t/evil.example",
        "//[",
        "/journal\r\nX: 1",
        "/\u65e5\u672c",
        "/caf\u00e9",
    ],
)
async def test_signing_in_leads_nowhere_else(make_simulator: MakeSimulator, onward: str) -> None:
    """An address of another site's is not gone on to, however it is written."""
    simulator = await make_simulator(admin_token=TOKEN)
    async with visiting(simulator.url) as visitor:
        fields = (await visitor.get("/sign-in")).fields("/sign-in")
        page = await visitor.post("/sign-in", fields | {"token": TOKEN, "next": onward})
        assert str(page.url.relative()) == "/"


async def test_a_form_without_its_token_does_nothing(simulator: Simulator) -> None:
    """Without a token, with another visit's, or with none of our cookies, a form is refused and says so."""
    before = simulator.server.clock.offset
    async with visiting(simulator.url) as visitor, visiting(simulator.url) as other:
        await visitor.get("/")
        for csrf in ("", "wrong", (await other.get("/clock-and-faults")).fields("/clock/advance")["csrf"]):
            page = await visitor.post("/clock/advance", {"advance": "5d", "csrf": csrf})
            assert page.status == 403
            assert page.title == "This form is out of date"
    assert simulator.server.clock.offset == before


async def test_other_sites_pages_get_nothing(shared: Callers) -> None:
    """Neither a page nor a form is there for another site, nor under a name that was made to point here."""
    for headers in (*_OTHERS, {"Host": "evil.example"}):
        async with visiting(shared.url) as visitor:
            for path in ("/", "/journal", "/sign-in", "/live?kinds=request", "/assets/live.js"):
                page = await visitor.get(path, headers)
                assert page.status == 403, (path, headers)
            assert (await visitor.post("/sign-out", {}, headers)).status == 403


async def test_a_page_s_policy(shared: Callers) -> None:
    """Pages run our script alone, have our style alone, send forms to us alone, and are shown in no frame."""
    for path, status in (("/", 200), ("/sign-in", 200), ("/nothing", 404), ("/mailboxes/NONE", 404)):
        async with visiting(shared.url) as visitor:
            page = await visitor.get(path)
        assert page.status == status, path
        policy = dict(
            part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_is_a_page_for_people_only(simulator: Simulator) -> None:
    """A browser gets a friendly page with a way back; programs, and paths of the APIs, get what they got."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/no/such/page")
        assert page.status == 404
        assert page.links()["Go to the overview"] == "/"
    for path, accept in (
        ("/no/such/page", "*/*"),
        ("/admin/no", "text/html"),
        ("/messageexchange/X/a/b/c", "text/html"),
    ):
        answer = await control(simulator.url, "GET", path, headers={"Accept": accept})
        assert answer.status == 404
        assert answer.json() == {"detail": "Not Found"}


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 415),
        ("application/x-www-form-urlencoded; charset=nonsense", b"csrf=x", 400),
        ("application/x-www-form-urlencoded", b"csrf=%ff", 403),
        ("application/x-www-form-urlencoded", b"\xff=1", 400),
        ("application/x-www-form-urlencoded; charset=punycode", b"csrf=x-", 400),
        ("application/x-www-form-urlencoded; charset=UTF-8", b"csrf=x", 403),
        ("application/x-www-form-urlencoded", b"csrf=" + b"x" * MAX_FORM_BYTES, 413),
        ("application/x-www-form-urlencoded", b"&".join([b"x=1"] * 10_000), 413),
        ("text/plain", b"csrf=x", 415),
        ("application/x-www-form-urlencoded", b"", 403),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(
    shared: Callers, content_type: str, body: bytes, status: int
) -> None:
    """A body that no form of ours sends is refused with a page, whatever it is."""
    answer = await control(shared.url, "POST", "/sign-out", body, headers={"Content-Type": content_type})
    assert answer.status == status
    assert answer.content_type == "text/html; charset=utf-8"


async def test_a_form_that_stands_still_is_refused(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose form does not come to its end is told so, and the connection ends."""
    simulator = await make_simulator(admin_token=TOKEN, stall_time=timedelta(seconds=0.2))
    lines = ("Host: localhost", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 100")
    request = "\r\n".join(["POST /sign-in HTTP/1.1", *lines, "", "csrf=x"])
    status, answered, body = await speak(simulator.url, request.encode())
    assert status == 408
    assert b"Connection: close" in answered
    assert b"The form did not arrive" in body
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_a_link_carries_nothing_out(shared: Callers, method: str) -> None:
    """What a form does is done by POST alone, whatever a link or a header says."""
    headers = {"X-HTTP-Method-Override": "POST"}
    shown = _paths("GET")
    for path in _paths("POST"):
        answer = await control(shared.url, method, f"{path}?_method=POST", headers=headers)
        assert answer.status == 405 or (method == "GET" and path in shown), path


async def test_every_path_there_is_asks_for_a_secret(
    make_simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that a server with a token was given to serve, nothing is there without it or a mailbox's."""
    made: list[web.Application] = []

    def assembled(*parts: Any) -> web.Application:
        made.append(original(*parts))
        return made[0]

    original = assembly._application
    monkeypatch.setattr(assembly, "_application", assembled)
    simulator = await make_simulator(admin_token=TOKEN)
    asked = set()
    for route in made[0].router.routes():
        assert route.resource is not None
        path = re.sub(r"{\w+}", "1", route.resource.canonical)
        if path in OPEN or path.startswith(LOOKUPS):
            continue
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await control(
            simulator.url,
            route.method,
            path,
            b"" if route.method == "POST" else None,
            headers=form,
            allow_redirects=False,
        )
        leads_in = answer.headers.get("Location", "").startswith("/sign-in?next=")
        assert answer.status in (401, 403) or (answer.status == 303 and leads_in), (route.method, path)
        asked.add(path)
    assert {*_paths("GET"), *_paths("POST")} <= asked


@pytest.mark.parametrize(
    "cookie",
    [
        b"\xff=\xfe",
        b'a="',
        b";;;=;",
        b"NAME=\xff\xfe.\xf0",
        b"NAME=in.99999999999.x.0",
        b"NAME=....",
        b'NAME="\\377\\012"',
        b"NAME=a; NAME=b; $Path=/",
        b"NAME=" + b"in." * 2000,
        b"; ".join(b"c%d=%d" % (number, number) for number in range(100)),
    ],
)
async def test_a_cookie_of_nobody_s(make_simulator: MakeSimulator, cookie: bytes) -> None:
    """Whatever a browser sends for a cookie, it is a visitor who has not signed in, and has a new cookie."""
    simulator = await make_simulator(admin_token=TOKEN)
    port = simulator.url.rpartition(":")[2].encode()
    given = cookie.replace(b"NAME", b"mesh-sim-" + port)
    host = b"Host: 127.0.0.1:" + port
    request = b"\r\n".join(
        [b"GET /sign-in HTTP/1.1", host, b"Cookie: " + given, b"Connection: close", b"", b""]
    )
    status, lines, _ = await speak(simulator.url, request)
    assert status == 200
    assert any(line.startswith(b"Set-Cookie: mesh-sim-" + port + b"=out.") for line in lines)


async def test_behind_tls_the_cookie_stays_there(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """With mutual TLS whoever has a certificate still needs the token; the cookie is not sent in clear."""
    certs = tmp_path / "certs"
    simulator = await make_simulator(admin_token=TOKEN, tls="mutual", make_certs=True, certs=certs)
    files = CertificateFolder(certs)
    client = ssl.create_default_context(cafile=str(files.ca))
    client.load_cert_chain(*files.client("X26ABC1"))
    url = f"https://localhost:{urlsplit(simulator.url).port}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/", ssl=client) as answer,
    ):
        assert answer.url.path == "/sign-in"
        assert "Secure" in answer.history[0].headers["Set-Cookie"].split("; ")


async def test_a_page_that_has_gone_gives_its_place_back(
    make_simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many pages are told of changes and no more; that one was closed the server finds out by itself."""
    monkeypatch.setattr(live, "_PING_S", 0.02)
    monkeypatch.setattr(routes, "MOST_WATCHERS", 1)
    simulator = await make_simulator()
    watched = f"{simulator.url}/live?kinds=reset"
    async with aiohttp.ClientSession() as session:
        async with session.get(watched) as first:
            assert first.status == 200
            async with session.get(watched) as second:
                assert second.status == 503
            first.close()
        async with asyncio.timeout(10):
            while True:
                async with session.get(watched) as third:
                    if third.status == 200:
                        break


async def test_stopping_waits_for_no_page(simulator: Simulator) -> None:
    """A page that is open is let go of when the simulator stops, its news at an end."""
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.url}/live?kinds=reset") as news:
        async with asyncio.timeout(10):
            await simulator.stop()
            assert b"event" not in await news.read()


def test_open_pages_show_nothing_of_the_simulator() -> None:
    """Of those who are not signed in nothing is asked and nothing told but how to sign in."""
    assert {path for _, path, _ in OPEN_PAGES} == {"/sign-in", "/assets/{name}"}
