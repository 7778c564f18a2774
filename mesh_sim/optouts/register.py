"""The opt-out register: explicit choices with their history, evaluated as at a simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from mesh_sim.optouts.snapshot import OptOutSnapshot, SyntheticRule, resolve
from ndoo.lists import Numbers

BATCH_NUMBERS: Final = 65_536
"""How many numbers of a bulk load are kept together: half a megabyte."""

_THREAD_NUMBERS: Final = 50_000
"""From this many numbers on, sorting them is worth a switch of threads."""

_HIGHEST: Final = 9_999_999_999

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class Channel(StrEnum):
    """How a choice was made (ndoo-service.md, "What it is for")."""

    APP = "app"
    WEB = "web"
    PHONE = "phone"
    POST = "post"
    STAFF = "staff"
    PROXY = "proxy"


def in_utc(at: datetime) -> datetime:
    """Give a time as choices keep it; one that is none in UTC could not be read back.

    Raises:
        ValueError: it has no time zone, or lies beyond the years there are.
    """
    if at.tzinfo is None:
        raise ValueError("needs a time zone, such as datetime.UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


@dataclass(frozen=True, slots=True)
class Choice:
    """One person's choice; ``registered_at`` is simulated time, from which on it counts."""

    nhs_number: int = field(repr=False)
    opted_out: bool
    registered_at: datetime
    channel: Channel


@dataclass(frozen=True, slots=True)
class ChoiceBatch:
    """Choices made alike. ``numbers``: int64 (n,), ascending, distinct, n at least 1."""

    opted_out: bool
    registered_at: datetime
    channel: Channel
    numbers: Numbers = field(repr=False)

    def holds(self, number: int) -> bool:
        """Tell whether it is among the choices of this batch."""
        place = int(np.searchsorted(self.numbers, number))
        return place < len(self.numbers) and int(self.numbers[place]) == number


@dataclass(frozen=True, slots=True)
class ChannelTally:
    """How many choices were made in one way, over all time: several may be one person's."""

    channel: Channel
    opted_out: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one person stands at the simulated time ``at``: opted out or not, and by what; every choice."""

    at: datetime
    opted_out: bool
    by_choice: bool
    """Whether a choice says so; if not, the synthetic rule does."""
    history: Sequence[Choice]
    """In the order in which they take effect, those to come among them."""


class Choices(Protocol):
    """Where choices are kept: added to, never changed."""

    async def append(self, batches: Sequence[ChoiceBatch]) -> None:
        """Record choices durably, all of them or none."""

    async def version(self) -> int:
        """Give a number that grows with every append; 0 while there are no choices."""

    async def recorded(self) -> tuple[int, Sequence[ChoiceBatch]]:
        """Give all choices in the order recorded, with the version that they make up."""

    async def clear(self) -> None:
        """Forget all choices; the version grows with this too."""

    async def around(self, number: int) -> Sequence[ChoiceBatch]:
        """Give the batches that may hold this number, in the order recorded."""

    async def by_channel(self) -> Mapping[tuple[Channel, bool], int]:
        """Count the choices made in each way, those to opt out (True) and the withdrawals."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many people's valid choice is to be opted out, how many have withdrawn, and the synthetic rate."""

    opted_out: int
    withdrawn: int
    rate: float


@dataclass(frozen=True, slots=True)
class _Cached:
    """A snapshot, and for what it holds: one version and rule, from one change of a choice to the next."""

    snapshot: OptOutSnapshot
    version: int
    since: datetime
    until: datetime

    def holds(self, version: int, synthetic: SyntheticRule, at: datetime) -> bool:
        same = self.version == version and self.snapshot.synthetic == synthetic
        return same and self.since <= at < self.until


