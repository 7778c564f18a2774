"""A mailbox is visited as MESH asks for it: greeted daily, looked into every five minutes, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from controls import control
from practices import HERE, POOL, SERVICE, Relay, Staged, Told, World, matching, records, relay_to

from ndoo._inbox import Inbox
from ndoo.check import Service, collect
from ndoo.errors import AnswerPending, ConnectionFailed, ListRejected, NotDelivered
from ndoo.journal import Journal, Stage
from ndoo.mailbox import Credentials, Mailbox
from ndoo.protocol import INVALID_LIST_ANSWER, WORKFLOW_CHECK

CALM = Service(poll_interval=300.0)
"""As with the profiles int and live."""


class Watch:
    """A watch that is set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def watch(world: World) -> Watch:
    """The watch that the practice's journal goes by."""
    watch = Watch()
    world.journal = Journal(world.journal.path, now=watch)
    return watch


def asked(relay: Relay, method: str, end: str) -> int:
    """Count the requests of a method for a path that ends so, and forget all that were seen."""
    count = sum(each == method and path.endswith(end) for each, path in relay.seen)
    relay.seen.clear()
    return count


# -- handshakes -------------------------------------------------------------------------------------


async def test_a_mailbox_is_greeted_once_a_day(world: World, watch: Watch, relay: Relay) -> None:
    """Every run within a day does without a handshake; the first after 24 hours makes one again."""
    greetings: list[int] = []
    for hours in (0, 1, 22, 1, 23):
        watch.ahead += timedelta(hours=hours)
        # As another process would: nothing but the journal is remembered.
        world.mailbox = await world.open(HERE, relay.url)
        await world.check(world.source(), f"out-{len(greetings)}.dat")
        greetings.append(asked(relay, "POST", ""))
        greetings[-1] -= 1  # the list itself
    assert greetings == [1, 0, 0, 1, 0]


async def test_a_greeting_that_failed_is_made_again(world: World, relay: Relay) -> None:
    """Only a handshake that was accepted counts."""
    stranger = Mailbox(relay.url, Credentials(HERE, "wrong", "TestKey"), retries=0)
    world.mailbox = await world.stack.enter_async_context(stranger)
    for _ in range(2):
        with pytest.raises(Exception, match="password or the shared key"):
            await world.submit()
        assert asked(relay, "POST", "") == 1


# -- looks ------------------------------------------------------------------------------------------


async def test_the_inbox_is_looked_into_straight_after_a_send(world: World, relay: Relay) -> None:
    """The request after the last of the send is the inbox's, whether somebody waits or not."""
    await world.submit(service=CALM)
    paths = [path for _, path in relay.seen]
    assert paths[paths.index("/outbox") + 1] == "/inbox"


async def test_no_second_look_within_five_minutes(staged: Staged) -> None:
    """However often collect is run, by whatever process, the inbox is left alone until it is due."""
    world = staged.world
    watch = Watch()
    world.journal = Journal(world.journal.path, now=watch)
    submission = await world.submit(service=CALM)
    await staged.send(submission, records(POOL[:5]))
    for _ in range(3):
        watch.ahead += timedelta(seconds=90)
        with pytest.raises(AnswerPending, match="one look in five minutes, the next at"):
            await world.collect(submission, service=CALM, timeout=0)
    watch.ahead += timedelta(seconds=31)
    assert (await world.collect(submission, service=CALM, timeout=0)).returned == 5


async def test_a_clock_that_was_set_back_does_not_stop_the_looks(staged: Staged) -> None:
    """A look that lies in the future says nothing, and the next is taken at once."""
    world = staged.world
    watch = Watch()
    watch.ahead = timedelta(days=400)
    world.journal = Journal(world.journal.path, now=watch)
    submission = await world.submit(service=CALM)
    watch.ahead = timedelta(0)
    await staged.send(submission, records(POOL[:5]))
    assert (await world.collect(submission, service=CALM, timeout=0)).returned == 5


