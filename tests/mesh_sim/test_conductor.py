"""The conductor: stages set up over a real server, clients watched until they are done, stages put back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import pytest
from controls import control
from support import MakeSimulator, Simulator

from mesh_sim import Simulator as PlainSimulator
from mesh_sim.conductor.errors import StageTaken
from mesh_sim.conductor.kept import Kept
from mesh_sim.conductor.part import MOST_WATCHED, Part
from mesh_sim.conductor.state import State
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.witness.cases.base import (
    Action,
    Case,
    Disabled,
    Expiry,
    NoSuchMessage,
    Prop,
    SendTo,
    Step,
    Waiting,
)
from mesh_sim.witness.journal import Entry, JournalFilter
from mesh_sim.witness.originals import blocks
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, NOBODY, WORKFLOW, Attempt, Rehearsal
from mesh_sim.witness.trace import Trace

BOX: Final = "X26ABC1"
PATIENCE: Final = timedelta(seconds=20)
Done = Callable[[Trace], bool]


def met(operation: str) -> Done:
    """Say that a step is done once a request for this operation was seen in it."""

    def done(trace: Trace) -> bool:
        assert trace.attempt is not None
        current = trace.during(len(trace.attempt.steps_at) - 1)
        return any(entry.operation == operation for entry in current)

    return done


ACKNOWLEDGED: Final = met("acknowledge")


def step(*props: Prop, done: Done = ACKNOWLEDGED, **options: Any) -> Step:
    """Make a step."""
    return Step(Action.COLLECT, "collect {count} in {mailbox}, {message_id}", done, props, **options)


def stage(simulator: Simulator, *steps: Step, case: str = "x1") -> str:
    """Have the simulator know one more case; give its id."""
    made = Case(case, "tests", "a case", (), lambda trace: trace.within, steps)
    simulator.server.conductor.cases[case] = made
    return case


def md5(data: bytes) -> str:
    """Give the MD5 of bytes in hex."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def until(simulator: Simulator, wanted: Callable[[State], bool], mailbox: str = BOX) -> State:
    """Wait until a rehearsal stands as wanted."""
    conductor = simulator.server.conductor
    state: State = await conductor.state(mailbox)
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not wanted(state):
            state = await conductor.changed(mailbox, state.version, PATIENCE)
    return state


def ended(state: State) -> bool:
    """Tell whether no case is under way."""
    return state.cue is None


async def active(simulator: Simulator, mailbox: str = BOX) -> bool:
    """Tell whether the mailbox is let in."""
    answer = await simulator.caller(mailbox).get("inbox")
    assert answer.status in (200, 403)
    return answer.status == 200


# -- the props -------------------------------------------------------------------------------------------


async def test_messages_wait_until_they_are_collected(simulator: Simulator) -> None:
    """They come from the counterpart, as the cue says; once they are acknowledged the case ends by itself."""

    def all_acknowledged(trace: Trace) -> bool:
        assert trace.attempt is not None
        seen = {entry.message_id for entry in trace.within if entry.operation == "acknowledge"}
        return seen >= set(trace.attempt.message_ids)

    case = stage(simulator, step(Waiting(count=3, size=100), done=all_acknowledged))
    state = await simulator.server.conductor.start(BOX, case)
    caller = simulator.caller()
    waiting = await caller.inbox()
    assert state.cue is not None
    assert (state.cue.count, state.cue.message_id, len(waiting)) == (3, waiting[0], 3)
    assert state.cue.tell == f"collect 3 in {BOX}, {waiting[0]}"
    (attempt,) = state.rehearsal.attempts
    assert attempt.message_ids == tuple(waiting)
    for message_id in waiting:
        answer = await caller.get(f"inbox/{message_id}")
        assert (answer.headers["Mex-From"], answer.body) == (COUNTERPART, b"".join(blocks(case, 100)))
        assert attempt.original is not None
        assert attempt.original.md5 == md5(answer.body)
        assert (await simulator.server.conductor.state(BOX)).cue is not None
        await caller.acknowledge(message_id)
    assert (await until(simulator, ended)).rehearsal.attempts[0].ended_at is not None


