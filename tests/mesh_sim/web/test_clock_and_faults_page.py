"""``/clock-and-faults``: the simulated clock, and what fails on purpose."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from controls import control
from pages import Page, visiting
from support import Callers, MakeSimulator, Simulator

from mesh_sim.exchange.events import KEPT
from mesh_sim.web.wording import spelled_out

PATH: Final = "/clock-and-faults"
BUSY: Final = {"action": "status", "status": "503", "operation": "send", "times": "2"}


def done(page: Page) -> str:
    """What a page says was done; '' where it says nothing."""
    said = page.root.all("p", class_="done")
    return said[0].text if said else ""


# -- the clock -------------------------------------------------------------------------------------


async def test_five_days_with_a_button(simulator: Simulator) -> None:
    """The clock goes forward, what falls due has happened, and the page says both."""
    await control(simulator.url, "POST", "/admin/messages", {"to": "X26ABC2", "count": 2})
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(PATH)
        assert "Simulated time is real time." in page.text
        assert [button.text for button in page.root.all("button", name="advance")] == [
            "1 hour",
            "1 day",
            "5 days",
        ]
        page = await visitor.submit(PATH, "/clock/advance", advance="5d")
        assert page.url.path == PATH
        assert done(page) == (
            "Simulated time went forward by 5 days. 2 messages that nobody collected became undeliverable, "
            "with a report to the sender."
        )
        assert "Simulated time is 5 days ahead of real time." in page.text
        page = await visitor.submit(PATH, "/clock/advance", advance="1h30m")
        assert done(page) == (
            "Simulated time went forward by 1 hour 30 minutes. No message expired or was deleted."
        )
        page = await visitor.submit(PATH, "/clock/advance", advance="30d")
        assert done(page).endswith(" 4 messages were deleted, as the time for that had come.")
    assert simulator.server.clock.offset == timedelta(days=35, hours=1, minutes=30)


@pytest.mark.parametrize(
    ("advance", "problem"),
    [
        ("", "Say how far, such as 5d or 1h30m"),
        ("soon", "'soon' is not a duration; write it like 5d, 12h, 40m, 30s or 1h30m"),
        ("-1d", "A length of time cannot be negative"),
        ("1000000d", "'1000000d' is longer than a century"),
    ],
)
async def test_a_wrong_length_of_time_is_kept(shared: Callers, advance: str, problem: str) -> None:
    """What is no length of time is said beside the field, with what was typed in it, and the clock stays."""
    async with visiting(shared.url) as visitor:
        page = await visitor.submit(PATH, "/clock/advance", advance=advance)
    assert page.status == 400
    assert page.problem("advance") == problem
    assert page.root.one("title").text == "Error: Clock and faults - mesh-sim"
    assert page.links()["the field"] == "#advance"
    assert page.root.one("input", name="advance").attributes["value"] == advance
    assert done(page) == ""
    assert "Simulated time is real time." in page.text


async def test_the_clock_goes_a_century_ahead_at_most(simulator: Simulator) -> None:
    """Beyond that it stays where it is, and the page says what to do."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit(PATH, "/clock/advance", advance="1h")
        page = await visitor.submit(PATH, "/clock/advance", advance="36525d")
    assert page.status == 400
    assert page.problem("advance") == "The simulated clock can be at most a century ahead; reset it first"
    assert page.root.one("input", name="advance").attributes["value"] == "36525d"
    assert simulator.server.clock.offset == timedelta(hours=1)


