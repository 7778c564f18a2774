"""Looking for messages among a million, by pages.

Where some condition leaves only a few rows, these are sorted. Otherwise a search follows an index that has
its order already, from where the page before ended, and looks through so many rows and no more: whoever asks
for what hardly ever occurs gets a page that is not full, and learns how far was looked. Reads run on the
event loop's thread, so it is given back between steps.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.ports import Found, Moment, Search
from mesh_sim.storage import search_sql
from mesh_sim.storage.database import Database, Operation, Transaction
from mesh_sim.storage.rows import as_message
from mesh_sim.storage.search_sql import Key, Order, Piece
from mesh_sim.storage.times import from_micros, micros

STEP: Final = 2000
"""So many rows are looked through at once."""
STEPS: Final = 10
"""So many steps a search has."""
FEW: Final = 1000
"""So many rows are sorted at the most."""


async def search(
    database: Database, mailbox_id: str, wanted: Search, *, before: Moment | None, limit: int
) -> Found:
    """Look for messages among those of a mailbox, newest first."""
    looking = _Looking(mailbox_id, wanted)
    start = await database.read(looking.start(before))
    # One more than asked for tells whether there are more.
    few = await database.read(looking.few(start, limit + 1))
    if few is not None:
        return _page(few, limit)
    source = await database.read(looking.source)
    found: list[Message] = []
    left = STEPS
    while True:
        messages, place = await database.read(looking.step(source, start, limit + 1 - len(found)))
        found += messages
        if len(found) > limit or place is None:
            return _page(found, limit)
        left -= 1
        if not left:
            return Found(found, place.moment, None if len(found) == limit else place.moment.created_at)
        start = looking.key(place)
        await asyncio.sleep(0)


def _page(found: list[Message], limit: int) -> Found:
    """Make a page of all there is, or of more than asked for."""
    if len(found) <= limit:
        return Found(found)
    last = found[limit - 1]
    return Found(found[:limit], Moment(last.created_at, last.message_id))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row is: what every order goes by."""

    created_at: int
    message_id: str
    position: int

    @property
    def moment(self) -> Moment:
        """Where a page goes on that begins after it."""
        return Moment(from_micros(self.created_at), self.message_id)


class _Looking:
    """A search's order and conditions, and the reads that it is made of."""

    def __init__(self, mailbox_id: str, wanted: Search) -> None:
        self._mailbox_id = mailbox_id
        self._wanted = wanted
        self._order = search_sql.order_of(wanted)
        self._filters = search_sql.filters(mailbox_id, wanted)
        self._top, self._bottom = search_sql.span_of(wanted)

    def key(self, place: _Place) -> Key:
        """Give a row's place in the order."""
        return tuple(getattr(place, column) for column in self._order.value)

    def start(self, before: Moment | None) -> Operation[Key]:
        """Find the place before which the page begins."""

        async def start(tx: Transaction) -> Key:
            if before is None:
                return self._top
            arrival = await self._arrival(tx, before) if self._order is Order.ARRIVAL else 0
            return min(self._top, self.key(_Place(micros(before.created_at), before.message_id, arrival)))

        return start

    async def _arrival(self, tx: Transaction, before: Moment) -> int:
        """Give a message's position; if it is gone, the one after the next older message's."""
        row = await tx.fetch_row(
            search_sql.LAST_ARRIVED, self._mailbox_id, micros(before.created_at), before.message_id
        )
        if row is None:
            return 0
        message_id, position = row
        return int(position) if message_id == before.message_id else int(position) + 1

    def few(self, start: Key, limit: int) -> Operation[list[Message] | None]:
        """Sort what is wanted, if it is among a few rows; None if it is among many."""

        async def few(tx: Transaction) -> list[Message] | None:
            conditions = [self._order.compared("<", start), *self._filters]
            for source in search_sql.narrow_sources(self._mailbox_id, self._wanted):
                if await _is_within(tx, source, FEW):
                    # Somebody else may have added some since they were counted.
                    query = search_sql.sorted_rows(source, 2 * FEW, conditions, self._order, limit)
                    return [as_message(row) for row in await tx.fetch(query.text, *query.values)]
            return None

        return few

    async def source(self, tx: Transaction) -> Piece:
        """Choose what to look through: all that the mailbox has, or the other one, if that is less."""
        other = search_sql.other_source(self._wanted)
        if other is not None and await _is_within(tx, other, STEP * STEPS):
            return other
        return search_sql.ordered_source(self._mailbox_id, self._wanted)

    def step(self, source: Piece, start: Key, limit: int) -> Operation[tuple[list[Message], _Place | None]]:
        """Look through further rows; give up to ``limit`` messages, and the last row, if there are more."""

        async def step(tx: Transaction) -> tuple[list[Message], _Place | None]:
            # With two conditions that say where to end, the engine might go by the further one.
            among = [source, self._order.compared("<", start)]
            last = search_sql.place_of([*among, *self._not_below(self._bottom)], self._order, STEP)
            row = await tx.fetch_row(last.text, *last.values)
            place = _Place(*row) if row else None
            among += self._not_below(self.key(place) if place else self._bottom)
            query = search_sql.rows_between([*among, *self._filters], self._order, limit)
            return [as_message(row) for row in await tx.fetch(query.text, *query.values)], place

        return step

    def _not_below(self, bottom: Key | None) -> list[Piece]:
        return [] if bottom is None else [self._order.compared(">=", bottom)]


async def _is_within(tx: Transaction, source: Piece, most: int) -> bool:
    """Tell whether a source has no more rows than that."""
    count = search_sql.count(source, most + 1)
    row = await tx.fetch_row(count.text, *count.values)
    return row is not None and row[0] <= most
