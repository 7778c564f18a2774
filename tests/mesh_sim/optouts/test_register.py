"""The opt-out register: choices, their history, and who has opted out at a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optout_world import World, opened

from mesh_sim.optouts.register import BATCH_NUMBERS, Channel, OptOutRegister
from mesh_sim.optouts.snapshot import SyntheticRule, resolve
from mesh_sim.storage.choices import SqlChoices
from ndoo.lists import Numbers

ONE, TWO, THREE = 9_990_000_018, 9_990_000_026, 9_990_000_034
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def array(*numbers: int) -> Numbers:
    """Write numbers as an array."""
    return np.array(numbers, np.int64)


@pytest.fixture
def register(world: World) -> OptOutRegister:
    """A register at noon in which only explicit choices count."""
    return OptOutRegister(SqlChoices(world.database), rate=0, seed=1, now=lambda: NOON)


@pytest.fixture
async def everybody(tmp_path: Path) -> AsyncIterator[OptOutRegister]:
    """A register at noon in which everybody without a choice has opted out."""
    async with opened(tmp_path) as world:
        yield OptOutRegister(SqlChoices(world.database), rate=1, seed=1, now=lambda: NOON)


async def opted_out(register: OptOutRegister, at: datetime, *numbers: int) -> list[bool]:
    """Ask the register about numbers at a moment."""
    return [bool(flag) for flag in (await register.snapshot(at)).opted_out(array(*numbers))]


async def test_choice_counts_from_its_time(register: OptOutRegister) -> None:
    """An opt-out counts from the moment at which it was registered, and not before."""
    await register.opt_out(ONE)
    assert await opted_out(register, NOON - timedelta(microseconds=1), ONE, TWO) == [False, False]
    assert await opted_out(register, NOON, ONE, TWO) == [True, False]


async def test_latest_choice_wins_whatever_the_order_of_recording(register: OptOutRegister) -> None:
    """Of several choices the one registered last is valid, even if it was recorded first."""
    await register.withdraw(ONE, registered_at=NOON + 2 * HOUR)
    await register.opt_out(ONE, registered_at=NOON + HOUR)
    assert await opted_out(register, NOON, ONE) == [False]
    assert await opted_out(register, NOON + HOUR, ONE) == [True]
    assert await opted_out(register, NOON + 2 * HOUR, ONE) == [False]


async def test_of_a_tie_the_later_recorded_wins(register: OptOutRegister) -> None:
    """Of two choices registered at the same time the one recorded later is valid."""
    await register.opt_out(ONE)
    await register.withdraw(ONE)
    await register.withdraw(TWO)
    await register.opt_out(TWO)
    assert await opted_out(register, NOON, ONE, TWO) == [False, True]


async def test_withdrawal_beats_the_synthetic_rule(everybody: OptOutRegister) -> None:
    """Somebody who withdrew has not opted out, however high the synthetic rate."""
    await everybody.withdraw(ONE)
    assert await opted_out(everybody, NOON, ONE, TWO) == [False, True]


async def test_future_choice_takes_effect_in_a_kept_snapshot(register: OptOutRegister) -> None:
    """A snapshot is given again until a future-dated choice takes effect, and also back in time."""
    await register.opt_out(ONE, registered_at=NOON + HOUR)
    before = await register.snapshot(NOON)
    assert await register.snapshot(NOON + HOUR / 2) is before
    after = await register.snapshot(NOON + HOUR)
    assert after is not before
    assert await opted_out(register, NOON, ONE) == [False]


async def test_new_choice_replaces_the_snapshot_but_does_not_change_it(register: OptOutRegister) -> None:
    """A choice recorded after a snapshot shows in the next one only, in every register on the store."""
    before = await register.snapshot(NOON)
    await register.opt_out(ONE)
    assert before.opted_out(array(ONE)).tolist() == [False]
    assert await opted_out(register, NOON, ONE) == [True]


async def test_history_is_kept(register: OptOutRegister) -> None:
    """Every choice of a number stays in its history, in the order of taking effect."""
    await register.withdraw(ONE, registered_at=NOON + HOUR, channel=Channel.PHONE)
    await register.load(array(TWO, ONE), registered_at=NOON, channel=Channel.POST)
    history = await register.history(ONE)
    assert [(choice.opted_out, choice.registered_at, choice.channel) for choice in history] == [
        (True, NOON, Channel.POST),
        (False, NOON + HOUR, Channel.PHONE),
    ]
    assert await register.history(THREE) == []


async def test_bulk_load_spans_batches(register: OptOutRegister) -> None:
    """A load of several batches counts each number once, and every one of them has opted out."""
    numbers = np.arange(9_990_000_000, 9_990_000_000 + 2 * BATCH_NUMBERS + 5, dtype=np.int64)
    shuffled = np.random.default_rng(1).permutation(np.append(numbers, numbers[:9]))
    assert await register.load(shuffled) == len(numbers)
    snapshot = await register.snapshot(NOON)
    assert snapshot.opted_out(numbers).all()
    assert not snapshot.opted_out(numbers + len(numbers)).any()
    assert len(await register.history(int(numbers[BATCH_NUMBERS]))) == 1


async def test_bulk_load_takes_any_iterable_and_may_withdraw(register: OptOutRegister) -> None:
    """Numbers may come as any iterable, and a load may be of withdrawals; an empty one does nothing."""
    assert await register.load(iter([ONE, TWO, ONE])) == 2
    assert await register.load([TWO], opted_out=False) == 1
    assert await register.load([]) == 0
    assert await opted_out(register, NOON, ONE, TWO) == [True, False]


@pytest.mark.parametrize("number", [-1, 10_000_000_000, 10**30])
async def test_what_has_not_ten_digits_is_refused(register: OptOutRegister, number: int) -> None:
    """A number that cannot be an NHS number is refused without being named, and nothing is recorded."""
    with pytest.raises(ValueError, match="ten digits") as refused:
        await register.load([ONE, number])
    assert str(number) not in str(refused.value)
    with pytest.raises(ValueError, match="ten digits"):
        await register.opt_out(number)
    assert (await register.statistics(NOON)).opted_out == 0


async def test_statistics_count_valid_choices(register: OptOutRegister) -> None:
    """Statistics count each person once, by the choice valid at that time."""
    await register.load([ONE, TWO])
    await register.withdraw(TWO, registered_at=NOON + HOUR)
    now, later = await register.statistics(NOON), await register.statistics(NOON + HOUR)
    assert (now.opted_out, now.withdrawn, now.rate) == (2, 0, 0)
    assert (later.opted_out, later.withdrawn) == (1, 1)


async def test_register_survives_a_restart(tmp_path: Path) -> None:
    """Choices recorded before a restart count after it."""
    async with opened(tmp_path) as world:
        await world.register.opt_out(ONE)
    async with opened(tmp_path) as world:
        assert await opted_out(world.register, world.clock.now(), ONE, TWO) == [True, False]


# -- the synthetic rule -----------------------------------------------------------------------------

SOME = np.arange(9_990_000_000, 9_990_200_000, dtype=np.int64)


def test_rate_nought_is_nobody_and_one_is_everybody() -> None:
    """At rate 0 nobody counts as opted out, and at rate 1 everybody."""
    assert not SyntheticRule(0, 1).opted_out(SOME).any()
    assert SyntheticRule(1, 1).opted_out(SOME).all()


@pytest.mark.parametrize("rate", [0.001, 0.054, 0.5, 0.999])
def test_share_is_close_to_the_rate(rate: float) -> None:
    """Of many consecutive numbers about the given share counts as opted out."""
    share = np.count_nonzero(SyntheticRule(rate, 7).opted_out(SOME)) / len(SOME)
    assert share == pytest.approx(rate, abs=5 * (rate * (1 - rate) / len(SOME)) ** 0.5)


def test_seeds_choose_independently() -> None:
    """Two neighbouring seeds agree no more often than chance has it."""
    first, second = (SyntheticRule(0.5, seed).opted_out(SOME) for seed in (1, 2))
    assert np.count_nonzero(first == second) / len(SOME) == pytest.approx(0.5, abs=0.01)


def test_synthetic_choices_are_fixed_for_ever() -> None:
    """The same seed chooses the same numbers in every version: tests of users rely on them."""
    chosen = SOME[:400][SyntheticRule(0.01, 1).opted_out(SOME[:400])]
    assert chosen.tolist() == [9990000074, 9990000093, 9990000146, 9990000320, 9990000354]


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_impossible_rate_is_refused(rate: float) -> None:
    """A rate that is no share is refused."""
    with pytest.raises(ValueError, match="rate"):
        SyntheticRule(rate, 1)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 30), unique=True), st.booleans()), max_size=12),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_resolving_is_replaying(choices: list[tuple[list[int], bool]], rate: float) -> None:
    """The valid choices are what one gets by applying all choices one after the other."""
    rule = SyntheticRule(rate, 3)
    everyone = np.arange(31, dtype=np.int64)
    expected = rule.opted_out(everyone)
    for numbers, flag in choices:
        expected[numbers] = flag
    batches = [(np.array(sorted(numbers), np.int64), flag) for numbers, flag in choices]
    assert resolve(batches, rule).opted_out(everyone).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 22, 12),  # noqa: DTZ001 - it is what is tested
        datetime.max.replace(tzinfo=timezone(-HOUR)),
        datetime.min.replace(tzinfo=timezone(HOUR)),
    ],
    ids=["no zone", "too late", "too early"],
)
async def test_a_time_that_could_not_be_read_back_is_refused(register: OptOutRegister, at: datetime) -> None:
    """A choice made at a time that is none in UTC is not recorded, and the register can be read as before."""
    with pytest.raises(ValueError, match="registered_at"):
        await register.opt_out(ONE, registered_at=at)
    with pytest.raises(ValueError, match="registered_at"):
        await register.load(array(ONE, TWO), opted_out=True, registered_at=at)
    assert await opted_out(register, NOON, ONE, TWO) == [False, False]


async def test_recorded_choices_are_counted_by_channel(register: OptOutRegister) -> None:
    """Every choice ever recorded counts under its channel, a later one of the same person too."""
    assert [tally.opted_out + tally.withdrawn for tally in await register.by_channel()] == [0] * len(Channel)
    await register.opt_out(ONE, channel=Channel.APP)
    await register.withdraw(ONE, channel=Channel.APP)
    await register.opt_out(TWO, registered_at=NOON + HOUR, channel=Channel.POST)
    await register.load(range(BATCH_NUMBERS + 5), channel=Channel.POST)
    tallies = {tally.channel: (tally.opted_out, tally.withdrawn) for tally in await register.by_channel()}
    assert list(tallies) == list(Channel)
    assert {channel: counts for channel, counts in tallies.items() if any(counts)} == {
        Channel.APP: (1, 1),
        Channel.POST: (BATCH_NUMBERS + 6, 0),
    }
    await register.clear()
    assert {tally.opted_out for tally in await register.by_channel()} == {0}
