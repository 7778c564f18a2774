"""The simulator in plain Python: with Simulator() as sim."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mesh_client import MeshClient, MeshError
from requests import ConnectionError as BrokenConnection
from requests import HTTPError
from support import UNKNOWN_ID, Callers, authorization
from yarl import URL

import ndoo
from mesh_sim import Simulator
from mesh_sim.config import SettingsError
from mesh_sim.embedded.simulator import NothingCame

ALICE, BOB, CAROL = "999 000 0018", "9990000026", "9990000034"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator of the test's own."""
    with Simulator() as simulator:
        yield simulator


def client(sim: Simulator, mailbox: str = "X26ABC1") -> MeshClient:
    """NHS's own client, which is synchronous; it does not try again."""
    mailbox, password, shared_key = sim.credentials(mailbox)
    return MeshClient(sim.url, mailbox, password, shared_key=shared_key.encode(), max_retries=0)


def send(sim: Simulator, body: bytes = b"hello", **options: Any) -> str:
    """Send from X26ABC1 to X26ABC2."""
    with client(sim) as sender:
        return str(sender.send_message("X26ABC2", body, workflow_id="TEST_WORKFLOW", **options))


def raw(sim: Simulator, text: str) -> socket.socket:
    """Send text on a connection of one's own, and leave it open."""
    address = URL(sim.url)
    connection = socket.create_connection((address.host, address.port), timeout=10)
    connection.sendall(text.replace("\n", "\r\n").encode())
    return connection


def open_files() -> int:
    """Count this process's file descriptors, sockets included."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# -- its life -----------------------------------------------------------------------------------------


def test_each_simulator_is_on_a_port_of_its_own_and_shares_nothing() -> None:
    """Two simulators side by side answer at different addresses, and neither sees the other's messages."""
    with Simulator() as one, Simulator() as other:
        assert one.url != other.url
        assert URL(one.url).host == "127.0.0.1"
        one.put("X26ABC1")
        assert (len(one.messages()), len(other.messages())) == (1, 0)


def test_nothing_is_left_when_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads, sockets, files and temporary folder are gone, and so is what a client was connected to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Simulator():  # what is made once in a process has been made after this
        pass
    threads, files = set(threading.enumerate()), open_files()
    with Simulator(tls="on") as sim:
        assert list(tmp_path.iterdir())
        sim.put("X26ABC1", count=3)
        assert len(sim.journal) == 0
        address = URL(sim.url)
    assert set(threading.enumerate()) == threads
    assert open_files() == files
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port))


def test_a_start_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken port is a SettingsError; the simulator is then not running, and can be started."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sim = Simulator(port=taken.getsockname()[1])
        threads = set(threading.enumerate())
        with pytest.raises(SettingsError, match="cannot listen on 127\\.0\\.0\\.1 port"):
            sim.start()
        assert set(threading.enumerate()) == threads
        assert not list(tmp_path.iterdir())
    with sim:
        assert sim.running


@pytest.mark.parametrize(
    "unfinished",
    [
        pytest.param("GET /admin/wait?local_id=never HTTP/1.1\nHost: x\n\n", id="waiting"),
        pytest.param("GET /admin/events HTTP/1.1\nHost: x\n\n", id="watching"),
        pytest.param(
            "POST /messageexchange/X26ABC1/outbox HTTP/1.1\nHost: x\nMex-To: X26ABC2\n"
            "Mex-WorkflowID: TEST_WORKFLOW\nContent-Length: 100\nAuthorization: {token}\n\nhalf",
            id="sending",
        ),
        pytest.param("GET /messageexchange/X26ABC2/inbox HTTP/1.1\nHost: x\n\n", id="delayed"),
    ],
)
def test_stopping_does_not_wait_for_clients(unfinished: str) -> None:
    """Whoever is still waiting, watching, sending or held up when it stops does not hold it up."""
    with Simulator() as sim:
        sim.fail("list", delay="5m")
        connection = raw(sim, unfinished.format(token=authorization("X26ABC1")))
        time.sleep(0.05)  # until the request is being handled; stopping earlier would be no harder
        began = time.monotonic()
    assert time.monotonic() - began < 2
    connection.close()


