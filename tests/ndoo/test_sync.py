"""The synchronous face: the same names, types and behaviour, against a real simulator."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, assert_type

import pytest

import ndoo.check
import ndoo.mailbox
from mesh_sim import Simulator
from ndoo import sync
from ndoo.check import CheckResult, Service
from ndoo.errors import AnswerPending, MessageGone, OutputExists, RecipientUnknown
from ndoo.journal import Journal, Submission
from ndoo.lists import generate
from ndoo.mailbox import Credentials, InboxPage, MessageHeaders, Tracking
from ndoo.progress import Progress

NUMBERS: Final = [int(number) for number in next(generate(20, seed=11))]
OPTED_OUT: Final = NUMBERS[7]
QUICK: Final = Service(poll_interval=0.01)

ANSWERED_LATER: Final = frozenset({"open", "close"})
"""What an asynchronous message does when it is received and left."""


@pytest.fixture
def mailbox(mesh_sim: Simulator) -> Iterator[sync.Mailbox]:
    """An open mailbox of a simulator of the test's own."""
    with sync.Mailbox(mesh_sim.url, Credentials(*mesh_sim.credentials("X26ABC1"))) as opened:
        yield opened


def write_table(folder: Path) -> Path:
    """Write a CSV with one row a number."""
    path = folder / "patients.csv"
    path.write_text("NHS Number,Name\n" + "".join(f"{number},Example\n" for number in NUMBERS))
    return path


def public(kind: type) -> set[str]:
    """Name what a class offers."""
    return {name for name in dir(kind) if not name.startswith("_")} | {
        name for name in ("__iter__", "__aiter__") if hasattr(kind, name)
    }


def threads() -> int:
    """Count the threads that belong to open mailboxes."""
    return sum(thread.name == "ndoo.sync" for thread in threading.enumerate())


# -- nothing is missing -----------------------------------------------------------------------------


def test_the_faces_have_the_same_members() -> None:
    """What one mailbox, message or module offers, the other does too."""
    original = public(ndoo.mailbox.Mailbox)
    instance = set(vars(ndoo.mailbox.Mailbox("http://127.0.0.1:9", Credentials("A1OT001", "p", "k"))))
    assert public(sync.Mailbox) == original | {name for name in instance if not name.startswith("_")}
    message = public(ndoo.mailbox.Message) - ANSWERED_LATER - {"__aiter__"} | {"__iter__", "headers"}
    assert public(sync.Message) == message
    coroutines = {
        name for name in ndoo.check.__all__ if inspect.iscoroutinefunction(getattr(ndoo.check, name))
    }
    assert set(sync.__all__) == coroutines | {"Mailbox", "Message"}


@pytest.mark.parametrize("name", sorted(public(sync.Mailbox) | {"__init__"}))
def test_a_member_is_documented_as_its_original(name: str) -> None:
    """Signature and documentation are the other's; nothing has to be awaited."""
    ours, theirs = (inspect.getattr_static(kind, name, None) for kind in (sync.Mailbox, ndoo.mailbox.Mailbox))
    if callable(ours) and name != "__init__":
        assert inspect.signature(ours) == inspect.signature(getattr(ndoo.mailbox.Mailbox, name))
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)
        assert not inspect.iscoroutinefunction(ours)
    elif isinstance(theirs, property):
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)