async def test_one_look_serves_all_lists_that_are_collected(staged: Staged) -> None:
    """Collected after each other, several lists are found by one and the same look."""
    world = staged.world
    first, second = (
        await world.submit("first.dat", service=CALM),
        await world.submit("second.dat", service=CALM),
    )
    for submission in (first, second):
        await staged.send(submission, records(POOL[:5]))
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) + timedelta(minutes=6))
    inbox = Inbox(world.mailbox, world.journal, CALM.poll_interval)
    for submission in (first, second):
        result = await collect(world.mailbox, world.journal, submission, service=CALM, timeout=0, inbox=inbox)
        assert result.returned == 5
    assert await world.waiting() == []


@pytest.mark.parametrize(
    ("url", "given", "pause"),
    [
        ("https://mesh-sync.spineservices.nhs.uk", 1.0, 300.0),
        ("https://msg.intspineservices.nhs.uk", 0.0, 300.0),
        ("https://mesh-sync.spineservices.nhs.uk", 900.0, 900.0),
        ("http://127.0.0.1:8700", 0.02, 0.02),
    ],
)
async def test_the_nhs_is_never_asked_more_often_than_every_five_minutes(
    world: World, url: str, given: float, pause: float
) -> None:
    """Whatever interval is asked for, a server of the NHS is looked into every five minutes at most."""
    inbox = Inbox(Mailbox(url, Credentials(HERE, "password", "TestKey")), world.journal, given)
    world.journal.looked(inbox.mailbox.url, HERE)
    assert await inbox.due_in() == pytest.approx(pause, abs=0.02 if pause < 1 else 1)


async def test_looks_at_the_simulator_begin_quickly(staged: Staged) -> None:
    """The pauses between looks grow from a twentieth of a second to the second they are given."""
    told = Told()
    submission = await staged.world.submit(service=Service(poll_interval=1.0))
    with pytest.raises(AnswerPending):
        await staged.world.collect(submission, service=Service(poll_interval=1.0), timeout=1.0, progress=told)
    pauses = [next_look for _, next_look in told.waits]
    assert pauses[0] <= 0.05
    assert pauses[1:] == sorted(pauses[1:])
    assert 3 <= len(pauses) <= 7
    assert max(pauses) <= 1.0


# -- what else is there -----------------------------------------------------------------------------


async def test_an_inbox_of_many_pages_is_read_to_its_end(staged: Staged) -> None:
    """The answer is found behind 600 other messages, which stay, are asked about once, and are mentioned."""
    world = staged.world
    put = {"to": HERE, "from": "X26ABC2", "workflow_id": WORKFLOW_CHECK, "count": 600}
    assert (await control(world.simulator.url, "POST", "/admin/messages", put)).status in (200, 201)
    submission = await world.submit()
    await staged.send(submission, records(POOL[:5]))
    result = await world.collect(submission)
    assert result.output.read_bytes() == records(POOL[:5])
    (note,) = result.notes
    assert note.startswith(f"600 other messages wait in the inbox of {HERE}, left as found: ")
    assert len(await world.waiting()) == 500  # the first page of what is left


async def test_a_report_fails_the_list_it_is_about_and_no_other(staged: Staged) -> None:
    """Of two lists, one of which the service never collected, each gets what is its own."""
    world = staged.world
    dead, alive = await world.submit("dead.dat"), await world.submit("alive.dat")
    await staged.service.acknowledge(alive.message_id)
    await staged.send(alive, records(POOL[:5]))
    world.simulator.clock.advance(timedelta(days=5, minutes=-1))
    assert (await world.collect(alive)).returned == 5
    with pytest.raises(AnswerPending):
        await world.collect(dead, timeout=0)
    world.simulator.clock.advance(timedelta(minutes=2))
    with pytest.raises(NotDelivered, match=f"{dead.local_id} was not delivered to {SERVICE}"):
        await world.collect(dead)
    assert world.journal.get(dead.local_id).stage is Stage.FAILED
    assert world.journal.get(alive.local_id).stage is Stage.COLLECTED
    assert await world.waiting() == world.kept() == []