def test_it_can_be_started_and_stopped_by_hand() -> None:
    """Start and stop do what the with block does; a second stop does nothing, a second start is refused."""
    sim = Simulator()
    assert repr(sim) == "<Simulator, not running>"
    assert sim.start() is sim
    assert repr(sim) == f"<Simulator at {sim.url}>"
    with pytest.raises(RuntimeError, match="running already"):
        sim.start()
    sim.stop()
    sim.stop()
    with sim:
        assert sim.messages() == []
    for use in (lambda: sim.url, sim.messages, lambda: sim.credentials("X26ABC1")):
        with pytest.raises(RuntimeError, match="not running"):
            use()


def test_a_fresh_one_takes_less_than_a_tenth_of_a_second() -> None:
    """The best of ten starts and stops with less than 100 ms of work, and without waiting for anything."""
    work, taken = [], []
    for _ in range(10):
        # What else the machine does lengthens the time it takes, not the work that is in it.
        work_before, before = time.process_time(), time.perf_counter()
        with Simulator():
            pass
        work.append(time.process_time() - work_before)
        taken.append(time.perf_counter() - before)
    assert min(work) < 0.1
    assert min(taken) < 1


def test_without_uvloop_it_runs_in_asyncio_s_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uvloop cannot be installed everything works all the same."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with Simulator() as sim:
        send(sim)
        assert len(sim.messages("X26ABC2")) == 1
        assert isinstance(sim._host._loop, asyncio.SelectorEventLoop)


def test_data_that_is_given_a_place_stays(tmp_path: Path) -> None:
    """With data=, another simulator goes on with what the first one had."""
    with Simulator(data=tmp_path / "kept") as first:
        (message_id,) = first.put("X26ABC1", "kept")
    with Simulator(data=tmp_path / "kept") as second:
        assert second.body(message_id) == b"kept"


def test_importing_the_package_imports_nothing_else() -> None:
    """mesh_sim alone is imported in no time; its one name brings the rest, and there is no other name."""
    script = """
import sys, mesh_sim
heavy = {"aiohttp", "numpy", "pydantic", "mesh_sim.embedded.simulator"}
assert not heavy & set(sys.modules), sys.modules.keys()
try:
    mesh_sim.Simulacrum
except AttributeError as error:
    assert "Simulacrum" in str(error)
assert not {"aiohttp", "mesh_sim.embedded.simulator"} & set(sys.modules)
from mesh_sim import Simulator
assert Simulator is mesh_sim.embedded.simulator.Simulator
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


# -- settings -----------------------------------------------------------------------------------------


def test_settings_of_the_person_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables, ours or the sandbox's, nor mesh-sim.toml in the current folder change anything."""
    for name, value in {
        "MESH_SIM_SHARED_KEY": "theirs",
        "MESH_SIM_PORT": "1",
        "MESH_SIM_TLS": "mutual",
        "MESH_SIM_NO_SUCH_SETTING": "1",
        "SHARED_KEY": "theirs",
        "STORE_MODE": "canned",
        "ENV": "theirs",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Path("mesh-sim.toml").write_text('opt_out_rate = 1\nndoo_mailbox = "X26ABC1"\n')
    with Simulator() as sim:
        assert sim.url.startswith("http://")
        assert sim.credentials("X26ABC1").shared_key == "TestKey"
        assert sim.environment()["NDOO_SERVICE_MAILBOX"] == "X26HC065"
        assert sim.messages() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"opt_out_rate": 2}, "opt_out_rate: must be at most 1"),
        ({"opt_out_rat": 0}, "opt_out_rat: there is no such field; did you mean opt_out_rate?"),
        ({"tls": "maybe"}, "tls: must be 'off', 'on' or 'mutual'"),
        ({"ndoo_reply_delay": "soon"}, "ndoo_reply_delay: 'soon' is not a duration"),
        ({"shared_key": "", "admin_token": "pw-7!"}, "shared_key: must have at least 1"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, Any], said: str) -> None:
    """A setting that does not exist or has a value not allowed says so; a secret is not shown."""
    with pytest.raises(SettingsError) as refused:
        Simulator(**settings)
    assert said in str(refused.value)
    assert "pw-7!" not in str(refused.value)
    assert refused.value.__suppress_context__


