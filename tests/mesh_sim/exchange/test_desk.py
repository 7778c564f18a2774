"""The service desk's looks at messages: whoever they belong to, in whatever status."""

from __future__ import annotations

from support import Simulator

from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.messages import Inline
from mesh_sim.exchange.ports import ChunkHere, Search, Side, Tally
from mesh_sim.exchange.states import Status


def mailbox(simulator: Simulator, mailbox_id: str) -> Mailbox:
    """Give a mailbox by its id."""
    found = simulator.server.core.exchange.directory.mailbox(mailbox_id)
    assert isinstance(found, Mailbox)
    return found


async def test_a_message_is_seen_from_both_ends(simulator: Simulator) -> None:
    """A message that is still uploading is found on both sides, counted for its sender, with its chunks."""
    desk = simulator.server.core.desk
    sender, recipient = mailbox(simulator, "X26ABC1"), mailbox(simulator, "X26ABC2")
    message_id = await simulator.caller().sent(b"x" * 10, headers={"Mex-Chunk-Range": "1:2"})
    for owner, side in ((sender, Side.OUTBOX), (recipient, Side.INBOX)):
        found = await desk.search(owner, Search(side), before=None, limit=10)
        assert [(each.message_id, each.status) for each in found.messages] == [(message_id, Status.UPLOADING)]
        assert (found.more, found.looked_to) == (None, None)
    assert await desk.tally([sender, recipient]) == {"X26ABC1": Tally(0, 1, 0), "X26ABC2": Tally(0, 0, 0)}
    message = await desk.message(message_id)
    assert await desk.chunks_here(message) == [ChunkHere(1, 10)]
    assert await desk.chunk_count(message) == 1
    chunk = await desk.chunk(message, 1)
    assert chunk is not None
    assert chunk.body == Inline(b"x" * 10)
    assert await desk.chunk(message, 2) is None


async def test_an_expired_message_leads_to_its_report(simulator: Simulator) -> None:
    """When a message was not collected in time, it and the report on it name each other."""
    core = simulator.server.core
    message_id = await simulator.caller().sent(b"x")
    await core.time.advance(core.settings.inbox_expiry)
    (report,) = await core.desk.related(await core.desk.message(message_id))
    assert report.recipient == "X26ABC1"
    assert [each.message_id for each in await core.desk.related(report)] == [message_id]
    recipient = mailbox(simulator, "X26ABC2")
    assert await core.desk.tally([recipient]) == {"X26ABC2": Tally(0, 0, 1)}
