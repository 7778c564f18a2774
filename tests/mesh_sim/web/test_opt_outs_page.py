"""``/opt-outs``: the opt-out register, one person at a time, its counts and its synthetic rule."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import islice
from typing import Final

import pytest
from controls import control
from pages import Page, visiting
from support import Callers, MakeSimulator, Simulator

from ndoo.lists import generate

PATH: Final = "/opt-outs"
FROM_NOW: Final = "It counts for every list checked from now on."
HISTORY: Final = "Choices recorded"
NUMBER, OTHER = (f"{number:010}" for number in islice(next(generate(2)), 2))
WRITTEN: Final = f"{NUMBER[:3]} {NUMBER[3:6]} {NUMBER[6:]}"


def done(page: Page) -> str:
    """What a page says was done; '' where it says nothing."""
    said = page.root.all("p", class_="done")
    return said[0].text if said else ""


def standing(page: Page) -> str:
    """The heading of the person looked up."""
    return page.root.one("h3", id="person").text


def counts(page: Page) -> list[str]:
    """The figures of the register."""
    return [figure.text for figure in page.root.all("p", class_="figure")]


async def test_a_person_is_looked_up_opted_out_and_withdrawn(simulator: Simulator) -> None:
    """Each choice shows at once, the latest first, with its channel and which of them counts."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(PATH, PATH, nhs_number=f" {WRITTEN} ")
        assert standing(page) == f"{WRITTEN} not opted out"
        assert "the synthetic rule does not count this number" in page.text
        held = page.fields("/opt-outs/opt-out")
        page = await visitor.post("/opt-outs/opt-out", held | {"channel": "app"})
        assert (done(page), standing(page)) == (
            f"The opt-out was recorded. {FROM_NOW}",
            f"{WRITTEN} opted out",
        )
        page = await visitor.post("/opt-outs/withdraw", page.fields("/opt-outs/opt-out"))
        assert (done(page), standing(page)) == (
            f"The withdrawal was recorded. {FROM_NOW}",
            f"{WRITTEN} not opted out",
        )
        assert [(row["Choice"], row["Made by"], row["Standing"]) for row in page.rows(HISTORY)] == [
            ("withdrawn", "Staff", "counts now"),
            ("opted out", "App", "replaced by a later one"),
        ]
        assert counts(page)[:2] == ["0", "1"]


async def test_a_choice_may_lie_ahead(simulator: Simulator) -> None:
    """A time as browsers send it is one in UTC; the choice counts once simulated time has come there."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(PATH, PATH, nhs_number=NUMBER)
        held = page.fields("/opt-outs/opt-out")
        page = await visitor.post("/opt-outs/opt-out", held | {"registered_at": "2099-01-02T03:04"})
        (row,) = page.rows(HISTORY)
        assert "for lists checked from 2 Jan 2099, 03:04:00 on, in simulated time" in done(page)
        assert (row["Counts from"], row["Standing"]) == ("2 Jan 2099, 03:04:00", "to come")
        assert standing(page) == f"{WRITTEN} not opted out"
        assert counts(page)[0] == "0"
        simulator.server.clock.advance(timedelta(days=36_500))
        page = await visitor.submit(PATH, PATH, nhs_number=NUMBER)
        assert page.rows(HISTORY)[0]["Standing"] == "counts now"
        assert standing(page) == f"{WRITTEN} opted out"
        assert counts(page)[0] == "1"


async def test_a_choice_that_cannot_be_recorded_is_shown_again(simulator: Simulator) -> None:
    """The person stays in view, the problem stands beside its field, and nothing is recorded."""
    async with visiting(simulator.url) as visitor:
        held = (await visitor.submit(PATH, PATH, nhs_number=NUMBER)).fields("/opt-outs/opt-out")
        wrong = {"registered_at": "12026-01-01T00:00", "channel": "web"}
        page = await visitor.post("/opt-outs/opt-out", held | wrong)
        assert page.status == 400
        assert page.problem("registered_at").startswith("Must be a time with its zone")
        assert wrong.items() <= page.fields("/opt-outs/opt-out").items()
        assert standing(page) == f"{WRITTEN} not opted out"
        page = await visitor.post("/opt-outs/withdraw", held | {"channel": "pigeon"})
        assert page.problem("channel").startswith("Must be 'app', 'web'")
        assert counts(await visitor.get(PATH))[:2] == ["0", "0"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "Is needed"),
        ("12345", "Is no NHS number: not ten digits long (with nine, a leading zero may have been lost)"),
        ("9990000010", "Is no NHS number: wrong check digit (a mistyped digit?)"),
        ("somebody", "Is no NHS number: holds something other than digits"),
    ],
)
@pytest.mark.parametrize("action", [PATH, "/opt-outs/opt-out", "/opt-outs/withdraw"])
async def test_what_is_no_number_is_shown_again(
    shared: Callers, action: str, given: str, problem: str
) -> None:
    """The field keeps what was typed, with what is wrong beside it, whichever form it was in."""
    async with visiting(shared.url) as visitor:
        csrf = (await visitor.get(PATH)).fields(PATH)["csrf"]
        page = await visitor.post(action, {"csrf": csrf, "nhs_number": given})
    assert page.status == 400
    assert page.problem("nhs_number") == problem
    assert page.fields(PATH)["nhs_number"] == given
    assert not page.root.all("h3", id="person")


async def test_a_number_is_only_where_it_was_asked_for(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in no address, title or log, and on no page but the answer to whoever typed it."""
    caplog.set_level(logging.DEBUG)
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(PATH, PATH, nhs_number=NUMBER)
        page = await visitor.post("/opt-outs/opt-out", page.fields("/opt-outs/opt-out"))
        assert WRITTEN in page.text
        for text in (str(page.url), page.root.one("head").text, page.title, page.fields(PATH)["nhs_number"]):
            assert NUMBER not in text.replace(" ", "")
        for path in ("/", PATH, "/journal", "/clock-and-faults"):
            assert NUMBER not in (await visitor.get(path)).body.decode().replace(" ", "")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.root.one("input", id="nhs_number").attributes["autocomplete"] == "off"
    assert NUMBER not in caplog.text