# -- clients ------------------------------------------------------------------------------------------


def test_a_synchronous_client(sim: Simulator) -> None:
    """NHS's client sends and collects; what was sent can be looked at as it goes, with every field."""
    message_id = send(sim, b"hello", local_id="a-1", subject="greeting", filename="hello.txt")
    (message,) = sim.messages("x26abc2")
    assert dataclasses.asdict(message) == {
        "message_id": message_id,
        "status": "accepted",
        "sender": "X26ABC1",
        "recipient": "X26ABC2",
        "workflow_id": "TEST_WORKFLOW",
        "local_id": "a-1",
        "subject": "greeting",
        "file_name": "hello.txt",
        "message_type": "DATA",
        "file_size": 5,
    }
    assert sim.body(message) == sim.body(message_id) == b"hello"
    with client(sim, "X26ABC2") as recipient:
        (received,) = recipient.iterate_all_messages()
        assert received.read() == b"hello"
        received.acknowledge()
    assert [seen.status for seen in sim.messages()] == ["acknowledged"]
    assert [(entry.operation, entry.status) for entry in sim.journal] == [
        ("send", 202), ("list", 200), ("download", 200), ("acknowledge", 200),
    ]  # fmt: skip
    assert sim.refusals() == ""


async def test_an_asynchronous_client(sim: Simulator) -> None:
    """In a running event loop the same calls work, wait_for from a thread."""
    credentials = ndoo.Credentials(*sim.credentials("X26ABC1"))
    async with ndoo.Mailbox(sim.url, credentials) as mailbox:
        waiting = asyncio.create_task(asyncio.to_thread(sim.wait_for, "X26ABC2", local_id="a-1"))
        message_id = await mailbox.send("X26ABC2", "TEST_WORKFLOW", b"hello", local_id="a-1")
        assert (await waiting).message_id == message_id
        assert sim.body(message_id) == b"hello"