async def test_a_look_that_failed_ends_no_list(world: World, relay: Relay) -> None:
    """An inbox that was not seen says nothing of any list, whichever of them the look was taken for."""
    watch = Watch()
    watch.ahead = timedelta(days=-6)
    world.journal = Journal(world.journal.path, now=watch)
    lists = [await world.submit("a.dat", service=CALM), await world.submit("b.dat", service=CALM)]
    watch.ahead = timedelta(0)
    relay.before = matching("GET", "/inbox")
    inbox = Inbox(world.mailbox, world.journal, CALM.poll_interval)
    for submission in lists:
        with pytest.raises(ConnectionFailed):
            await collect(world.mailbox, world.journal, submission, service=CALM, timeout=0, inbox=inbox)
        assert world.journal.get(submission.local_id).stage is Stage.SENT


async def test_what_could_not_be_acknowledged_is_so_at_the_next_look(staged: Staged) -> None:
    """A rejection is told even if it cannot be acknowledged, and does not stay in the inbox for ever."""
    world = staged.world
    async with relay_to(world.simulator.url) as relay:
        world.mailbox = await world.open(HERE, relay.url)
        submission = await world.submit()
        rejection = await staged.send(submission, INVALID_LIST_ANSWER)
        relay.before = matching("PUT", "/acknowledged")
        with pytest.raises(ListRejected):
            await world.collect(submission)
        assert world.journal.get(submission.local_id).stage is Stage.FAILED
        assert await world.waiting() == [rejection]
        relay.heal()
        other = await world.submit("other.dat")
        await staged.send(other, records(POOL[:5]))
        result = await world.collect(other)
    assert await world.waiting() == []
    assert result.notes == ()


async def test_a_message_that_cannot_be_looked_at_keeps_no_answer_back(staged: Staged) -> None:
    """Of a message whose headers the server refuses nobody knows anything; the answer comes all the same."""
    world = staged.world
    submission = await world.submit()
    odd = await staged.send(submission, b"odd", local_id="another-1", file_name="odd.txt")
    fault = {"operation": "head", "mailbox": HERE, "action": "status", "status": 400, "times": 1}
    assert (await control(world.simulator.url, "POST", "/admin/faults", fault)).status in (200, 201)
    await staged.send(submission, records(POOL[:5]))
    assert (await world.collect(submission)).returned == 5
    assert await world.waiting() == [odd]


async def test_what_belongs_to_nobody_here_is_asked_about_once_by_all_processes(
    world: World, relay: Relay
) -> None:
    """Each process goes by the journal, so that a full inbox does not cost a request a message and look."""
    put = {"to": HERE, "from": "X26ABC2", "workflow_id": WORKFLOW_CHECK, "count": 20}
    assert (await control(world.simulator.url, "POST", "/admin/messages", put)).status in (200, 201)
    heads = []
    for number in range(3):
        world.mailbox = await world.open(HERE, relay.url)
        result = await world.check(world.source(), f"out-{number}.dat")
        heads.append(sum(method == "HEAD" for method, _ in relay.seen))
        relay.seen.clear()
        assert result.notes[-1].startswith("20 other messages wait")
    assert heads[0] >= 20
    assert max(heads[1:]) <= 2  # receipt and answer
    world.simulator.clock.advance(timedelta(days=6))
    await world.check(world.source(), "later.dat")
    assert world.journal.strangers(relay.url, HERE) == frozenset()


async def test_receipts_and_reports_are_received_before_they_are_acknowledged(staged: Staged) -> None:
    """As the assurance team wants it, nothing is acknowledged that was not downloaded."""
    world = staged.world
    async with relay_to(world.simulator.url) as relay:
        world.mailbox = await world.open(HERE, relay.url)
        submission = await world.submit()
        receipt = await staged.receipt(submission)
        with pytest.raises(AnswerPending):
            await world.collect(submission, timeout=0)
        world.simulator.clock.advance(timedelta(days=6))
        with pytest.raises(NotDelivered):
            await world.collect(submission)
    acknowledged = [path for method, path in relay.seen if method == "PUT"]
    assert len(acknowledged) == 2
    assert acknowledged[0].startswith(f"/inbox/{receipt}")
    for path in acknowledged:
        received = ("GET", path.removesuffix("/status/acknowledged"))
        assert relay.seen.index(received) < relay.seen.index(("PUT", path))
