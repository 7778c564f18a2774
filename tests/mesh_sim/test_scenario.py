"""Scenario files: what they set up, once or each time, and how wrong ones are refused."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from controls import assert_control_refused, control
from support import MakeSimulator

from mesh_sim.config import Settings, SettingsError
from mesh_sim.core import open_core
from ndoo.lists import generate

EXAMPLE = Path(__file__).parents[2] / "examples" / "scenario.toml"
ONE, TWO, THREE = (f"{number:010}" for number in next(generate(3)))


def scenario(tmp_path: Path, text: str) -> Path:
    """Write a scenario file."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


async def test_the_example_sets_everything_up(make_simulator: MakeSimulator) -> None:
    """Its mailbox, workflow, opt-outs, messages and fault are all there."""
    simulator = await make_simulator(scenario=EXAMPLE)
    supplier = simulator.caller("X99SUP01")
    assert len(await supplier.inbox("max_results=1000")) == 600
    statuses = [
        (await supplier.send(to="X99GP001", workflow="SUPPLIER_TO_PRACTICE")).status for _ in range(3)
    ]
    assert statuses == [503, 503, 202]
    assert (await supplier.send(to="X26ABC1", workflow="SUPPLIER_TO_PRACTICE")).status == 417
    snapshot = await simulator.server.core.register.snapshot(simulator.clock.now())
    assert snapshot.opted_out(np.array([9990000018, 9990000026])).all()
    assert snapshot.synthetic.rate == 0