def test_a_client_in_a_process_of_its_own(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the simulator's environment a command finds its mailbox, whatever the person has set."""
    for name, value in {"NDOO_PROFILE": "live", "NDOO_CERT": "/nowhere", "NDOO_URL": "http://x"}.items():
        monkeypatch.setenv(name, value)
    (message_id,) = sim.put("X99GP001")
    done = subprocess.run(
        [sys.executable, "-m", "ndoo", "mailbox", "list"],
        env=os.environ | sim.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{message_id}\n", "")


def test_the_commands_of_the_simulator_find_it(sim: Simulator) -> None:
    """mesh-sim, with the same environment, controls this simulator."""
    done = subprocess.run(
        [sys.executable, "-m", "mesh_sim", "ready"],
        env=os.environ | sim.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ready at {sim.url}\n", "")


async def test_mutual_tls(tmp_path: Path) -> None:
    """Certificates are there for every mailbox, one created later too, and without one nobody gets in."""
    with Simulator(tls="mutual") as sim:
        assert sim.url.startswith("https://")
        sim.mailbox("X26NEW1", ods_code="X26")
        for mailbox in ("x26abc1", "X26NEW1"):
            certificate, key = sim.certificate(mailbox)
            context = ndoo.tls_context(sim.ca, certificate, key)
            credentials = ndoo.Credentials(*sim.credentials(mailbox))
            async with ndoo.Mailbox(sim.url, credentials, ssl=context) as caller:
                await caller.handshake()
        async with ndoo.Mailbox(sim.url, credentials, ssl=ndoo.tls_context(sim.ca), retries=0) as caller:
            with pytest.raises(ndoo.NdooError):
                await caller.handshake()
        environment = os.environ | sim.environment("X26ABC1")
        for command in (["ndoo", "mailbox", "handshake"], ["mesh_sim", "ready"]):
            done = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-m", *command], env=environment, capture_output=True
            )
            assert (done.returncode, done.stderr) == (0, b"")


def test_certificates_of_one_s_own(tmp_path: Path) -> None:
    """With certs= that folder is used, and nothing is made in it."""
    with Simulator(tls="on") as first:
        first.certificate("X26ABC1")
        folder = first.ca.rename(tmp_path / "ca.crt").parent
        for name in ("server.crt", "server.key", "X26ABC1.crt", "X26ABC1.key"):
            (first._folder / "certs" / name).rename(folder / name)
    before = sorted(tmp_path.iterdir())
    with Simulator(tls="on", certs=tmp_path) as sim:
        assert sim.ca == tmp_path / "ca.crt"
        assert sim.certificate("X26ABC1") == (tmp_path / "X26ABC1.crt", tmp_path / "X26ABC1.key")
    assert sorted(tmp_path.iterdir()) == before


def test_without_tls_there_are_no_certificates(sim: Simulator) -> None:
    """Asking for certificates that are of no use is refused with what to do."""
    with pytest.raises(RuntimeError, match=r"Simulator\(tls='mutual'\)"):
        sim.certificate("X26ABC1")


def test_credentials_keep_their_secrets() -> None:
    """They unpack, and their repr shows neither password nor shared key."""
    with Simulator(shared_key="s3cret-key") as sim:
        credentials = sim.mailbox("X26ABC1", password="s3cret-word")
        assert list(credentials) == ["X26ABC1", "s3cret-word", "s3cret-key"]
        assert repr(credentials) == "Credentials(mailbox='X26ABC1')"
        with pytest.raises(dataclasses.FrozenInstanceError):
            credentials.password = "other"


# -- messages -----------------------------------------------------------------------------------------


async def test_a_body_in_chunks_is_given_whole_and_plain(sim: Simulator) -> None:
    """Chunks, each compressed on its own as clients do, large ones too, are one body; not before all came."""
    halves = [os.urandom(100_000), b"the end"]
    async with AsyncExitStack() as stack:
        sender = Callers(sim.url, stack).caller()
        encoded = {"Content-Encoding": "gzip"}
        message_id = await sender.sent(
            gzip.compress(halves[0]), headers={"Mex-Chunk-Range": "1:2", **encoded}
        )
        with pytest.raises(LookupError, match="still uploading"):
            sim.body(message_id)
        await sender.send_chunk(message_id, 2, "2:2", gzip.compress(halves[1]), headers=encoded)
    assert sim.body(message_id) == b"".join(halves)


def test_messages_by_what_they_are(sim: Simulator) -> None:
    """Each filter selects; what is asked for wrongly is refused, naming what there is."""
    sim.put("X26ABC2", local_id="a", subject="s", workflow_id="W")
    sim.put("X26ABC2", local_id="b", sender="X26ABC3")
    sim.put("X26ABC3", local_id="c")
    assert [seen.local_id for seen in sim.messages()] == ["a", "b", "c"]
    for filters, found in [
        ({"mailbox": "X26ABC2"}, "ab"), ({"sender": "x26abc3"}, "b"), ({"workflow_id": "W"}, "a"),
        ({"subject": "s"}, "a"), ({"local_id": "c"}, "c"), ({"status": "accepted"}, "abc"),
        ({"message_type": "REPORT"}, ""),
    ]:  # fmt: skip
        assert "".join(seen.local_id for seen in sim.messages(**filters)) == found
    with pytest.raises(ValueError, match="status: must be 'uploading', 'accepted'"):
        sim.messages(status="sent")
    with pytest.raises(ValueError, match=r"there is no such field; did you mean local_id\?"):
        sim.messages(localid="a")


def test_an_inbox_filled_with_600(sim: Simulator) -> None:
    """Messages put there are in order, numbered, and as they were said to be."""
    ids = sim.put("X26ABC2", b"\x00body", count=600, local_id="n", file_name="f.dat", sender="X26ABC3")
    messages = sim.messages("X26ABC2")
    assert [seen.message_id for seen in messages] == ids
    assert (messages[0].local_id, messages[599].local_id) == ("n-1", "n-600")
    assert (messages[9].sender, messages[9].file_name, sim.body(ids[9])) == ("X26ABC3", "f.dat", b"\x00body")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "count: must be at least 1"),
        ({"body": ""}, "a body has 1 to 65536 bytes"),
        ({"body": "x" * 65_537}, "at most 65536 bytes; send it through a client"),
        ({"workflow": "W"}, "did you mean workflow_id?"),
    ],
)
def test_messages_that_cannot_be_put(sim: Simulator, options: dict[str, Any], said: str) -> None:
    """What is wrong is named, and nothing is put anywhere."""
    with pytest.raises(ValueError, match=re.escape(said)):
        sim.put("X26ABC2", **options)
    assert sim.messages() == []


