"""A day of a server that says all it can: none of what it was told in confidence is said again.

One process, with every secret set, a mailbox of each kind of origin, and requests that succeed, are refused
and fail. All that it wrote and answered is kept, to be searched.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from controls import control
from pages import Page, visiting
from processes import running_command
from support import Answer, Callers, authorization, speak
from typer.testing import CliRunner

from mesh_sim.api.routes import CONTROL
from mesh_sim.cli import app
from mesh_sim.web.routes import PAGES
from ndoo.lists import generate

SECRETS: Final = {
    "shared key": "hush-shared-key",
    "admin token": "hush-admin-token",
    "password of a scenario's mailbox": "hush-scenario-word",
    "password of a mailbox created": "hush-created-word",
    "password changed to": "hush-changed-word",
    "password that is too long": "hush-long-word" * 20,
    "password that was wrong": "hush-wrong-word",
    "admin token that was wrong": "hush-wrong-bearer",
    "another kind of authorization": "hush-basic-word",
    "payload": "hush-payload-text",
}
NUMBERS: Final = [f"{number:010d}" for number in next(generate(5, seed=11)).tolist()]
LIST: Final = "".join(f"{number},\n" for number in NUMBERS)
TO_SERVICE: Final = {"Mex-LocalID": "hush-free-1", "Mex-Subject": "NDOO_CHECK"}

COMMANDS: Final = (
    ("mailbox", "list"),
    ("message", "list"),
    ("optouts", "statistics"),
    ("clock", "show"),
    ("faults", "list"),
    ("journal", "--limit", "200"),
)


@dataclass
class Day:
    """What a server wrote and answered, by where it stands; and the folder that it kept its data in."""

    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def token(self, password: str = SECRETS["password of a scenario's mailbox"]) -> str:
        """Sign a request, and keep the token to search for it."""
        self.tokens.append(authorization("X26HUSH", password=password, shared_key=SECRETS["shared key"]))
        return self.tokens[-1]

    def heard(self, what: str, answer: Answer) -> None:
        """Keep an answer's headers and body."""
        lines = (f"{name}: {value}" for name, value in answer.headers.items())
        self.said[f"{len(self.said)} {what}"] = "\n".join((*lines, answer.body.decode("latin-1")))

    def where(self, secret: str) -> list[str]:
        """Name the places where a text stands."""
        return [place for place, text in self.said.items() if secret in text]


async def use_mesh(day: Day, url: str, stack: AsyncExitStack) -> None:
    """Send, receive and be refused."""
    caller = Callers(url, stack).caller("X26HUSH")
    payload = SECRETS["payload"].encode()

    async def ask(what: str, method: str = "GET", path: str = "inbox", **options: Any) -> Answer:
        options.setdefault("authorization", day.token())
        answer = await caller.request(method, path, **options)
        if not what.startswith("body"):  # these are to hold what was sent
            day.heard(what, answer)
        return answer

    to_self = {"Mex-To": "X26HUSH", "Mex-WorkflowID": "HUSH_WORKFLOW"}
    to_service = {"Mex-To": "X26HC065", "Mex-WorkflowID": "SPINE_NTT_UPHOLDING", **TO_SERVICE}
    for body, headers in (
        (payload, to_self),
        (payload * 20_000, to_self),
        (payload, {**to_self, "Mex-To": "X26NONE"}),
        (payload, {**to_self, "Accept": "application/vnd.mesh.v9+json"}),
        (LIST.encode(), to_service),
        (LIST.replace(NUMBERS[0], NUMBERS[0][:9] + "X").encode(), to_service),
    ):
        sent = await ask("send", "POST", "outbox", body=body, headers=headers)
        day.messages += [sent.json()["messageID"]] if sent.status == 202 else []
    for waiting in (await ask("list")).json()["messages"]:
        await ask("body", path=f"inbox/{waiting}")
    for text in (
        day.tokens[0],
        day.token(SECRETS["password that was wrong"]),
        f"Basic {SECRETS['another kind of authorization']}",
        day.token().replace("NHSMESH ", "nhsmesh"),
        f"{day.token()}:more",
    ):
        await ask("refused", authorization=text)
    await ask("nowhere", path=f"{NUMBERS[0]}/{NUMBERS[1]}")
    await ask("tracking", path=f"outbox/tracking/{NUMBERS[2]}")
    bad = f"GET /messageexchange/X26HUSH/inbox HTTP/1.1\r\nAuthorization: {day.token()}\x01\r\n\r\n"
    day.said["not HTTP"] = str(await speak(url, bad.encode()))