async def test_a_large_message_waits_in_chunks_each_compressed_by_itself(simulator: Simulator) -> None:
    """Bodies past what is kept beside a message stream to the payload store, as gzip where the case asks."""
    case = stage(simulator, step(Waiting(size=300_000, chunks=2, gzip=True)))
    (attempt,) = (await simulator.server.conductor.start(BOX, case)).rehearsal.attempts
    (message_id,) = attempt.message_ids
    caller = simulator.caller()
    parts = []
    for path, status in ((f"inbox/{message_id}", 206), (f"inbox/{message_id}/2", 200)):
        answer = await caller.get(path, headers={"Accept-Encoding": "gzip"})
        assert (answer.status, answer.headers["Content-Encoding"]) == (status, "gzip")
        assert answer.mex()["mex-content-compressed"] == "Y"
        parts.append(gzip.decompress(answer.body))
    assert b"".join(parts) == b"".join(blocks(case, 300_000))
    assert attempt.original is not None
    assert attempt.original.md5 == md5(b"".join(parts))
    assert attempt.original.chunk_md5s == tuple(map(md5, parts))


async def test_the_client_is_told_whom_to_send_what_to(simulator: Simulator) -> None:
    """With a size there is a certain file to send, with its digest; without, any file will do."""
    conductor = simulator.server.conductor
    step_of = lambda prop: replace(step(prop), action=Action.SEND)  # noqa: E731
    cue = (await conductor.start(BOX, stage(simulator, step_of(SendTo(COUNTERPART, 5_000))))).cue
    assert (cue.to, cue.file.size, cue.file.md5) == (COUNTERPART, 5_000, md5(b"".join(blocks("x1", 5_000))))
    cue = (await conductor.start(BOX, stage(simulator, step_of(SendTo(NOBODY))))).cue
    assert (cue.to, cue.file) == (NOBODY, None)
    assert (await simulator.caller().send(to=NOBODY)).status == 417


async def test_an_id_that_no_message_has(simulator: Simulator) -> None:
    """The id that the client is told of is well formed, and its download is 404."""
    cue = (await simulator.server.conductor.start(BOX, stage(simulator, step(NoSuchMessage())))).cue
    answer = await simulator.caller().get(f"inbox/{cue.message_id}")
    assert answer.status == 404
    assert answer.json()["errorCode"] == "20"


@pytest.mark.parametrize("how", ["done", "finish", "stop", "another case", "reset", "everything"])
async def test_a_disabled_mailbox_is_enabled_again(simulator: Simulator, how: str) -> None:
    """While the step lasts every request is 403; however it ends, the mailbox is let in afterwards."""
    conductor = simulator.server.conductor
    done = (lambda trace: len(trace.within) > 1) if how == "done" else lambda trace: False
    await conductor.start(BOX, stage(simulator, step(Disabled(), done=done)))
    assert not await active(simulator)
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "done": lambda: active(simulator),
        "finish": lambda: conductor.finish(BOX, 0, 1),
        "stop": lambda: conductor.stop(BOX),
        "another case": lambda: conductor.start(BOX, stage(simulator, step(NoSuchMessage()), case="x2")),
        "reset": lambda: control(simulator.url, "DELETE", "/admin/reset"),
        "everything": lambda: control(simulator.url, "DELETE", "/admin/reset?everything=true"),
    }
    await ways[how]()
    if how == "done":
        await until(simulator, ended)
    assert await active(simulator)


async def test_a_mailbox_that_was_disabled_before_stays_so(simulator: Simulator) -> None:
    """The rehearsal enables only what it has disabled."""
    await simulator.server.core.mailboxes.change(BOX, {"active": False})
    await simulator.server.conductor.start(BOX, stage(simulator, step(Disabled())))
    await simulator.server.conductor.stop(BOX)
    assert not await active(simulator)


