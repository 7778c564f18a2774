"""The reports behind the witness pages: made one at a time, while pages show what there is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from pages import visiting
from support import Simulator

from mesh_sim.clock import real_now
from mesh_sim.exchange.events import Kind
from mesh_sim.web import witness_reports
from mesh_sim.web.witness_reports import WitnessReports

BOX: Final = "X26ABC1"
HERE: Final = f"/witness/{BOX}"

Judge = Callable[..., Awaitable[Any]]


class Bench:
    """Has the reports of a simulator wait until they may be made, and counts them."""

    def __init__(self, judge: Judge) -> None:
        self.made: list[str] = []
        self.most_at_once = 0
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self._at_once = 0
        self._judge = judge

    async def report(self, mailbox_id: str) -> Any:
        """Make a report, once it may be."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.begun.set()
        await self.may_go_on.wait()
        try:
            return await self._judge(mailbox_id)
        finally:
            self._at_once -= 1
            self.made.append(mailbox_id)


@pytest.fixture
def bench(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Reports that wait."""
    conductor = simulator.server.conductor
    slow = Bench(conductor.report)
    monkeypatch.setattr(conductor, "report", slow.report)
    return slow


@pytest.fixture
async def reports(simulator: Simulator) -> Any:
    """Reports of the simulator, kept apart from those of its pages."""
    made = WitnessReports(simulator.server.conductor, simulator.server.exchange)
    yield made
    await made.close()


async def test_a_page_waits_for_no_report(simulator: Simulator, bench: Bench) -> None:
    """It says that it is being judged; whoever watches is told once it is, and then it is there."""
    await simulator.caller().inbox()
    events = simulator.server.exchange.events
    async with visiting(simulator.url) as visitor:
        with events.gather({Kind.WITNESS}, BOX) as news:
            assert "being judged" in (await visitor.get(HERE)).text
            bench.may_go_on.set()
            async with asyncio.timeout(20):
                assert await news.next() == {Kind.WITNESS}
        page = await visitor.get(HERE)
        assert "being judged" not in page.text
        assert "from 1 request;" in page.text
        assert bench.made == [BOX]


async def test_the_latest_report_is_shown_at_once(simulator: Simulator, bench: Bench) -> None:
    """While a newer one is being made, the page shows the one before, and says that there is more."""
    bench.may_go_on.set()
    async with visiting(simulator.url) as visitor:
        await simulator.caller().inbox()
        while "from 1 request;" not in (await visitor.get(HERE)).text:
            pass
        bench.may_go_on.clear()
        await simulator.caller().inbox()
        page = await visitor.get(HERE)
        assert "from 1 request; these times are real, not simulated. There is more by now" in page.text


async def test_one_is_made_at_a_time(simulator: Simulator, bench: Bench, reports: WitnessReports) -> None:
    """Whoever asks for the same at the same moment shares it; another mailbox's comes after it."""
    asking = [
        asyncio.create_task(reports.current(mailbox)) for mailbox in (BOX, "X26ABC2", BOX, "X26ABC2", BOX)
    ]
    await bench.begun.wait()
    asking.append(asyncio.create_task(reports.current(BOX)))  # of the one that is being made
    await asyncio.sleep(0)
    bench.may_go_on.set()
    found = await asyncio.gather(*asking)
    assert [report.mailbox for report in found] == [BOX, "X26ABC2", BOX, "X26ABC2", BOX, BOX]
    assert (bench.made, bench.most_at_once) == ([BOX, "X26ABC2"], 1)


async def test_a_report_is_kept_until_something_happens(
    simulator: Simulator, reports: WitnessReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further request, a step of the rehearsal, or a minute in which something may be late makes it old."""
    conductor = simulator.server.conductor
    await conductor.start(BOX, "704")
    first = await reports.current(BOX)
    assert await reports.current(BOX) is first
    await simulator.caller("X26ABC2").inbox()
    assert await reports.current(BOX) is first
    await simulator.caller().inbox()
    second = await reports.current(BOX)
    assert second is not None
    assert second.requests == 1
    await conductor.stop(BOX)
    third = await reports.current(BOX)
    assert third is not second
    assert reports.is_current(BOX)
    monkeypatch.setattr(witness_reports, "real_now", lambda: real_now() + timedelta(minutes=1))
    assert not reports.is_current(BOX)


async def test_a_report_of_a_rehearsal_that_was_forgotten(
    simulator: Simulator, reports: WitnessReports
) -> None:
    """After a reset it is not shown for the next rehearsal, however alike the two stand."""
    conductor = simulator.server.conductor
    await conductor.start(BOX, "704")
    before = await reports.current(BOX)
    position = conductor.position(BOX)
    await simulator.server.fresh_start.everything()
    await conductor.start(BOX, "704")
    conductor._parts[BOX].version = position[0]
    assert conductor.position(BOX) == position
    assert not reports.is_current(BOX)
    assert await reports.latest(BOX, patience_s=0) is None
    assert await reports.current(BOX) is not before


async def test_a_report_made_too_late_counts_for_what_was_before(
    simulator: Simulator, bench: Bench, reports: WitnessReports
) -> None:
    """What happens while a report is being made is not taken to be in it."""
    making = asyncio.create_task(reports.current(BOX))
    await bench.begun.wait()
    await simulator.caller().inbox()
    bench.may_go_on.set()
    await making
    assert not reports.is_current(BOX)


async def test_who_takes_a_report_along_waits_for_no_rest(
    simulator: Simulator, reports: WitnessReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after a report, there for the clients' sake, ends once one is asked for to be kept."""
    monkeypatch.setattr(witness_reports, "_RESTING", 1e9)
    monkeypatch.setattr(witness_reports, "_LONGEST_REST_S", 1e9)
    await reports.current(BOX)
    await simulator.caller().inbox()
    assert await reports.latest(BOX, patience_s=0.01) is not None
    assert not reports.is_current(BOX)
    async with asyncio.timeout(20):
        await reports.current(BOX)
    assert reports.is_current(BOX)


async def test_the_reports_of_few_mailboxes_are_kept(
    simulator: Simulator, reports: WitnessReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those made last, so that a simulator with many mailboxes keeps few of them in memory."""
    monkeypatch.setattr(witness_reports, "MOST_KEPT", 2)
    for mailbox in (BOX, "X26ABC2", "X26ABC3"):
        await reports.current(mailbox)
    assert list(reports._kept) == ["X26ABC2", "X26ABC3"]


async def test_a_report_that_cannot_be_made(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and said; the page still shows the case, and nobody is sent round in circles."""

    async def fail(_mailbox: str) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(simulator.server.conductor, "report", fail)
    await simulator.server.conductor.start(BOX, "704")
    caplog.set_level(logging.CRITICAL, "mesh_sim.web")
    with simulator.server.exchange.events.watch(kinds=(Kind.WITNESS,)) as news:
        async with visiting(simulator.url) as visitor:
            page = await visitor.get(HERE)
            assert page.status == 200
            assert "Now: 704" in page.text
            assert (await visitor.get(f"{HERE}/report")).title == "The report cannot be made"
        await simulator.server.conductor.stop(BOX)
        told = await news.next()
        assert told is not None
        assert told.data["state"] == "ended"