async def test_the_synthetic_rule_is_changed(simulator: Simulator) -> None:
    """Rate and seed are set together or alone, count at once, and stay what was not given."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(PATH)
        held = page.fields("/opt-outs/rule")
        assert (held["rate"], held["seed"]) == ("0", "1")
        page = await visitor.submit(PATH, "/opt-outs/rule", rate="1", seed="7")
        assert page.url.path_qs == f"{PATH}?done=rule"
        assert done(page).startswith("The synthetic rule was changed.")
        assert counts(page)[2] == "100 %"
        page = await visitor.submit(PATH, PATH, nhs_number=OTHER)
        assert standing(page).endswith(" opted out")
        assert "the synthetic rule counts this number as opted out" in page.text
        page = await visitor.submit(PATH, "/opt-outs/rule", rate="0.0543217", seed="")
        held = page.fields("/opt-outs/rule")
        assert (held["rate"], held["seed"]) == ("0.0543217", "7")


@pytest.mark.parametrize(
    ("given", "name", "problem"),
    [
        ({"rate": "1.5"}, "rate", "Must be at most 1"),
        ({"rate": "nan"}, "rate", "Must be at most 1"),
        ({"rate": "some"}, "rate", "Must be a number"),
        ({"seed": "1.5"}, "seed", "Must be a whole number"),
        ({"rate": "", "seed": ""}, "rate", "Say a rate or a seed"),
    ],
)
async def test_a_rule_that_cannot_be_is_shown_again(
    shared: Callers, given: dict[str, str], name: str, problem: str
) -> None:
    """The problem stands beside its field, what was typed is kept, and the rule stays."""
    async with visiting(shared.url) as visitor:
        page = await visitor.submit(PATH, "/opt-outs/rule", **given)
        assert page.status == 400
        assert page.problem(name).startswith(problem)
        assert {each for each in given.items() if each[1]} <= page.fields("/opt-outs/rule").items()
        assert counts(await visitor.get(PATH))[2] == "0 %"


async def test_the_choices_by_channel_are_a_chart(make_simulator: MakeSimulator) -> None:
    """Without choices the page says how to make some; with them there is a bar a channel, told in words."""
    simulator = await make_simulator()
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(PATH)
        assert "No choice has been recorded." in page.text
        assert not page.root.all("svg")
        numbers = [f"{number:010}" for number in next(generate(30))]
        for channel, chosen, opted_out in (("app", numbers, True), ("post", numbers[:10], False)):
            wish = {"nhs_numbers": chosen, "channel": channel, "opted_out": opted_out}
            await control(simulator.url, "PUT", "/admin/optouts", wish)
        page = await visitor.get(PATH)
        assert counts(page)[:2] == ["20", "10"]
        chart = page.root.one("svg")
        title = chart.one("title").text
        assert "App 30 opted out, 0 withdrawn;" in title
        assert "Post 0 opted out, 10 withdrawn;" in title
        widths = [float(bar.attributes["width"].rstrip("%")) for bar in chart.all("rect", class_="a")]
        assert widths[0] > 95
        assert not any(widths[1:])
        assert len(widths) == 6