async def test_back_to_real_time(simulator: Simulator) -> None:
    """The page says beforehand what this does not undo, and afterwards that it was done."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit(PATH, "/clock/advance", advance="1d")
        page = await visitor.get(PATH)
        assert "Going back to real time undoes nothing" in page.text
        page = await visitor.submit(PATH, "/clock/reset")
        assert done(page) == "Simulated time is real time again. What had happened to messages stays."
    assert simulator.server.clock.offset == timedelta(0)


async def test_the_lifetimes_of_the_settings_are_told(make_simulator: MakeSimulator) -> None:
    """What follows the clock is written as this simulator has it."""
    simulator = await make_simulator(
        inbox_expiry=timedelta(days=2), ndoo_reply_delay=timedelta(hours=3), deletion=timedelta(days=9)
    )
    async with visiting(simulator.url) as visitor:
        text = (await visitor.get(PATH)).text
    assert "becomes undeliverable after 2 days" in text
    assert "is deleted after 9 days" in text
    assert "comes after 3 hours" in text


# -- faults ----------------------------------------------------------------------------------------


async def test_a_fault_is_added_counted_and_removed(simulator: Simulator) -> None:
    """It acts on the calls it is for, the page counts them, says when it is exhausted, and removes it."""
    caller = simulator.caller("X26ABC1")
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(PATH)
        assert "Nothing fails on purpose." in page.text
        page = await visitor.submit(PATH, "/faults/add", **BUSY, mailbox="x26abc1", retry_after="1m")
        assert done(page) == "The fault is in force."
        (row,) = page.rows("Faults in force")
        assert row == {
            "Fault": "f1",
            "Requests": "Send a message",
            "Mailbox": "X26ABC1",
            "What it does": "Answer 503 Service Unavailable, try again after 60 s",
            "When": "2 times",
            "Seen": "0",
            "Hit": "0",
            "State": "in force",
            "Remove": "Remove f1",
        }
        statuses = [(await caller.send(b"a", to="X26ABC2")).status for _ in range(3)]
        assert statuses == [503, 503, 202]
        (row,) = (await visitor.get(PATH)).rows("Faults in force")
        assert (row["Seen"], row["Hit"], row["State"]) == ("3", "2", "exhausted")
        page = await visitor.submit(PATH, "/faults/remove", rule="f1")
        assert done(page) == "The fault is no longer in force. It acted on 2 requests."
        gone = await visitor.submit(PATH, "/faults/remove", rule="f1")
        assert (gone.status, gone.title) == (404, "There is no such fault")
    assert not simulator.server.faults.in_force


async def test_all_faults_are_removed(simulator: Simulator) -> None:
    """One button takes all out of force, and is there when there are several."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(PATH, "/faults/add", **BUSY)
        assert not page.root.all("button", form="clear-faults")
        page = await visitor.submit(PATH, "/faults/add", action="reset")
        assert page.root.one("button", form="clear-faults").text == "Remove all 2"
        page = await visitor.submit(PATH, "/faults/clear")
        assert done(page) == (
            "No fault is in force any more: 2 faults were removed, which acted on 0 requests."
        )
    assert not simulator.server.faults.in_force


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"action": "status"}, {"status": "Is needed with action status: from 400 to 599"}),
        ({"action": "status", "status": "200"}, {"status": "Must be from 400 to 599"}),
        ({"action": "status", "status": "busy"}, {"status": "Must be a whole number"}),
        (
            {"action": "reset", "status": "503", "delay": "5s"},
            {
                "status": "Goes only with action status, not with reset",
                "delay": "Goes only with action delay, not with reset",
            },
        ),
        ({"action": "delay", "delay": "1h"}, {"delay": "Must be longer than 0 and at most 10 minutes"}),
        ({"action": "truncate", "after_bytes": "-1"}, {"after_bytes": "Must be from 0 to 1000000000000"}),
        ({"action": "reset", "nth": "0", "times": "1.5"}, {"times": "Must be a whole number"}),
        ({"action": "reset", "probability": "2"}, {"probability": "Must be from 0 to 1"}),
        ({"action": "reset", "probability": "often"}, {"probability": "Must be a number"}),
        ({"action": "reset", "mailbox": "NOBODY"}, {"mailbox": "There is no mailbox NOBODY; known are X26"}),
        (
            {"action": "reset", "operation": "lookup", "mailbox": "X26ABC1"},
            {"mailbox": "Does not go with lookup, which names none; leave it out"},
        ),
        ({"action": "status", "status": "503", "retry_after": "1.5s"}, {"retry_after": "Must be whole sec"}),
        (
            {"action": "status", "status": "200", "mailbox": "NOBODY"},
            {"status": "Must be", "mailbox": "There is no mailbox NOBODY"},
        ),
        ({"action": "explode"}, {"action": "Must be 'status', 'delay'"}),
        ({"action": ""}, {"action": "Is needed"}),
    ],
)
async def test_a_fault_that_makes_no_sense_is_shown_again(
    shared: Callers, given: dict[str, str], problems: dict[str, str]
) -> None:
    """Each problem stands beside its field, everything that was filled in is kept, and no rule is added."""
    async with visiting(shared.url) as visitor:
        page = await visitor.submit(PATH, "/faults/add", **given)
    assert page.status == 400
    for name, problem in problems.items():
        assert page.problem(name).startswith(problem)
    assert len(page.root.all("p", class_="problem")) == len(problems)
    kept = given.items() - {("action", "explode"), ("action", "")}
    assert kept <= page.fields("/faults/add").items()
    assert "Nothing fails on purpose." in page.text


# -- addresses of nobody's making ------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "done=anything",
        "done=advanced&by=never",
        "done=advanced&by=-5d",
        "done=advanced&by=5d&undeliverable=-1",
        f"done=advanced&by=5d&deleted={KEPT + 1}",
        "done=removed&hits=%3Cb%3Emany%3C/b%3E",
        "done=%D9%A3",
    ],
)
async def test_the_address_cannot_have_the_page_say_anything(shared: Callers, query: str) -> None:
    """Of an address that no form leads to the page says nothing."""
    async with visiting(shared.url) as visitor:
        page = await visitor.get(f"{PATH}?{query}")
    assert page.status == 200
    assert done(page) == ""


async def test_more_than_is_counted_is_at_least_that(shared: Callers) -> None:
    """Where so many messages fell due that not all were counted, the page says at least how many."""
    async with visiting(shared.url) as visitor:
        page = await visitor.get(f"{PATH}?done=advanced&by=5d&undeliverable={KEPT - 1}&deleted=1")
    assert done(page) == (
        "Simulated time went forward by 5 days. At least 999 messages that nobody collected became "
        "undeliverable, with a report to the sender, and 1 message was deleted, as the time for that had "
        "come."
    )


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=5), "5 days"),
        (timedelta(days=1, hours=1, minutes=1, seconds=1), "1 day 1 hour 1 minute 1 second"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(seconds=59.7), "1 minute"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_lengths_of_time_in_words(length: timedelta, words: str) -> None:
    """Without the parts that are nothing."""
    assert spelled_out(length) == words