USES: list[Callable[[Simulator], object]] = [
    lambda sim: sim.messages("X26ABC9"),
    lambda sim: sim.put("X26ABC9"),
    lambda sim: sim.put("X26ABC1", sender="X26ABC9"),
    lambda sim: sim.wait_for(sender="X26ABC9"),
    lambda sim: sim.credentials("X26ABC9"),
    lambda sim: sim.environment("X26ABC9"),
    lambda sim: sim.disable("X26ABC9"),
    lambda sim: sim.enable("X26ABC9"),
    lambda sim: sim.fail("send", mailbox="X26ABC9", status=500),
]


@pytest.mark.parametrize("use", USES)
def test_a_mailbox_that_does_not_exist(sim: Simulator, use: Callable[[Simulator], object]) -> None:
    """A mistyped mailbox is refused at once, naming those there are."""
    with pytest.raises(LookupError, match="there is no mailbox 'X26ABC9'; known are X26ABC1, X26ABC2"):
        use(sim)


def test_a_body_that_does_not_exist(sim: Simulator) -> None:
    """The body of no message is a LookupError."""
    with pytest.raises(LookupError, match=f"there is no message {UNKNOWN_ID}"):
        sim.body(UNKNOWN_ID)


# -- waiting ------------------------------------------------------------------------------------------


def test_waiting_for_what_another_thread_sends(sim: Simulator) -> None:
    """wait_for gives the message that comes while it waits."""
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(sim.wait_for, "X26ABC2", local_id="b-1", status="acknowledged", timeout=30)
        message_id = send(sim, local_id="b-1")
        with client(sim, "X26ABC2") as recipient:
            recipient.acknowledge_message(message_id)
        assert waiting.result().message_id == message_id


def test_waiting_in_vain_says_what_there_was_instead(sim: Simulator) -> None:
    """The error tells what was waited for, the mailbox's other messages, and which requests were refused."""
    sim.put("X26ABC2", count=11, local_id="other")
    sim.put("X26ABC3", local_id="elsewhere")
    intruder = MeshClient(sim.url, "X26ABC1", "wr0ng-word", shared_key=b"TestKey", max_retries=0)
    with intruder, pytest.raises(MeshError):
        intruder.send_message("X26ABC2", b"hello", workflow_id="TEST_WORKFLOW")
    with pytest.raises(NothingCame) as failed:
        sim.wait_for("X26ABC2", local_id="c-1", timeout=0.01)
    said = str(failed.value)
    assert "no message with mailbox 'X26ABC2' and local_id 'c-1' within 0.01 s" in said
    assert "messages for X26ABC2, the last 10 of 11:" in said
    assert "accepted, X26ABC1 to X26ABC2, workflow 'TEST_WORKFLOW', local id 'other-11'" in said
    assert "other-1'" not in said
    assert "elsewhere" not in said
    assert "X26ABC1 send 403" in said
    assert "wr0ng-word" not in said
    assert len(failed.value.instead) == 11
    assert [entry.status for entry in failed.value.refused] == [403]
    assert isinstance(failed.value, TimeoutError)


def test_waiting_where_nothing_is(sim: Simulator) -> None:
    """Without anything to name, the error says so."""
    with pytest.raises(NothingCame) as failed:
        sim.wait_for(timeout=0.01)
    assert str(failed.value).splitlines() == [
        "no message with anything within 0.01 s", "messages: none", "requests refused: none",
    ]  # fmt: skip


# -- people and time ----------------------------------------------------------------------------------


