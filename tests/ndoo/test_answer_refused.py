"""An answer that cannot be the one to the list is refused, kept aside, and left in the inbox."""

from __future__ import annotations

import gzip
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from practices import HERE, POOL, SERVICE, Staged, World, records, table

from ndoo.cache import CacheHeader, CacheWriter
from ndoo.check import submit
from ndoo.errors import UnexpectedAnswer
from ndoo.journal import Form, Stage
from ndoo.lists import generate

STRANGERS = [int(number) for batch in generate(90, seed=7) for number in batch][60:]
"""Valid numbers that are not in POOL."""


def cache_of(local_id: str, numbers: list[int]) -> bytes:
    """Make the temporary cache that a service would answer with."""
    now = datetime.now(UTC)
    writer = CacheWriter(CacheHeader(now, now + timedelta(days=21), HERE, local_id), "password")
    return writer.start() + writer.records(records(numbers)) + writer.finish()


@pytest.mark.parametrize("form", list(Form))
async def test_numbers_that_were_never_submitted_are_refused(staged: Staged, form: Form) -> None:
    """One stranger among the numbers, and nothing is written, acknowledged or downloaded a second time."""
    world = staged.world
    source = world.source(table(POOL), "patients.csv")
    output = world.folder / "out"
    submission = await submit(world.mailbox, world.journal, source, output, form=form)
    numbers = [*POOL[:5], STRANGERS[0]]
    body = cache_of(submission.local_id, numbers) if form is Form.CACHE else records(numbers)
    message_id = await staged.send(submission, body)
    with pytest.raises(UnexpectedAnswer, match="has 1 NHS numbers that were not submitted") as raised:
        await world.collect(submission)
    aside = world.journal.refused(submission.local_id, message_id)
    assert str(aside) in str(raised.value)
    assert aside.read_bytes() == body
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert not output.exists()
    assert await world.waiting() == [message_id]
    assert world.journal.get(submission.local_id).stage is Stage.SENT

    with pytest.raises(UnexpectedAnswer, match="was looked at before and refused"):
        await world.collect(submission)
    assert not any(str(number) in str(raised.value) for number in numbers)


async def test_a_right_answer_after_a_refused_one_is_taken(staged: Staged) -> None:
    """The service may put it right: a second answer is looked at, and ends the submission."""
    world = staged.world
    submission = await world.submit()
    wrong = await staged.send(submission, records(STRANGERS[:2]))
    with pytest.raises(UnexpectedAnswer):
        await world.collect(submission)
    await staged.send(submission, records(POOL[:5]))
    result = await world.collect(submission)
    assert result.output.read_bytes() == records(POOL[:5])
    assert await world.waiting() == [wrong]
    assert world.kept() == [world.journal.refused(submission.local_id, wrong).name]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    numbers=st.lists(st.sampled_from([*POOL, *STRANGERS[:3]]), max_size=20),
    form=st.sampled_from([Form.LIST, Form.TABLE, Form.CACHE]),
)
async def test_no_output_ever_holds_a_number_that_was_not_submitted_or_not_answered(
    staged: Staged, numbers: list[int], form: Form
) -> None:
    """Whatever the service answers, it is refused, or the output holds exactly what was answered."""
    world = staged.world
    source = world.source(table(POOL), "patients.csv")
    output = world.folder / "out"
    submission = await submit(world.mailbox, world.journal, source, output, form=form, force=True)
    body = cache_of(submission.local_id, numbers) if form is Form.CACHE else records(numbers) or b"\n"
    message_id = await staged.send(submission, body)
    output.unlink(missing_ok=True)
    if set(numbers) <= set(POOL) and len(set(numbers)) == len(numbers):
        await world.collect(submission)
        content = output.read_text()
        assert {number for number in [*POOL, *STRANGERS] if str(number) in content} == set(numbers)
    else:
        with pytest.raises(UnexpectedAnswer):
            await world.collect(submission)
        assert not output.exists()
        await world.mailbox.acknowledge(message_id)


@pytest.mark.parametrize(("numbers", "reason"), [([], "is empty"), ([POOL[0]] * 3, "repeats NHS numbers")])
async def test_an_answer_that_went_wrong_on_the_way_is_refused(
    staged: Staged, numbers: list[int], reason: str
) -> None:
    """Nothing at all is not "nobody left", and a number that was sent once does not come back twice."""
    world = staged.world
    submission = await world.submit()
    if numbers:
        await staged.send(submission, records(numbers))
    else:
        # MESH takes no empty body, but gzip of nothing is one.
        named = {"Mex-LocalID": submission.local_id, "Mex-FileName": f"{submission.local_id}.dat"}
        answer = await world.simulator.caller(SERVICE).send(
            gzip.compress(b""),
            to=HERE,
            workflow=submission.workflow_id,
            headers={"Content-Encoding": "gzip", "Mex-Subject": submission.subject, **named},
        )
        assert answer.status == 202
    with pytest.raises(UnexpectedAnswer, match=reason):
        await world.collect(submission)
    with pytest.raises(UnexpectedAnswer, match="was looked at before and refused"):
        await world.collect(submission)
    assert not (world.folder / "out.dat").exists()


async def test_an_answer_to_a_list_that_is_not_kept_is_still_taken(world: World) -> None:
    """Where the kept list is gone, there is nothing to compare with, and the answer is judged without."""
    submission = await world.submit()
    world.journal.list_of(submission.local_id).unlink()
    assert (await world.collect(submission)).returned > 0