async def test_time_passes_once_the_message_is_sent(simulator: Simulator) -> None:
    """By itself the next step is set up: the report on the message sent waits, and is the one to collect.

    What the counterpart was sent it has collected: no report comes of that.
    """

    def both_sent(trace: Trace) -> bool:
        return len([entry for entry in trace.within if entry.operation == "send"]) == 2

    case = stage(simulator, step(SendTo(DORMANT), done=both_sent), step(Expiry()))
    caller = simulator.caller()
    await simulator.server.conductor.start(BOX, stage(simulator, step(SendTo(COUNTERPART)), case="x2"))
    to_counterpart = await caller.sent(to=COUNTERPART, workflow=WORKFLOW)
    await simulator.server.conductor.start(BOX, case)
    assert (await caller.track(to_counterpart))["status"] == "acknowledged"
    await caller.sent(to=COUNTERPART, workflow=WORKFLOW)
    sent = await caller.sent(to=DORMANT, workflow=WORKFLOW)
    state = await until(simulator, lambda state: state.cue is not None and state.cue.step == 1)
    assert simulator.clock.offset == timedelta(days=5, seconds=1)
    (report_id,) = await caller.inbox()
    assert state.cue is not None
    assert state.cue.message_id == report_id
    assert state.rehearsal.attempts[-1].report_id == report_id
    answer = await caller.get(f"inbox/{report_id}")
    assert answer.mex()["mex-linkedmsgid"] == sent
    await caller.acknowledge(report_id)
    await until(simulator, ended)


async def test_a_message_that_nobody_collected_is_gone(simulator: Simulator) -> None:
    """Props follow each other: what was put into the inbox expires, and its download is 410."""
    state = await simulator.server.conductor.start(BOX, stage(simulator, step(Waiting(), Expiry())))
    caller = simulator.caller()
    assert await caller.inbox() == []
    assert (await caller.get(f"inbox/{state.cue.message_id}")).status == 410


async def test_a_recipient_that_is_not_as_the_case_needs_it(simulator: Simulator) -> None:
    """A mailbox with the id that none may have, or a disabled counterpart, is named; nothing is set up."""
    conductor, mailboxes = simulator.server.conductor, simulator.server.core.mailboxes
    await conductor.start(BOX, "702")
    await mailboxes.create(Mailbox(NOBODY, "somebody", "password"))
    with pytest.raises(StageTaken, match=f"there is a mailbox {NOBODY}"):
        await conductor.start(BOX, "702")
    await mailboxes.change(COUNTERPART, {"active": False})
    with pytest.raises(StageTaken, match=f"{COUNTERPART}, which the case needs, is disabled"):
        await conductor.start(BOX, "201")
    await mailboxes.change(COUNTERPART, {"active": True})
    await conductor.start(BOX, "201")


# -- from step to step -----------------------------------------------------------------------------------


async def test_a_client_is_watched_on_before_the_case_ends(simulator: Simulator) -> None:
    """A step that is done settles for its time; then the case ends without anybody's doing."""
    settle = timedelta(seconds=0.2)
    case = stage(simulator, step(done=met("list"), settle=settle))
    await simulator.server.conductor.start(BOX, case)
    await simulator.caller().inbox()
    state = await until(simulator, lambda state: state.cue is not None and state.cue.done)
    assert state.cue is not None
    assert state.cue.settling
    done_at = datetime.now(UTC)
    state = await until(simulator, ended)
    assert state.rehearsal.attempts[0].ended_at is not None
    assert state.rehearsal.attempts[0].ended_at - done_at > settle / 2


