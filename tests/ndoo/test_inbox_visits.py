"""A mailbox is visited as MESH asks for it: greeted daily, looked into every five minutes, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from controls import control
from practices import HERE, POOL, SERVICE, Relay, Staged, Told, World, records

from ndoo._inbox import Inbox
from ndoo.check import Service, collect
from ndoo.errors import AnswerPending, NotDelivered
from ndoo.journal import Journal, Stage
from ndoo.mailbox import Credentials, Mailbox
from ndoo.protocol import WORKFLOW_CHECK

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
