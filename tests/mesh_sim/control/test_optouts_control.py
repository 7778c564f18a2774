"""``/admin/optouts``: the register over HTTP."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

from ndoo.lists import format_records, generate

PATH = "/admin/optouts"
ONE, TWO = (f"{number:010}" for number in islice(next(generate(2)), 2))


async def statistics(simulator: Simulator) -> tuple[int, int]:
    """Count who has opted out and who has withdrawn."""
    body = (await control(simulator.url, "GET", f"{PATH}/statistics")).json()
    return body["opted_out"], body["withdrawn"]


async def test_one_person_opts_out_and_withdraws(simulator: Simulator) -> None:
    """Each choice shows at once, with its channel, and the history keeps them all."""
    shown = (await control(simulator.url, "GET", f"{PATH}/{ONE}")).json()
    assert shown == {"nhs_number": ONE, "opted_out": False, "by": "synthetic rule", "history": []}
    opted = (await control(simulator.url, "PUT", f"{PATH}/{ONE}", {"channel": "app"})).json()
    assert (opted["opted_out"], opted["by"], opted["history"][0]["channel"]) == (True, "choice", "app")
    withdrawn = (await control(simulator.url, "DELETE", f"{PATH}/{ONE}")).json()
    assert (withdrawn["opted_out"], len(withdrawn["history"])) == (False, 2)
    assert await statistics(simulator) == (0, 1)


async def test_a_number_may_be_written_with_blanks(simulator: Simulator) -> None:
    """A number as people write it is understood."""
    written = f"{ONE[:3]}%20{ONE[3:6]}-{ONE[6:]}"
    assert (await control(simulator.url, "PUT", f"{PATH}/{written}")).json()["nhs_number"] == ONE


async def test_a_choice_can_begin_later(simulator: Simulator) -> None:
    """A choice dated in the simulated future counts once that time has come."""
    wish = {"registered_at": "2099-01-01T00:00:00Z"}
    body = (await control(simulator.url, "PUT", f"{PATH}/{ONE}", wish)).json()
    assert (body["opted_out"], body["by"], len(body["history"])) == (False, "synthetic rule", 1)
    await control(simulator.url, "POST", "/admin/clock", {"advance": "36500d"})
    assert (await control(simulator.url, "GET", f"{PATH}/{ONE}")).json()["opted_out"] is True


async def test_many_at_once(simulator: Simulator) -> None:
    """A list of numbers opts out or withdraws together, and is listed page by page."""
    numbers = [f"{number:010}" for number in sorted(next(generate(250)))]
    answer = await control(simulator.url, "PUT", PATH, {"nhs_numbers": numbers})
    assert answer.json() == {"loaded": 250, "opted_out": True}
    await control(simulator.url, "PUT", PATH, {"nhs_numbers": numbers[:50], "opted_out": False})
    assert await statistics(simulator) == (200, 50)
    listed: list[dict[str, Any]] = []
    after = 0
    while after is not None:
        page = (await control(simulator.url, "GET", f"{PATH}?limit=100&after={after}")).json()
        listed += page["choices"]
        after = page["next"]
    assert [choice["nhs_number"] for choice in listed] == numbers
    assert [choice["opted_out"] for choice in listed] == [False] * 50 + [True] * 200


async def test_a_file_of_millions_is_loaded(simulator: Simulator) -> None:
    """Nearly a million records stream into the register, and are forgotten again."""
    body = b"".join(format_records(numbers) for numbers in generate(900_000))
    answer = await control(simulator.url, "POST", f"{PATH}/load?channel=web", body)
    assert answer.json() == {"loaded": 900_000, "opted_out": True}
    assert await statistics(simulator) == (900_000, 0)
    assert (await control(simulator.url, "DELETE", PATH)).json()["opted_out"] == 0
    assert (await control(simulator.url, "GET", PATH)).json() == {"choices": [], "next": None}


async def test_a_bad_line_loads_nothing(simulator: Simulator) -> None:
    """The line's number and what is wrong with it are named, never the number; nothing was loaded."""
    records = [f"{number:010}" for number in next(generate(30_000))]
    records[20_000] = records[20_000][:-1]
    body = "".join(f"{record},\n" for record in records).encode()
    answer = await control(simulator.url, "POST", f"{PATH}/load", body)
    assert_control_refused(answer, 400, field="line 20001", text="not ten digits long")
    assert records[20_000].encode() not in answer.body
    assert await statistics(simulator) == (0, 0)


@pytest.mark.parametrize(
    ("method", "path", "wish", "field", "text"),
    [
        ("PUT", "/999000001", None, "nhs_number", "not ten digits"),
        ("PUT", f"/{int(ONE) + 1}", None, "nhs_number", "check digit"),
        ("GET", "/abc", None, "nhs_number", "other than digits"),
        ("DELETE", "/9.99E+09", None, "nhs_number", "Excel"),
        ("PUT", f"/{ONE}", {"channel": "pigeon"}, "channel", "'app'"),
        ("PUT", f"/{ONE}", {"registered_at": "yesterday"}, "registered_at", ""),
        ("PUT", "", {"nhs_numbers": [ONE, "123"]}, "nhs_numbers[1]", "not ten digits"),
        ("PUT", "", {"nhs_numbers": []}, "nhs_numbers", "at least 1"),
        ("PUT", "", {}, "nhs_numbers", "is needed"),
        ("PATCH", "", {"rate": 1.5}, "rate", "at most 1"),
        ("PATCH", "", {"rate": -0.1}, "rate", "at least 0"),
        ("PATCH", "", {}, None, "say what is to change"),
        ("POST", "/load", b"", None, "the list is empty"),
        ("POST", "/load?opted_out=perhaps", b"x", "opted_out", "true or false"),
    ],
    ids=str,
)
async def test_bad_input_records_nothing(
    simulator: Simulator, method: str, path: str, wish: Any, field: str | None, text: str
) -> None:
    """What is not a choice is refused with its reason, and the register stays as it was."""
    answer = await control(simulator.url, method, PATH + path, wish)
    assert_control_refused(answer, 400, field=field, text=text)
    assert await statistics(simulator) == (0, 0)


async def test_the_rate_changes_answers_and_stays(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Another synthetic rate counts from the next check on, and over restarts."""
    simulator = await make_simulator(data=tmp_path / "data")
    assert (await control(simulator.url, "PATCH", PATH, {"rate": 1.0})).json()["rate"] == 1
    assert (await control(simulator.url, "GET", f"{PATH}/{ONE}")).json()["opted_out"] is True
    await simulator.stop()
    again = await make_simulator(data=tmp_path / "data")
    assert (await control(again.url, "GET", f"{PATH}/{TWO}")).json()["opted_out"] is True
    snapshot = await again.server.core.register.snapshot(again.clock.now())
    assert snapshot.opted_out(np.array([int(ONE)])).all()


async def test_numbers_are_not_logged(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """No control request leaves an NHS number in the log, refused or not."""
    caplog.set_level(logging.DEBUG)
    await control(simulator.url, "PUT", f"{PATH}/{ONE}")
    await control(simulator.url, "PUT", f"{PATH}/{int(ONE) + 1}")
    await control(simulator.url, "PUT", PATH, {"nhs_numbers": [ONE, "123"]})
    ours = [record for record in caplog.records if record.name.startswith(("mesh_sim", "aiohttp"))]
    assert not [record for record in ours if ONE[:9] in record.getMessage()]
