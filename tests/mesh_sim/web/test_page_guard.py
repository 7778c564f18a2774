"""Who may see the pages, which forms are carried out, and what a browser is told about them."""

from __future__ import annotations

import re

import pytest
from controls import control
from pages import visiting
from support import Callers, MakeSimulator, Simulator

from mesh_sim.web.routes import OPEN_PAGES, PAGES

TOKEN = "an admin token"

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
    "onward", ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil", "/\t/evil.example"]
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
        assert page.headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_is_a_page_for_people_only(shared: Callers) -> None:
    """A browser gets a friendly page with a way back; programs, and paths of the APIs, get what they got."""
    async with visiting(shared.url) as visitor:
        page = await visitor.get("/no/such/page")
        assert page.status == 404
        assert page.links()["Go to the overview"] == "/"
    for path, accept in (
        ("/no/such/page", "*/*"),
        ("/admin/no", "text/html"),
        ("/messageexchange/X/a/b/c", "text/html"),
    ):
        answer = await control(shared.url, "GET", path, headers={"Accept": accept})
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
        ("application/x-www-form-urlencoded", b"csrf=" + b"x" * 2_000_000, 413),
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


def test_open_pages_show_nothing_of_the_simulator() -> None:
    """Of those who are not signed in nothing is asked and nothing told but how to sign in."""
    assert {path for _, path, _ in OPEN_PAGES} == {"/sign-in", "/assets/{name}"}