async def test_the_page_s_example_is_a_scenario(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Every key that docs/scenarios.md shows is one, with a value that is allowed."""
    page = (EXAMPLE.parents[1] / "docs" / "scenarios.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "opted-out.dat").write_text(f"{THREE},\n")
    simulator = await make_simulator(scenario=scenario(tmp_path, text))
    assert len(await simulator.caller("X99SUP01").inbox("max_results=1000")) == 600
    register = simulator.server.core.register
    assert (await register.statistics(simulator.clock.now())).opted_out == 2


async def test_messages_come_once_and_faults_each_time(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """A restart on the same folder puts no message twice, and has the faults again."""
    path = scenario(
        tmp_path,
        """
        [[messages]]
        to = "X26ABC2"
        [[faults]]
        operation = "list"
        mailbox = "X26ABC1"
        action = "status"
        status = 500
        times = 1
        """,
    )
    for _ in range(2):
        simulator = await make_simulator(data=tmp_path / "data", scenario=path)
        assert (await simulator.caller().get("inbox")).status == 500
        assert len(await simulator.caller("X26ABC2").inbox()) == 1
        await simulator.stop()


async def test_a_changed_scenario_is_set_up_again(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Another text is another scenario: its messages come too."""
    for count in (1, 2):
        path = scenario(tmp_path, f'[[messages]]\nto = "X26ABC2"\ncount = {count}\n')
        simulator = await make_simulator(data=tmp_path / "data", scenario=path)
        assert len(await simulator.caller("X26ABC2").inbox()) == (1 if count == 1 else 3)
        await simulator.stop()


async def test_optouts_come_from_a_file_beside_it(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """A list is read from where the scenario is; a withdrawal named in it wins."""
    (tmp_path / "opted-out.dat").write_text(f"{ONE},\n{TWO},\n")
    path = scenario(tmp_path, f'[optouts]\nfile = "opted-out.dat"\nwithdrawn = ["{TWO}"]\nseed = 7\n')
    simulator = await make_simulator(scenario=path)
    register = simulator.server.core.register
    snapshot = await register.snapshot(simulator.clock.now())
    assert snapshot.opted_out(np.array([int(ONE), int(TWO), int(THREE)])).tolist() == [True, False, False]
    assert register.synthetic.seed == 7


async def test_the_clock_starts_ahead(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Messages of the scenario are sent at its time."""
    path = scenario(tmp_path, '[clock]\nadvance = "10d"\n[[messages]]\nto = "X26ABC2"\n')
    simulator = await make_simulator(scenario=path)
    (message,) = (await control(simulator.url, "GET", "/admin/messages")).json()["messages"]
    assert message["created_at"][:10] == f"{simulator.clock.now():%Y-%m-%d}"
    assert simulator.clock.offset.days == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = \n", "is not TOML: Invalid value (at line 1, column 5)"),
        ("[[message]]\n", "message: there is no such field; did you mean messages?"),
        (
            '[[messages]]\nto = "X26ABC2"\ncnt = 2\n',
            "messages[0].cnt: there is no such field; did you mean count?",
        ),
        ('[[messages]]\nto = "X26ABC2"\ncount = 0\n', "messages[0].count: must be at least 1"),
        ('[[messages]]\nto = "X26ABC9"\n', "messages[0].to: there is no mailbox X26ABC9; known are X26ABC1"),
        ("[[messages]]\n", "messages[0].to: is needed"),
        ('[[mailboxes]]\nmailbox_id = "a b"\n', "mailboxes[0].mailbox_id: "),
        (
            '[[workflows]]\nworkflow_id = "W"\nreceivers = ["NO1"]\n',
            "workflows[0].receivers[0]: there is no mailbox NO1",
        ),
        ("[optouts]\nrate = 1.5\n", "optouts.rate: must be at most 1"),
        ('[optouts]\nnumbers = ["123"]\n', "optouts.numbers[0]: is no NHS number: not ten digits long"),
        ('[optouts]\nfile = "none.dat"\n', "optouts.file: none.dat cannot be read: No such file"),
        ('[optouts]\nfile = "bad.dat"\n', "optouts.file: bad.dat, line 2: holds something other than digits"),
        ('[[faults]]\naction = "explode"\n', "faults[0].action: must be 'status', 'delay'"),
        ('[[faults]]\naction = "status"\n', "faults[0].status: "),
        ('[[faults]]\naction = "reset"\nprobability = 1.5\n', "faults[0].probability: must be from 0 to 1"),
        (
            '[[faults]]\naction = "reset"\noperation = "sned"\n',
            "faults[0].operation: there is no such operation",
        ),
        ('[[faults]]\naction = "reset"\nmailbox = "NO1"\n', "faults[0].mailbox: there is no mailbox NO1"),
        ('[clock]\nadvance = "-5d"\n', "clock.advance: a length of time cannot be negative"),
    ],
    ids=lambda value: value.splitlines()[-1][:30] if value else "",
)
async def test_a_wrong_file_is_refused(
    make_simulator: MakeSimulator, tmp_path: Path, text: str, said: str
) -> None:
    """The start stops with the file, the key and what is allowed; nothing of the file was done."""
    (tmp_path / "bad.dat").write_text(f"{ONE},\nabc,\n")
    path = scenario(tmp_path, f'{text}\n[[mailboxes]]\nmailbox_id = "EXTRA1"\n' if "[" in text else text)
    with pytest.raises(SettingsError) as raised:
        await make_simulator(data=tmp_path / "data", scenario=path)
    assert said in str(raised.value), str(raised.value)
    assert str(path) in str(raised.value) or "the scenario" in str(raised.value)
    async with open_core(Settings(data=tmp_path / "data", port=0)) as core:
        assert (await core.register.statistics(core.clock.now())).opted_out == 0
        assert core.exchange.directory.mailbox("EXTRA1") is None
        assert core.clock.offset.total_seconds() == 0


async def test_a_missing_file_is_refused(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """A scenario that is not there stops the start."""
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        await make_simulator(scenario=tmp_path / "none.toml")


async def test_a_reset_of_everything_returns_to_the_scenario(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """What came since is gone and the scenario is set up again; a plain reset only forgets the messages."""
    path = scenario(
        tmp_path,
        """
        [clock]
        advance = "1d"
        [optouts]
        rate = 0.5
        [[messages]]
        to = "X26ABC2"
        [[faults]]
        operation = "track"
        action = "reset"
        """,
    )
    simulator = await make_simulator(scenario=path)
    core, url = simulator.server.core, simulator.url

    async def change_everything() -> None:
        await control(url, "POST", "/admin/messages", {"to": "X26ABC2"})
        await control(url, "POST", "/admin/mailboxes", {"mailbox_id": "NEW01"})
        await control(url, "PUT", f"/admin/optouts/{ONE}")
        await control(url, "PATCH", "/admin/optouts", {"rate": 0})
        await control(url, "POST", "/admin/faults", {"action": "reset", "operation": "send"})
        await control(url, "POST", "/admin/clock", {"advance": "1h"})
        await simulator.caller("X26ABC2").inbox()

    await change_everything()
    assert (await control(url, "DELETE", "/admin/reset")).status == 200
    assert (await control(url, "GET", "/admin/messages")).json()["messages"] == []
    assert core.exchange.directory.mailbox("NEW01") is None
    assert core.clock.offset == timedelta(days=1, hours=1)
    assert len(simulator.server.faults.counted()) == 2

    await change_everything()
    assert (await control(url, "DELETE", "/admin/reset?everything=true")).status == 200
    (message,) = (await control(url, "GET", "/admin/messages")).json()["messages"]
    assert message["recipient"] == "X26ABC2"
    assert core.exchange.directory.mailbox("NEW01") is None
    assert core.clock.offset == timedelta(days=1)
    assert [counted.rule.operation for counted in simulator.server.faults.counted()] == ["track"]
    statistics = (await control(url, "GET", "/admin/optouts/statistics")).json()
    assert (statistics["opted_out"], statistics["rate"]) == (0, 0.5)
    assert (await control(url, "GET", "/admin/journal")).json()["entries"] == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[[mesages]]\n", "did you mean messages?"),
        (
            '[[faults]]\naction = "reset"\noperation = "sned"\n',
            "faults[0].operation: there is no such operation",
        ),
    ],
    ids=["key", "operation"],
)
@pytest.mark.parametrize("query", ["", "?everything=true"])
async def test_a_scenario_that_became_wrong_resets_nothing(
    make_simulator: MakeSimulator, tmp_path: Path, query: str, wrong: str, said: str
) -> None:
    """A reset reads the file again; if it is wrong by now, everything stays, and the answer says why."""
    path = scenario(tmp_path, '[[messages]]\nto = "X26ABC2"\n')
    simulator = await make_simulator(scenario=path)
    path.write_text(wrong)
    answer = await control(simulator.url, "DELETE", f"/admin/reset{query}")
    assert_control_refused(answer, 409, text="nothing was reset")
    assert said in answer.json()["error"]
    assert len(await simulator.caller("X26ABC2").inbox()) == 1