async def use_control(day: Day, url: str) -> None:
    """Create and change mailboxes, be refused, then read whatever there is to read."""
    bearer = {"Authorization": f"Bearer {SECRETS['admin token']}"}

    async def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        day.heard(f"{method} {path}", await control(url, method, path, body, headers=headers or bearer))

    await ask(
        "GET", "/admin/clock", headers={"Authorization": f"Bearer {SECRETS['admin token that was wrong']}"}
    )
    created = SECRETS["password of a mailbox created"]
    await ask("POST", "/admin/mailboxes", {"mailbox_id": "X26NEW", "password": created})
    await ask("POST", "/admin/mailboxes", {"mailbox_id": "X26NEW", "password": created})
    await ask("POST", "/admin/mailboxes", {"mailbox_id": "X26LONG", "password": [created]})
    await ask(
        "POST",
        "/admin/mailboxes",
        {"mailbox_id": "X26LONG", "password": SECRETS["password that is too long"]},
    )
    await ask("POST", "/admin/mailboxes", f'{{"password": "{created}'.encode())
    await ask(
        "PATCH", "/admin/mailboxes", {"mailbox_id": "X26NEW", "password": SECRETS["password changed to"]}
    )
    message = {"to": "X26NEW", "from": "X26HUSH", "workflow_id": "HUSH_WORKFLOW", "body": SECRETS["payload"]}
    await ask("POST", "/admin/messages", message)
    await ask("POST", "/admin/messages", message | {"to": "X26NONE"})
    await ask("POST", "/admin/optouts/load", LIST.replace(",", "x").encode())
    for method, path, _ in CONTROL:
        if method == "GET" and "{" not in path and path not in ("/admin/events", "/admin/wait"):
            await ask(method, path)
    await ask("GET", "/messageexchange/admin/X26NEW")


async def use_pages(day: Day, url: str) -> None:
    """Be turned away, sign in, look at every page there is, and send forms that are refused."""
    ids = {"mailbox_id": ["X26HUSH", "X26NEW", "X26HC065"], "message_id": day.messages}

    def look(what: str, page: Page) -> None:
        lines = (f"{name}: {value}" for name, value in page.headers.items())
        text = page.body.decode()
        if "/messages/" in what:  # a body's first lines are there to be seen, but for numbers
            text = text.replace(SECRETS["payload"], "")
        day.said[f"{len(day.said)} page {what}"] = "\n".join((str(page.url), *lines, text))

    async with visiting(url) as visitor:
        form = (await visitor.get("/journal")).fields("/sign-in")
        for token in ("admin token that was wrong", "admin token"):
            look("sign-in", await visitor.post("/sign-in", form | {"token": SECRETS[token]}))
        for method, path, _ in PAGES:
            if method != "GET" or path.endswith(("/live", "/file", "/report", "/body")):
                continue
            name = re.search(r"{(\w+)}", path)
            for given in [""] if name is None else ids[name[1]]:
                look(path, await visitor.get(re.sub(r"{\w+}", given, path)))
        look("outbox", await visitor.get("/mailboxes/X26HUSH?side=outbox"))
        look("search", await visitor.get(f"/search?q={NUMBERS[3]}"))
        csrf = (await visitor.get("/opt-outs")).fields("/opt-outs")["csrf"]
        for path in ("/opt-outs/rule", "/clock/advance", "/faults/add", "/faults/remove", "/witness"):
            look(path, await visitor.post(path, {"csrf": csrf, "nhs_number": NUMBERS[4]}))