async def test_whoever_says_that_they_finished_need_not_wait(simulator: Simulator) -> None:
    """A step that is done goes on at once, one that is not ends the case; each status is kept."""
    conductor = simulator.server.conductor
    long = timedelta(hours=1)
    case = stage(simulator, step(done=met("list"), settle=long), step(done=met("count"), settle=long))
    await conductor.start(BOX, case)
    await simulator.caller().inbox()
    state = await conductor.finish(BOX, 0, 3)
    assert state.cue.step == 1
    state = await conductor.finish(BOX, 1, None)
    assert ended(state)
    assert state.rehearsal.attempts[0].exit_statuses == (3, None)


async def test_a_command_may_end_after_its_step(simulator: Simulator) -> None:
    """Its status is kept of the step it drove, though the case has gone on, or ended; no other step is."""
    conductor = simulator.server.conductor
    case = stage(simulator, step(done=met("list")), step(done=met("count")))
    await conductor.start(BOX, case)
    with pytest.raises(StageTaken, match="step 1 of case x1 is not set up"):
        await conductor.finish(BOX, 1, 0)
    await simulator.caller().inbox()
    await until(simulator, lambda state: state.cue is not None and state.cue.step == 1)
    assert (await conductor.finish(BOX, 0, 0)).cue.step == 1
    await simulator.caller().get("count")
    await until(simulator, ended)
    (attempt,) = (await conductor.finish(BOX, 1, 2)).rehearsal.attempts
    assert attempt.exit_statuses == (0, 2)


async def test_an_attempt_that_is_not_finished_leaves_nothing(simulator: Simulator) -> None:
    """A further case replaces the one under way; its messages are out of the inbox, others stay there."""
    conductor = simulator.server.conductor
    case = stage(simulator, step(Waiting(count=30)))
    await conductor.start(BOX, case)
    own = await simulator.caller("X26ABC2").sent(to=BOX, workflow=WORKFLOW)
    state = await conductor.start(BOX, case)
    first, second = state.rehearsal.attempts
    assert (first.ended_at is None, second.ended_at is None) == (False, True)
    caller = simulator.caller()
    assert await caller.inbox() == [own, *second.message_ids]
    await conductor.stop(BOX)
    assert await caller.inbox() == [own]


async def test_a_fresh_rehearsal_forgets_the_attempts(simulator: Simulator) -> None:
    """Without it attempts add up."""
    conductor, case = simulator.server.conductor, stage(simulator, step())
    for count, fresh in ((1, False), (2, False), (1, True)):
        state = await conductor.start(BOX, case, fresh=fresh)
        assert len(state.rehearsal.attempts) == count
        assert state.rehearsal.begun_at <= state.rehearsal.attempts[0].steps_at[0]


async def test_requests_under_the_mailbox_in_lower_case_are_heard(simulator: Simulator) -> None:
    """MESH takes a mailbox id in either letter case, and so does the conductor."""
    await simulator.server.conductor.start(BOX, stage(simulator, step(done=met("list"))))
    assert BOX in simulator.server.conductor.rehearsing
    await simulator.caller().get(f"/messageexchange/{BOX.lower()}/inbox")
    await until(simulator, ended)


def _broken(trace: Trace) -> bool:
    if trace.within:
        raise RuntimeError("no such thing")
    return False


@pytest.mark.parametrize(
    "steps",
    [(step(done=_broken),), (step(done=met("list")), step(cast("Prop", "none that there is")))],
    ids=["watching", "setting up"],
)
async def test_a_case_that_breaks_harms_nobody(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, steps: tuple[Step, ...]
) -> None:
    """A fault in a case is logged once; the case can be ended, and others go on."""
    conductor = simulator.server.conductor
    await conductor.start(BOX, stage(simulator, *steps))
    await conductor.start("X26ABC2", stage(simulator, step(done=met("count")), case="x2"))
    await simulator.caller().inbox()
    for _ in range(20):
        await simulator.caller("X26ABC2").inbox()
    await simulator.caller("X26ABC2").get("count")
    await until(simulator, ended, "X26ABC2")
    assert caplog.text.count("the rehearsal of mailbox X26ABC1 cannot go on") == 1
    assert ended(await conductor.stop(BOX))


