"""Requests picked out of a mailbox's traffic, and what each of them carried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from mesh_sim.witness.journal import Entry
from ndoo.protocol import ChunkRange

SENDS: Final = ("send", "send-chunk")
DOWNLOADS: Final = ("download", "download-chunk")

MOST_SHOWN: Final = 50
"""How many requests are shown as evidence of what is judged by the whole traffic; the figure is ours."""

_TRY_AGAIN: Final = (425, 429)
"""Statuses below 500 that ask for the same request once more (mesh-api.md section 22)."""


def excused(entry: Entry) -> bool:
    """Tell whether a request came to nothing through no doing of its client, who may well repeat it.

    That is so for one that broke off, that the server failed or put off, or that a fault was injected into.
    """
    broke_off = entry.status < 300
    put_off = entry.status in _TRY_AGAIN or entry.status >= 500
    return not entry.whole and (broke_off or put_off or bool(entry.fault))


def chunk_of(entry: Entry) -> ChunkRange:
    """Give which chunk of how many it carried; the only one, where nothing sensible was noted."""
    if entry.details.chunk:
        try:
            return ChunkRange.parse(entry.details.chunk)
        except ValueError:
            pass
    return ChunkRange(1, 1)


def completing(entries: Iterable[Entry], operations: tuple[str, str]) -> Iterator[Entry]:
    """Give the request by which each message was sent or downloaded to the end, its chunks in any order.

    One that is downloaded again does not come again.
    """
    gone_through: dict[str, set[int]] = {}
    for entry in entries:
        # The last chunk is answered 423 if it had come and only its answer was lost (mesh-api.md section 13).
        if entry.operation not in operations or not (entry.whole or entry.status == 423):
            continue
        chunk, numbers = chunk_of(entry), gone_through.setdefault(entry.message_id, set())
        if chunk.number not in numbers:
            numbers.add(chunk.number)
            if len(numbers) == chunk.total:
                yield entry


def few(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Give the first requests, as many as are shown."""
    return tuple(islice(entries, MOST_SHOWN))