async def check(sim: Simulator, folder: Path, *numbers: str) -> str:
    """Send a list to the opt-out service, and give the answer."""
    source, output = folder / "list.txt", folder / "cleaned.dat"
    source.write_text("\n".join(numbers))
    credentials = ndoo.Credentials(*sim.credentials("X99GP001"))
    journal = ndoo.Journal(folder / "journal.db")
    service = ndoo.Service(poll_interval=0.05)
    async with ndoo.Mailbox(sim.url, credentials) as mailbox:
        await ndoo.check_opt_outs(mailbox, source, output, journal=journal, service=service)
    return output.read_text()


async def test_only_those_named_have_opted_out(sim: Simulator, tmp_path: Path) -> None:
    """Of a list, those opted out are removed, given as text or as a number, and nobody else."""
    sim.opt_out(ALICE, int(BOB))
    sim.withdraw(BOB)
    assert await check(sim, tmp_path, ALICE, BOB, CAROL) == f"{BOB},\n{CAROL},\n"


async def test_a_withdrawal_counts_more_than_the_rate(tmp_path: Path) -> None:
    """With a rate of 1 everybody has opted out but those who withdrew."""
    with Simulator(opt_out_rate=1) as sim:
        sim.withdraw(ALICE)
        assert await check(sim, tmp_path, ALICE, BOB) == "9990000018,\n"


async def test_a_choice_of_tomorrow_counts_from_tomorrow(sim: Simulator, tmp_path: Path) -> None:
    """registered_at is when, on the simulated clock, a choice begins to count."""
    sim.opt_out(ALICE, registered_at=sim.now + timedelta(days=1))
    assert ALICE.replace(" ", "") in await check(sim, tmp_path, ALICE, BOB)
    sim.advance(days=1, seconds=1)
    (tmp_path / "cleaned.dat").unlink()
    assert await check(sim, tmp_path, ALICE, BOB) == f"{BOB},\n"


async def test_an_invalid_number_opts_nobody_out(sim: Simulator, tmp_path: Path) -> None:
    """If one number is invalid, its place and the reason are named, never the number, and nobody is taken."""
    with pytest.raises(ValueError, match=r"\[1\]: is no NHS number: wrong check digit") as refused:
        sim.opt_out(ALICE, "9990000019")
    assert "9990000019" not in str(refused.value)
    assert await check(sim, tmp_path, ALICE) == "9990000018,\n"


@pytest.mark.parametrize("by", [{"days": 5}, {"by": "5d"}, {"by": timedelta(days=4), "hours": 24}])
def test_five_days_later_a_message_has_become_a_report(sim: Simulator, by: dict[str, Any]) -> None:
    """What time does has been done when advance returns; a report has no body."""
    before = sim.now
    sim.put("X26ABC2", local_id="late-1")
    sim.advance(**by)
    assert sim.now - before >= timedelta(days=5)
    (report,) = sim.messages("X26ABC1", message_type="REPORT")
    assert report.local_id == "late-1"
    assert sim.body(report) == b""
    assert [seen.status for seen in sim.messages("X26ABC2")] == ["undeliverable"]


def test_time_does_not_run_backwards(sim: Simulator) -> None:
    """A negative advance is refused."""
    for by in ({"days": -1}, {"by": "-1d"}):
        with pytest.raises(ValueError, match=r"advanced|negative"):
            sim.advance(**by)


def test_an_answer_that_takes_its_time(tmp_path: Path) -> None:
    """A reply delay passes by an advance, and the answer can be waited for."""
    with Simulator(ndoo_reply_delay="40m") as sim:
        sim.put("X26HC065", f"{BOB},\n", sender="X99GP001", workflow_id="SPINE_NTT_UPHOLDING",
                local_id="list-1", subject="check")  # fmt: skip
        sim.wait_for("X99GP001", subject="SUCCESS")
        assert len(sim.messages("X99GP001")) == 1
        sim.advance(minutes=40)
        answer = sim.wait_for("X99GP001", subject="check")
        assert sim.body(answer).decode() == f"{BOB},\n"


# -- mailboxes ----------------------------------------------------------------------------------------