class OptOutRegister:
    """Who has opted out, by explicit choice or by the synthetic rule."""

    def __init__(
        self,
        choices: Choices,
        *,
        rate: float,
        seed: int,
        now: Callable[[], datetime],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the register.

        Args:
            choices: where the explicit choices are kept.
            rate: share of numbers without a choice that count as opted out, from 0 to 1.
            seed: which numbers those are.
            now: the simulated time.
            changed: told of everything that this process changes.

        Raises:
            ValueError: the rate is not from 0 to 1.
        """
        self.changed = changed
        self._choices = choices
        self.synthetic = SyntheticRule(rate, seed)
        self._now = now
        self._cached: _Cached | None = None
        self._resolving = asyncio.Lock()

    async def opt_out(
        self, number: int, *, registered_at: datetime | None = None, channel: Channel = Channel.STAFF
    ) -> Choice:
        """Record that one person opted out, now or at ``registered_at``.

        Raises:
            ValueError: the number has more than ten digits or is negative.
        """
        return await self._choose(number, True, registered_at, channel)

    async def withdraw(
        self, number: int, *, registered_at: datetime | None = None, channel: Channel = Channel.STAFF
    ) -> Choice:
        """Record that one person withdrew their opt-out; the synthetic rule no longer counts for them.

        Raises:
            ValueError: the number has more than ten digits or is negative.
        """
        return await self._choose(number, False, registered_at, channel)

    async def load(
        self,
        numbers: Numbers | Iterable[int],
        *,
        opted_out: bool = True,
        registered_at: datetime | None = None,
        channel: Channel = Channel.STAFF,
    ) -> int:
        """Record the same choice for many people at once, for all of them or none.

        Args:
            numbers: int64 (n,), or any integers; order and duplicates do not matter.
            opted_out: the choice; False for a withdrawal.
            registered_at: simulated time from which on it counts; None for now.
            channel: how the choices were made.

        Returns:
            How many different numbers there were.

        Raises:
            ValueError: a number has more than ten digits or is negative, or the time has no zone or is no
                time in UTC; nothing was recorded.
        """
        at = self._moment(registered_at)
        distinct = await asyncio.to_thread(_distinct, numbers)
        batches = [
            ChoiceBatch(opted_out, at, channel, distinct[start : start + BATCH_NUMBERS])
            for start in range(0, len(distinct), BATCH_NUMBERS)
        ]
        if batches:
            await self._choices.append(batches)
            self.changed()
        return len(distinct)

    async def clear(self) -> None:
        """Forget every choice: only the synthetic rule is left."""
        await self._choices.clear()
        self.changed()

    async def history(self, number: int) -> Sequence[Choice]:
        """List the choices recorded for one number, in the order in which they take effect."""
        found = [batch for batch in await self._choices.around(number) if batch.holds(number)]
        return [
            Choice(number, batch.opted_out, batch.registered_at, batch.channel)
            for batch in _in_effect_order(found)
        ]

    async def standing(self, number: int, at: datetime) -> Standing:
        """Look up where one person stands at the simulated time ``at``."""
        snapshot = await self.snapshot(at)
        history = await self.history(number)
        return Standing(
            at=at,
            opted_out=bool(snapshot.opted_out(np.array([number], np.int64))[0]),
            by_choice=any(choice.registered_at <= at for choice in history),
            history=history,
        )

    async def snapshot(self, at: datetime) -> OptOutSnapshot:
        """Give the register as it stands at the simulated time ``at``.

        The same object is given again until a choice is recorded or a future-dated one takes effect.
        """
        # The lock spares a second caller the same work; it would come to the same result.
        async with self._resolving:
            version = await self._choices.version()
            if self._cached is None or not self._cached.holds(version, self.synthetic, at):
                version, batches = await self._choices.recorded()
                many = sum(len(batch.numbers) for batch in batches) >= _THREAD_NUMBERS
                self._cached = (
                    await asyncio.to_thread(self._resolve, version, batches, at)
                    if many
                    else self._resolve(version, batches, at)
                )
            return self._cached.snapshot

    async def statistics(self, at: datetime) -> Statistics:
        """Count the explicit choices valid at the simulated time ``at``."""
        snapshot = await self.snapshot(at)
        return Statistics(len(snapshot.explicit), len(snapshot.withdrawn), self.synthetic.rate)

    async def by_channel(self) -> Sequence[ChannelTally]:
        """Count the choices recorded, for every channel, whether they are valid or others came later."""
        counts = await self._choices.by_channel()
        return [
            ChannelTally(channel, counts.get((channel, True), 0), counts.get((channel, False), 0))
            for channel in Channel
        ]

    def _moment(self, registered_at: datetime | None) -> datetime:
        """Give the time from which a choice counts, in UTC."""
        if registered_at is None:
            return self._now()
        try:
            return in_utc(registered_at)
        except ValueError as error:
            raise ValueError(f"registered_at {error}") from None

    async def _choose(
        self, number: int, opted_out: bool, registered_at: datetime | None, channel: Channel
    ) -> Choice:
        choice = Choice(number, opted_out, self._moment(registered_at), channel)
        numbers = _distinct([number])
        await self._choices.append([ChoiceBatch(opted_out, choice.registered_at, channel, numbers)])
        self.changed()
        return choice

    def _resolve(self, version: int, batches: Sequence[ChoiceBatch], at: datetime) -> _Cached:
        past = [batch for batch in batches if batch.registered_at <= at]
        snapshot = resolve(
            [(batch.numbers, batch.opted_out) for batch in _in_effect_order(past)], self.synthetic
        )
        since = max((batch.registered_at for batch in past), default=_FIRST)
        until = min((batch.registered_at for batch in batches if batch.registered_at > at), default=_LAST)
        return _Cached(snapshot, version, since, until)


def _in_effect_order(batches: Sequence[ChoiceBatch]) -> list[ChoiceBatch]:
    # sorted() is stable: of two registered at the same time, the one recorded later stays later.
    return sorted(batches, key=lambda batch: batch.registered_at)


def _distinct(numbers: Numbers | Iterable[int]) -> Numbers:
    try:
        given = numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, np.int64)
    except OverflowError:
        given = np.array([-1], np.int64)
    # Sorted by hand: numpy's own unique() hashes first and takes fifty times as long.
    ordered = np.sort(given)
    distinct: Numbers = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    if len(distinct) and (distinct[0] < 0 or distinct[-1] > _HIGHEST):
        # The number itself is not named: it may be a real one, mistyped.
        raise ValueError("an NHS number has ten digits")
    return distinct