def use_commands(day: Day, url: str) -> None:
    """Run the commands that show things."""
    variables = {"MESH_SIM_PORT": url.rpartition(":")[2], "MESH_SIM_ADMIN_TOKEN": SECRETS["admin token"]}
    for words in COMMANDS:
        ran = CliRunner().invoke(app, [*words, "--json"], env=variables)
        assert ran.exit_code == 0, ran.output
        day.said[f"mesh-sim {' '.join(words)}"] = ran.output
    wrong = CliRunner().invoke(app, ["clock"], env={**variables, "MESH_SIM_ADMIN_TOKEN": "hush"})
    day.said["a token too short"] = wrong.output
    assert wrong.exit_code == 2


async def spend(day: Day) -> None:
    """Run the server for a day."""
    scenario = day.folder / "scenario.toml"
    password = SECRETS["password of a scenario's mailbox"]
    scenario.write_text(f'[[mailboxes]]\nmailbox_id = "X26HUSH"\npassword = "{password}"\n')
    variables = {
        "MESH_SIM_SHARED_KEY": SECRETS["shared key"],
        "MESH_SIM_ADMIN_TOKEN": SECRETS["admin token"],
        "MESH_SIM_PORT": "0",
    }
    words = ("serve", "--scenario", scenario.name, "--log-level", "debug", "--data", "data")
    async with running_command("mesh_sim", words, day.folder, variables) as process, asyncio.timeout(60):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found, line
        ending = asyncio.ensure_future(process.communicate())  # or a full pipe would stop the server
        try:
            async with AsyncExitStack() as stack:
                await use_mesh(day, found[0], stack)
            await use_control(day, found[0])
            await use_pages(day, found[0])
            await asyncio.to_thread(use_commands, day, found[0])
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = await ending
        day.said["standard output"] = line + out.decode()
        day.said["the log"] = err.decode()
    for file in (day.folder / "data").glob("journal.db*"):
        day.said[file.name] = file.read_bytes().decode("latin-1")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A day that is over."""
    day = Day(tmp_path_factory.mktemp("day"))
    asyncio.run(spend(day))
    return day


def test_the_day_was_busy(day: Day) -> None:
    """There is much to search: requests of every outcome, a log, and the journal of them all."""
    statuses = {entry["status"] for entry in json.loads(day.said["mesh-sim journal --limit 200"])["entries"]}
    assert {200, 202, 400, 403, 404, 417} <= statuses
    assert "the hash does not match" in day.said["the log"]
    assert "the hash does not match" in day.said["journal.db"]
    assert len(day.tokens) > 15
    assert len(day.messages) == 4
    assert len(day.said) > 70
    for path, shown in (("/", "Last requests"), ("/messages/{message_id}", "999 *** **")):
        assert any(place.endswith(f" page {path}") and shown in text for place, text in day.said.items())


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_is_said_again(day: Day, what: str) -> None:
    """Log, output, journal, answers, pages, metrics and commands hold no password, key or admin token.

    Nor do they hold a payload, but for the first lines of a message's body on its own page.
    """
    assert day.where(SECRETS[what]) == []


def test_no_authorization_is_said_again(day: Day) -> None:
    """Nothing anywhere holds a token, its nonce or its hash, of a request that was let in or refused."""
    for token in day.tokens:
        _, nonce, _, _, digest = token.split(":")[:5]
        assert [day.where(part) for part in ("NHSMESH X26HUSH", nonce, digest)] == [[], [], []]


def test_no_number_is_said_again(day: Day) -> None:
    """No NHS number of a list is in log, journal, answers or pages; nor is one that stood in a path."""
    assert [day.where(number) for number in NUMBERS] == [[]] * len(NUMBERS)


def test_the_data_folder_holds_what_it_must(day: Day) -> None:
    """Bodies, and passwords of mailboxes that were created, are in the data folder in clear."""
    files = [path for path in (day.folder / "data").rglob("*") if path.is_file()]
    held = {
        what: {
            path.name if path.suffix == ".db" else "a body"
            for path in files
            if SECRETS[what].encode() in path.read_bytes()
        }
        for what in SECRETS
    }
    held.pop("password of a mailbox created")  # replaced, but perhaps not overwritten
    assert {what: places for what, places in held.items() if places} == {
        "payload": {"mesh-sim.db", "a body"},
        "password changed to": {"mesh-sim.db"},
    }