def test_mailboxes_are_created_and_changed(sim: Simulator) -> None:
    """A new one has the others' password unless told; of one that is there, what is not said stays."""
    assert list(sim.mailbox("x26new1")) == ["X26NEW1", "password", "TestKey"]
    assert sim.mailbox("X26NEW1", password="another").password == "another"
    assert sim.mailbox("X26NEW1", ods_code="X26").password == "another"
    with client(sim, "X26NEW1") as caller:
        caller.handshake()
    with pytest.raises(ValueError, match="mailbox_id"):
        sim.mailbox("not a mailbox")
    with pytest.raises(ValueError, match="did you mean active"):
        sim.mailbox("X26NEW1", is_active=False)


def test_a_mailbox_is_disabled_for_a_while(sim: Simulator) -> None:
    """A disabled mailbox is refused, the journal says why, and once it is enabled it is not."""
    sim.disable("X26ABC1")
    with pytest.raises(MeshError):
        send(sim)
    assert "X26ABC1 send 403" in sim.refusals()
    sim.enable("X26ABC1")
    assert send(sim)


# -- faults -------------------------------------------------------------------------------------------


def test_calls_fail_as_often_as_asked_for(sim: Simulator) -> None:
    """A rule acts on the calls it is for, counts them, and is over."""
    fault = sim.fail("send", status=503, times=2, mailbox="x26abc1")
    for _ in range(2):
        with pytest.raises(HTTPError):
            send(sim)
    assert send(sim)
    assert (fault.calls, fault.hits, fault.rule.operation) == (3, 2, "send")
    assert "injected fault f1" in sim.refusals()


def test_a_fault_ends_with_its_block(sim: Simulator) -> None:
    """In a with block a fault is over at the end, and what it did can still be read, after a stop too."""
    with sim.fail("send", reset=True) as fault, pytest.raises(BrokenConnection):
        send(sim)
    assert send(sim)
    fault.remove()
    assert (fault.calls, fault.hits) == (1, 1)
    assert sim.fail(status=500).rule.operation == "*"
    left = sim.fail("list", delay="1s")
    sim.stop()
    left.remove()
    with pytest.raises(RuntimeError, match="was stopped"):
        assert left.hits


def test_a_response_lost_after_the_message_was_accepted(sim: Simulator) -> None:
    """The client hears nothing and the message is there: whoever sends again sends twice."""
    with sim.fail("send", action="lose-response", times=1), pytest.raises(BrokenConnection):
        send(sim, local_id="twice")
    send(sim, local_id="twice")
    assert len(sim.messages("X26ABC2", local_id="twice")) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operation": "sned", "status": 500}, "there is no such operation; known are"),
        ({"status": 200}, "status: must be from 400 to 599"),
        ({}, "action: is needed"),
        ({"status": 500, "reset": True}, "one fault does one thing, not status and reset"),
        ({"action": "explode"}, "action: must be"),
        ({"status": 500, "tims": 2}, "did you mean times?"),
        ({"delay": "11m"}, "delay: must be"),
    ],
)
def test_faults_that_make_no_sense(sim: Simulator, options: dict[str, Any], said: str) -> None:
    """What is wrong is named, and no fault is in force."""
    with pytest.raises(ValueError, match=re.escape(said)):
        sim.fail(**options)
    assert send(sim)


# -- beginning again ----------------------------------------------------------------------------------


async def test_a_reset_brings_back_the_start(sim: Simulator, tmp_path: Path) -> None:
    """Messages, choices, mailboxes, faults, time and journal are as they were."""
    send(sim)
    sim.opt_out(ALICE)
    sim.disable("X26ABC2")
    sim.mailbox("X26NEW1")
    sim.fail(status=500)
    sim.advance(weeks=1)
    sim.reset()
    assert sim.messages() == []
    assert sim.journal == []
    assert sim.now - datetime.now(UTC) < timedelta(days=1)
    with pytest.raises(LookupError):
        sim.credentials("X26NEW1")
    assert await asyncio.to_thread(send, sim)
    assert await check(sim, tmp_path, ALICE) == "9990000018,\n"