# -- the clock -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_case", "mailbox", "wanted", "taken"),
    [
        ("moves", "X26ABC2", "stays", True),
        ("stays", "X26ABC2", "moves", True),
        ("moves", BOX, "stays", True),
        ("stays", BOX, "moves", False),
        ("moves", BOX, "moves", False),
        ("stays", "X26ABC2", "stays", False),
    ],
)
async def test_the_clock_is_one_case_s_at_a_time(
    simulator: Simulator, open_case: str, mailbox: str, wanted: str, taken: bool
) -> None:
    """While one case needs simulated time, no other is begun; the refusal says which, and how to end it."""
    stage(simulator, step(done=met("send")), step(Expiry()), case="moves")
    stage(simulator, step(), case="stays")
    conductor = simulator.server.conductor
    await conductor.start(BOX, open_case)
    if not taken:
        await conductor.start(mailbox, wanted)
        return
    with pytest.raises(StageTaken) as refused:
        await conductor.start(mailbox, wanted)
    for said in (f"case {open_case}", "in case moves", f"mesh-sim witness stop --mailbox {BOX}"):
        assert said in str(refused.value)
    assert (await conductor.state(BOX)).cue.case == open_case
    await conductor.stop(BOX)
    await conductor.start(mailbox, wanted)


async def test_a_clock_that_cannot_be_moved(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """At its limit a start is refused and leaves nothing; a later step ends the case, and the log says so."""
    await simulator.server.core.time.advance(timedelta(days=36_525))
    conductor = simulator.server.conductor
    with pytest.raises(StageTaken, match="simulated clock"):
        await conductor.start(BOX, stage(simulator, step(Waiting(), Expiry())))
    assert await simulator.caller().inbox() == []
    assert BOX not in conductor.rehearsing
    await conductor.start(BOX, stage(simulator, step(Waiting(), done=met("list")), step(Expiry())))
    await simulator.caller().inbox()
    await until(simulator, ended)
    assert "case x1 of mailbox X26ABC1 ends, as its next step cannot be set up" in caplog.text
    assert await simulator.caller().inbox() == []


# -- storage ---------------------------------------------------------------------------------------------


async def test_a_stage_that_cannot_be_kept(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Where the payload store fails, whoever starts the case is told, and nothing of it stays."""
    simulator = await make_simulator(data=tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "payloads" / "incoming")
    case = stage(simulator, step(Disabled(), Waiting(size=300_000)))
    with pytest.raises(StorageFailed):
        await simulator.server.conductor.start(BOX, case)
    assert await simulator.caller().inbox() == []
    answer = await control(simulator.url, "POST", "/admin/witness", {"mailbox": BOX, "case": case})
    assert answer.status == 503
    answer = await control(simulator.url, "GET", f"/admin/witness?mailbox={BOX}")
    assert answer.status == 404


async def test_a_rehearsal_goes_on_after_a_restart(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """What was done before the stop counts: sent then, and the inbox checked now, the case is done."""
    simulator = await make_simulator(data=tmp_path)
    before = await simulator.server.conductor.start(BOX, "201")
    await simulator.caller().sent(to=before.cue.to, workflow=WORKFLOW)
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    state = await simulator.server.conductor.state(BOX)
    assert (state.rehearsal, state.cue) == (before.rehearsal, before.cue)
    assert BOX in simulator.server.conductor.rehearsing
    await simulator.caller().inbox()
    assert len((await until(simulator, ended)).rehearsal.attempts) == 1


async def test_a_mailbox_is_not_left_disabled(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """A case under way keeps it disabled over a restart; without one, the start enables it."""
    simulator = await make_simulator(data=tmp_path)
    await simulator.server.conductor.start(BOX, "701")
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    assert not await active(simulator)

    def killed_before_it_was_staged(content: str) -> str:
        (kept,) = json.loads(content)
        kept["rehearsal"]["attempts"] = []
        return json.dumps([kept])

    await simulator.server.core.documents.change("witness", killed_before_it_was_staged)
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    assert await active(simulator)
    assert BOX not in simulator.server.conductor.rehearsing


async def test_a_stage_that_was_set_up_half_way_is_put_back(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """What waits in an inbox of an attempt that was never kept goes when the simulator starts."""
    simulator = await make_simulator(data=tmp_path)
    await simulator.server.conductor.start(BOX, stage(simulator, step(Waiting(count=3))))
    assert len(await simulator.caller().inbox()) == 3

    def killed_before_it_was_staged(content: str) -> str:
        (kept,) = json.loads(content)
        assert kept["staging"] is False
        kept["rehearsal"]["attempts"], kept["staging"] = [], True
        return json.dumps([kept])

    await simulator.server.core.documents.change("witness", killed_before_it_was_staged)
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    assert await simulator.caller().inbox() == []
    document = await simulator.server.core.documents.document("witness")
    assert document is not None
    assert document.content == "[]"


async def test_five_days_pass_once_however_often_the_simulator_is_killed(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """Where the clock was moved and the message expired, a restart finds the report, and moves it no more."""
    simulator = await make_simulator(data=tmp_path)
    await simulator.server.conductor.start(BOX, "703")
    await simulator.caller().sent(to=DORMANT, workflow=WORKFLOW)
    second = lambda state: state.cue is not None and state.cue.step == 1  # noqa: E731
    report_id = (await until(simulator, second)).cue.message_id

    def killed_before_it_was_kept(content: str) -> str:
        (kept,) = json.loads(content)
        (attempt,) = kept["rehearsal"]["attempts"]
        attempt["steps_at"].pop()
        attempt["report_id"] = ""
        return json.dumps([kept])

    await simulator.server.core.documents.change("witness", killed_before_it_was_kept)
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    assert (await until(simulator, second)).cue.message_id == report_id
    assert simulator.clock.offset == timedelta(days=5, seconds=1)
    assert await simulator.caller().inbox() == [report_id]


async def test_what_another_version_kept_stops_no_start(
    make_simulator: MakeSimulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rehearsals that cannot be read are forgotten with a warning; a case that is none any more ends."""
    simulator = await make_simulator(data=tmp_path)
    await simulator.server.conductor.start(BOX, stage(simulator, step(Waiting())))
    await simulator.stop()
    simulator = await make_simulator(data=tmp_path)
    state = await simulator.server.conductor.state(BOX)
    assert (state.cue, state.outcomes) == (None, (None,))
    assert await simulator.caller().inbox() == []
    await simulator.server.core.documents.change("witness", lambda _: '{"other": 1}')
    await simulator.stop()
    caplog.set_level(logging.WARNING)
    simulator = await make_simulator(data=tmp_path)
    assert "rehearsals of another version of mesh-sim cannot be read" in caplog.text
    assert not simulator.server.conductor.rehearsing


async def test_a_reset_of_everything_forgets_rehearsals(simulator: Simulator) -> None:
    """A reset of the messages ends the case under way; one of everything forgets the rehearsal as well."""
    conductor = simulator.server.conductor
    await conductor.start(BOX, stage(simulator, step(Waiting())))
    assert (await control(simulator.url, "DELETE", "/admin/reset")).status == 200
    state = await conductor.state(BOX)
    assert (state.cue, len(state.rehearsal.attempts)) == (None, 1)
    assert (await control(simulator.url, "DELETE", "/admin/reset?everything=true")).status == 200
    assert not conductor.rehearsing
    document = await simulator.server.core.documents.document("witness")
    assert document.content == "[]"


async def test_no_case_begins_amid_a_reset(simulator: Simulator) -> None:
    """A start that comes while the simulator is reset waits for it, and its stage stays."""
    conductor = simulator.server.conductor
    async with conductor.interrupted(forget=True):
        starting = asyncio.create_task(conductor.start(BOX, "401"))
        done, _ = await asyncio.wait((starting,), timeout=0.2)
        assert not done
        await simulator.server.core.desk.reset()
    (attempt,) = (await starting).rehearsal.attempts
    assert await simulator.caller().inbox() == list(attempt.message_ids)


# -- the journal -----------------------------------------------------------------------------------------


async def test_what_the_journal_lost_is_known(simulator: Simulator) -> None:
    """A journal emptied before the rehearsal lost nothing of it; emptied in the middle, it did."""
    conductor, caller = simulator.server.conductor, simulator.caller()
    await caller.inbox()
    await control(simulator.url, "DELETE", "/admin/journal")
    await conductor.start(BOX, stage(simulator, step()))
    assert (await conductor.seen(BOX))[1:] == ((), None)
    await caller.inbox()
    _, entries, lost = await conductor.seen(BOX)
    assert ([entry.operation for entry in entries], lost) == (["list"], None)
    await control(simulator.url, "DELETE", "/admin/journal")
    assert (await conductor.seen(BOX))[2] is not None
    await caller.get("count")
    _, (entry,), lost = await conductor.seen(BOX)
    assert (entry.operation, entry.at) == ("count", lost)


async def test_an_attempt_is_judged_once_however_many_wait_for_it(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who wait for a case's end have its outcome of one reading of the journal."""
    conductor, journal = simulator.server.conductor, simulator.server.journal
    state = await conductor.start(BOX, stage(simulator, step(done=met("list"))))
    waiting = [asyncio.create_task(conductor.changed(BOX, state.version, PATIENCE)) for _ in range(20)]
    readings, entries = [], journal.entries

    async def counted(wanted: JournalFilter) -> Sequence[Entry]:
        readings.append(wanted)
        return await entries(wanted)

    monkeypatch.setattr(journal, "entries", counted)
    await conductor.stop(BOX)
    for told in await asyncio.gather(*waiting):
        assert told.outcomes != (None,)
    assert len(readings) == 1


async def test_without_a_rehearsal_all_of_the_traffic_is_seen(simulator: Simulator) -> None:
    """A report may be made of a mailbox that nothing was started for."""
    await simulator.caller().inbox()
    rehearsal, entries, lost = await simulator.server.conductor.seen(BOX)
    assert (rehearsal, len(entries), lost) == (None, 1, None)


def test_only_so_many_requests_are_watched() -> None:
    """A client in a loop fills no memory: the latest requests stay, in the order in which they began."""
    begun = datetime(2026, 11, 24, tzinfo=UTC)
    part = Part(Kept(Rehearsal(BOX, begun, (Attempt("401", (begun,)),))))
    order = [*range(1, MOST_WATCHED + 2), 0]
    order[5], order[6] = order[6], order[5]
    for number in order:
        at = begun + timedelta(seconds=number)
        part.hear(Entry(number, at, at, BOX, "list", "GET", 200, 0, 0, 0.0))
    assert [entry.number for entry in part.heard] == list(range(2, MOST_WATCHED + 2))


def test_a_rehearsal_in_plain_python() -> None:
    """A program sets the stage, is told what to do, and has the report; mistakes are Python's own errors."""
    with PlainSimulator() as simulator:
        cue = simulator.rehearse("x26abc1", "401")
        (waiting,) = simulator.messages(BOX)
        assert (cue.case, cue.action, cue.message_id) == ("401", "collect", waiting.message_id)
        report = simulator.witness_report(BOX)
        assert (report.requests, {case.case: case.attempts for case in report.cases}["401"]) == (0, 1)
        simulator.rehearse(BOX, "703")
        with pytest.raises(RuntimeError, match="case 703 is under way"):
            simulator.rehearse("X26ABC2", "401")
        with pytest.raises(ValueError, match="no such case"):
            simulator.rehearse(BOX, "999")
        with pytest.raises(LookupError, match="no mailbox 'X26NONE'"):
            simulator.rehearse("X26NONE", "401")
        simulator.reset()
        assert simulator.witness_report(BOX).begun_at is None
