"""Which requests count for a rehearsal: those since it began, and a handshake before it that still holds."""

from __future__ import annotations

from datetime import timedelta

from traces import Tape

from mesh_sim.witness.cases.common import counted


def test_the_last_handshake_before_it_counts() -> None:
    """A client that shook hands within the day before need not do so again; nothing else before it counts."""
    before = Tape().handshake().handshake().list()
    begun_at = before.now
    entries = before.list().handshake().trace().entries
    assert counted(entries, begun_at) == (entries[1], *entries[3:])


def test_a_handshake_of_yesterday_counts_no_more() -> None:
    """After 24 hours it is as if there had been none; nor does one count that was refused."""
    before = Tape().handshake().wait(hours=24, minutes=5).handshake(status=403)
    begun_at = before.now
    entries = before.list().trace().entries
    assert counted(entries, begun_at) == entries[2:]
    assert counted(entries, begun_at - timedelta(seconds=2)) == (entries[0], *entries[1:])


def test_a_rehearsal_without_requests_has_none() -> None:
    """The handshake by itself is nothing to report on."""
    before = Tape().handshake()
    assert counted(before.trace().entries, before.now) == ()