def check_types(mailbox: sync.Mailbox, journal: Journal, submission: Submission, path: Path) -> None:
    """Never run, but read by mypy: types survive, and wrong arguments are found."""
    assert_type(mailbox.handshake(), None)
    assert_type(mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello", local_id="a", compress=True), str)
    assert_type(mailbox.list(max_results=10), InboxPage)
    assert_type(mailbox.messages(page_size=10), Iterator[str])
    assert_type(mailbox.head("id"), MessageHeaders)
    assert_type(mailbox.track(local_id="a"), Tracking)
    with mailbox.receive("id") as message:
        assert_type(message, sync.Message)
        assert_type(message.headers, MessageHeaders)
        assert_type(message.read(10), bytes)
        assert_type(message.save(path, replace=True), int)
        assert_type(next(iter(message)), bytes)
    assert_type(sync.check_opt_outs(mailbox, path, path, journal=journal, timeout=1.0), CheckResult)
    assert_type(sync.submit(mailbox, journal, path, path, skip_invalid=True), Submission)
    assert_type(sync.collect(mailbox, journal, submission), CheckResult)
    # An ignore that is not needed is an error, so that each of these is one.
    mailbox.send("X26ABC1")  # type: ignore[call-arg]
    mailbox.list(max_results="10")  # type: ignore[arg-type]
    sync.Mailbox("http://127.0.0.1:9", mailbox.credentials, retriez=1)  # type: ignore[call-arg]
    sync.collect(mailbox, journal, submission, service=None)  # type: ignore[arg-type]


def test_types_survive() -> None:
    """Every line of ``check_types`` is as mypy sees it."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports", "silent", __file__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- it works ---------------------------------------------------------------------------------------


def test_a_round_trip(mesh_sim: Simulator, mailbox: sync.Mailbox, tmp_path: Path) -> None:
    """A list goes out and comes back without the opted out, and a ``progress`` is told."""
    mesh_sim.opt_out(OPTED_OUT)
    seen: list[str] = []

    class Seen(Progress):
        def step(self, name: str, **facts: str | int) -> None:
            seen.append(name)

    result = sync.check_opt_outs(
        mailbox,
        write_table(tmp_path),
        tmp_path / "cleaned.csv",
        journal=Journal(tmp_path / "journal.db"),
        service=QUICK,
        progress=Seen(),
    )
    assert (result.submitted, result.removed) == (20, 1)
    assert (tmp_path / "cleaned.csv").read_text().count("\n") == 1 + 19
    assert seen


def test_the_halves(mesh_sim: Simulator, mailbox: sync.Mailbox, tmp_path: Path) -> None:
    """What was submitted by one mailbox object is collected by another; errors are the library's."""
    mesh_sim.stop()
    later = Simulator(ndoo_reply_delay="40m")
    journal = Journal(tmp_path / "journal.db")
    with later, sync.Mailbox(later.url, mailbox.credentials) as first:
        submission = sync.submit(first, journal, write_table(tmp_path), tmp_path / "out.csv", service=QUICK)
        with pytest.raises(AnswerPending):
            sync.collect(first, journal, submission, service=QUICK, timeout=0)
        later.advance(minutes=40)
        with sync.Mailbox(later.url, mailbox.credentials) as second:
            (waiting,) = journal.pending()
            assert sync.collect(second, journal, waiting, service=QUICK, timeout=20).returned == 20


def test_messages_from_send_to_acknowledged(
    mesh_sim: Simulator, mailbox: sync.Mailbox, tmp_path: Path
) -> None:
    """Listed, read, streamed, saved to a path and a file, tracked and acknowledged."""
    sent = [mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello" * n, local_id=f"n-{n}") for n in (1, 2, 3)]
    assert (mailbox.count(), mailbox.list().messages) == (3, tuple(sent))
    assert list(mailbox.messages()) == sent
    assert [page.messages for page in mailbox.pages()] == [tuple(sent)]
    assert mailbox.head(sent[0]).local_id == "n-1"
    with mailbox.receive(sent[0]) as message:
        assert message.headers.message_id == sent[0]
        assert message.read() == b"hello"
    with mailbox.receive(sent[1]) as message:
        assert b"".join(message) == b"hello" * 2
    path, file = tmp_path / "body", io.BytesIO()
    with mailbox.receive(sent[2]) as message:
        assert message.save(path) == 15
    with mailbox.receive(sent[2]) as message, pytest.raises(OutputExists):
        message.save(path)
    with mailbox.receive(sent[2]) as message:
        assert message.save(file) == 15
    assert path.read_bytes() == file.getvalue() == b"hello" * 3
    for message_id in mailbox.messages():
        mailbox.acknowledge(message_id)
    assert mailbox.track(sent[0]).status == "acknowledged"
    with pytest.raises(MessageGone), mailbox.receive(sent[0]):
        pass
    with pytest.raises(RecipientUnknown):
        mailbox.send("NOBODY1", "TEST_WORKFLOW2", b"hello")
    assert mailbox.ping()
    assert mailbox.look_up("NONE", "TEST_WORKFLOW2") == ()


async def test_it_works_where_a_loop_is_running(mailbox: sync.Mailbox) -> None:
    """As in a notebook, whose cells run inside an event loop."""
    assert asyncio.get_running_loop().is_running()
    mailbox.handshake()
    assert mailbox.count() == 0


def test_an_error_inside_a_message_closes_it(mailbox: sync.Mailbox) -> None:
    """What is raised while a message is read comes out as it was, and the mailbox works on."""
    sent = mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello" * 1_000_000)
    with pytest.raises(ZeroDivisionError), mailbox.receive(sent) as message:
        _ = 1 // 0
    response = message._original._response
    assert response is not None
    assert response.closed
    assert mailbox.count() == 1


def test_iterating_may_stop_early(mailbox: sync.Mailbox) -> None:
    """Who looks at the first message only leaves nothing behind."""
    for _ in range(3):
        mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello")
    assert next(mailbox.messages(page_size=10))
    assert mailbox.count() == 3


def test_threads_share_a_mailbox(mailbox: sync.Mailbox) -> None:
    """Calls from several threads at once all get their answer."""
    sent: list[str] = []

    def send(number: int) -> None:
        sent.append(mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello", local_id=f"t-{number}"))

    workers = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(mailbox.messages()) == set(sent)
    assert len(set(sent)) == 8


# -- opening and closing ----------------------------------------------------------------------------


def test_the_thread_ends_with_the_mailbox(mesh_sim: Simulator) -> None:
    """Open, there is one thread more; closed, there is none, and it can be opened again."""
    before = threads()
    mailbox = sync.Mailbox(mesh_sim.url, Credentials(*mesh_sim.credentials("X26ABC1")))
    for _ in range(2):
        with mailbox:
            mailbox.handshake()
            assert threads() == before + 1
            with pytest.raises(RuntimeError, match="open already"):
                mailbox.__enter__()
        assert threads() == before


def test_outside_of_with_it_says_so(tmp_path: Path) -> None:
    """A call before it is opened, or after it was closed, names what is missing."""
    mailbox = sync.Mailbox("http://127.0.0.1:9", Credentials("A1OT001", "password", "key"))
    with pytest.raises(RuntimeError, match="open the mailbox first"):
        mailbox.count()
    with mailbox:
        pass
    with pytest.raises(RuntimeError, match="open the mailbox first"):
        mailbox.count()
    with pytest.raises(RuntimeError, match="open the mailbox first"):
        next(mailbox.messages())


def test_a_callback_cannot_wait_for_itself(mailbox: sync.Mailbox) -> None:
    """A callback that uses its mailbox is told so, instead of waiting for ever."""
    with pytest.raises(RuntimeError, match="a callback cannot use the mailbox"):
        mailbox.send("X26ABC1", "TEST_WORKFLOW2", b"hello", progress=lambda _: mailbox.acknowledge("1"))


def test_closed_by_another_thread(mailbox: sync.Mailbox) -> None:
    """A call that is going on when the mailbox is closed ends with an error that says so."""
    raised: list[Any] = []
    begun = threading.Event()

    async def for_ever() -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.Event().wait()
        yield b""

    def send() -> None:
        try:
            mailbox.send("X26ABC1", "TEST_WORKFLOW2", for_ever())
        except RuntimeError as error:
            raised.append(error)

    worker = threading.Thread(target=send)
    worker.start()
    assert begun.wait(10)
    mailbox.__exit__(None, None, None)
    worker.join(10)
    (error,) = raised
    assert "closed by another thread" in str(error)


# -- Ctrl-C -----------------------------------------------------------------------------------------

WAITING: Final = """
import sys
from pathlib import Path
from ndoo import Credentials, Journal, Service, sync
from ndoo.progress import Progress

class Waiting(Progress):
    def waiting(self, waited, next_look):
        print("waiting", flush=True)

mailbox = sync.Mailbox(sys.argv[1], Credentials("X26ABC1", "password", "TestKey"))
try:
    with mailbox:
        sync.check_opt_outs(
            mailbox, Path("patients.csv"), Path("cleaned.csv"), journal=Journal(Path("journal.db")),
            service=Service(poll_interval=60), progress=Waiting(),
        )
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_stops_a_wait_and_loses_nothing(mesh_sim_factory: Any, tmp_path: Path) -> None:
    """Interrupted while it waits, the program sees KeyboardInterrupt at once, and the list is pending."""
    slow: Simulator = mesh_sim_factory(ndoo_reply_delay="40m")
    write_table(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", WAITING, slow.url],
        cwd=tmp_path,
        env={name: text for name, text in os.environ.items() if not name.startswith("NDOO_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait(10)
    assert (process.returncode, out.splitlines()[-1], err) == (0, "stopped", "")
    (pending,) = Journal(tmp_path / "journal.db").pending()
    assert pending.records == 20
    assert not (tmp_path / "cleaned.csv").exists()
