"""The witness pages in a real browser: a client works, and its outcomes appear by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, Page, expect
from support import HANDSHAKE, OCTET_STREAM, authorization

from browser.inspection import accessible, fits
from mesh_sim import Simulator
from mesh_sim.witness.rehearsal import COUNTERPART, WORKFLOW

BOX: Final = "X26ABC1"
HERE: Final = f"/witness/{BOX}"

Picture = Callable[[Page, str], Path]


class Client:
    """A supplier's client, as far as cases 201 and 401 need one; ``careless``: it downloads twice."""

    def __init__(self, url: str, *, careless: bool = False) -> None:
        self._url = f"{url}/messageexchange/{BOX}"
        self._careless = careless

    def send(self, file: bytes) -> None:
        """Shake hands, send a file to the counterpart, and check the inbox."""
        self._ask("POST", headers=HANDSHAKE)
        headers = {"Mex-From": BOX, "Mex-To": COUNTERPART, "Mex-WorkflowID": WORKFLOW}
        self._ask("POST", "/outbox", file, headers | {"Content-Type": OCTET_STREAM})
        self._ask("GET", "/inbox")

    def collect(self) -> None:
        """Shake hands, and download and acknowledge what waits."""
        self._ask("POST", headers=HANDSHAKE)
        for message_id in json.loads(self._ask("GET", "/inbox"))["messages"]:
            for _ in range(2 if self._careless else 1):
                self._ask("GET", f"/inbox/{message_id}")
            self._ask("PUT", f"/inbox/{message_id}/status/acknowledged")

    def _ask(
        self, method: str, path: str = "", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        given: Any = {"Authorization": authorization(BOX), **(headers or {})}
        request = Request(self._url + path, body, given, method=method)
        with urlopen(request) as answer:
            return bytes(answer.read())


def outcome(page: Page, case: str) -> Locator:
    """Give what the page says of a case."""
    row = page.locator("#cases tbody tr").filter(has=page.get_by_role("rowheader", name=case, exact=True))
    return row.locator("td[data-label=Outcome] .pill")


def test_outcomes_appear_as_the_client_works(page: Page, mesh_sim: Simulator, picture: Picture) -> None:
    """From the form through two cases: the file is downloaded and sent, and nobody reloads the page."""
    page.goto("/witness")
    page.get_by_label("Mailbox of your client").select_option(BOX)
    page.get_by_role("button", name="Set up the case").click()
    now = page.locator("#now")
    expect(now).to_contain_text("waiting for your client")
    expect(outcome(page, "201")).to_have_text("under way")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="witness-201.dat").click()
    file = Path(downloading.value.path()).read_bytes()
    client = Client(mesh_sim.url)
    client.send(file)
    expect(outcome(page, "201")).to_have_text("passed")
    expect(now).to_contain_text("No case is under way")
    page.locator("#start-401").click()
    expect(now).to_contain_text("A message waits in the inbox")
    client.collect()
    expect(outcome(page, "401")).to_have_text("passed")
    expect(page.locator("#outcome")).to_contain_text("not seen: 601, 701")
    picture(page, "witness")
    accessible(page)
    fits(page)


def test_a_failure_appears_with_what_shows_it(page: Page, mesh_sim: Simulator, picture: Picture) -> None:
    """Beside an open page a client downloads twice: what is wrong, and what to fix, is there by itself."""
    page.goto(HERE)
    page.locator("#start-401").click()
    expect(page.locator("#now")).to_contain_text("waiting for your client")
    Client(mesh_sim.url, careless=True).collect()
    expect(outcome(page, "401")).to_have_text("failed")
    page.locator("#why-401").click()
    failure = page.locator("#case-401")
    expect(failure).to_be_in_viewport()
    expect(failure).to_contain_text("It was downloaded 2 times before it was acknowledged")
    expect(failure.locator("tr.bad td[data-label=Operation]")).to_have_text("download")
    picture(page, "witness-failed")
    accessible(page)
    page.get_by_role("link", name="read it").click()
    expect(page.get_by_role("heading", name="Mailbox X26ABC1")).to_be_visible()


def test_a_case_that_cannot_be_started_on_a_phone(
    phone: Page, mesh_sim: Simulator, expected_errors: list[str], picture: Picture
) -> None:
    """What is in the way stands beside the field, and everything fits."""
    expected_errors += ["status 400: POST /witness", "400 (Bad Request)"]
    mesh_sim.rehearse("X26ABC2", "703")
    phone.goto("/witness")
    phone.get_by_label("Case to start with").select_option("401")
    phone.get_by_role("button", name="Set up the case").click()
    problem = phone.locator("#case-problem")
    expect(problem).to_contain_text("Case 703 is under way for mailbox X26ABC2")
    expect(phone.get_by_label("Case to start with")).to_have_value("401")
    accessible(phone)
    fits(phone)
    phone.goto("/witness/X26ABC2")
    expect(phone.locator("#now")).to_contain_text("Step 1 of 2")
    fits(phone)
    picture(phone, "witness-phone")


def test_without_scripts(without_script: Page, mesh_sim: Simulator) -> None:
    """Cases are started and stopped, and their outcomes are there when the page is loaded again."""
    page = without_script
    page.goto(HERE)
    page.get_by_role("button", name="Start 201").click()
    expect(page.locator("#now-title")).to_have_text("Now: 201 Send a message uncompressed")
    Client(mesh_sim.url).send(b"another file")
    while page.locator("#now-title").inner_text() != "No case is under way":
        page.goto(HERE)
    page.locator("#start-401").click()
    page.get_by_role("button", name="Stop the case").click()
    expect(page.get_by_role("status").filter(has_text="The case has ended")).to_be_visible()
    while outcome(page, "201").inner_text() == "being judged":
        page.goto(HERE)
    expect(outcome(page, "201")).to_have_text("failed")


def test_the_page_in_the_dark(dark: Page, mesh_sim: Simulator) -> None:
    """A rehearsal with something failed can be read there as well."""
    mesh_sim.rehearse(BOX, "401")
    Client(mesh_sim.url, careless=True).collect()
    dark.goto(HERE)
    expect(outcome(dark, "401")).to_have_text("failed")
    accessible(dark)
    dark.goto("/witness")
    expect(dark.get_by_text("2 failed")).to_be_visible()
    accessible(dark)
