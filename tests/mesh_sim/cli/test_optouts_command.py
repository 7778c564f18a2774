"""``mesh-sim optouts``."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import pty
import re
import sys

import pytest
from shell import Shell

from ndoo.lists import format_records, generate

NUMBERS = [str(number) for number in next(generate(6, seed=5))]
WRONG = NUMBERS[0][:9] + str((int(NUMBERS[0][9]) + 1) % 10)
"""Ten digits whose check digit does not fit."""


async def _statistics(shell: Shell) -> tuple[int, int]:
    body = (await shell.run("optouts", "statistics", "--json")).json()
    return body["opted_out"], body["withdrawn"]


async def test_people_opt_out_and_withdraw(shell: Shell) -> None:
    """Choices made from the shell count, and the person's history shows them."""
    added = await shell.run(
        "optouts", "add", *NUMBERS[:3], "--channel", "app", "--at", "2026-01-02T03:04:05Z"
    )
    assert added.out.split() == ["opted", "out", "3", "people"]
    withdrawn = await shell.run("optouts", "withdraw", NUMBERS[0], "--json")
    assert withdrawn.json() == {"loaded": 1, "opted_out": False}
    assert await _statistics(shell) == (2, 1)
    facts = (await shell.run("optouts", "show", NUMBERS[0])).facts()
    assert (facts["opted out"], facts["by"]) == ("no", "choice")
    assert facts["2026-01-02 03:04:05 UTC"].split() == ["opted", "out", "app"]
    body = (await shell.run("optouts", "show", NUMBERS[1], "--json")).json()
    assert (body["nhs_number"], body["opted_out"], len(body["history"])) == (NUMBERS[1], True, 1)
    spaced = f"{NUMBERS[5][:3]} {NUMBERS[5][3:6]} {NUMBERS[5][6:]}"
    assert (await shell.run("optouts", "show", spaced)).facts()["by"] == "synthetic rule"


async def test_numbers_come_from_standard_input(shell: Shell) -> None:
    """`-` reads one number a line; blank lines are nothing."""
    lines = "\n".join([*NUMBERS[:2], "", f" {NUMBERS[2]} "]) + "\n"
    assert (await shell.run("optouts", "add", "-", "--json", stdin=lines)).json()["loaded"] == 3
    assert (await shell.run("optouts", "withdraw", NUMBERS[3], "-", stdin=NUMBERS[0])).code == 0
    assert await _statistics(shell) == (2, 2)
    shown = (await shell.run("optouts", "show", "-", stdin=NUMBERS[1])).facts()
    assert shown["opted out"] == "yes"


async def test_only_who_typed_a_number_or_a_program_sees_it(shell: Shell) -> None:
    """Tables have masked numbers, as do those from standard input; --json has them whole."""
    await shell.run("optouts", "add", *NUMBERS[:2])
    await shell.run("optouts", "withdraw", NUMBERS[2])
    ran = await shell.run("optouts", "list")
    assert not re.search(r"\d{4}", ran.out)
    assert f"999 *** **{NUMBERS[0][-2:]}" in ran.out
    assert len(ran.rows()) == 3
    choices = (await shell.run("optouts", "list", "--json")).json()["choices"]
    assert {each["nhs_number"]: each["opted_out"] for each in choices} == {
        NUMBERS[0]: True,
        NUMBERS[1]: True,
        NUMBERS[2]: False,
    }
    assert NUMBERS[0] in (await shell.run("optouts", "show", NUMBERS[0])).out
    assert NUMBERS[0] not in (await shell.run("optouts", "show", "-", stdin=NUMBERS[0])).out


async def test_a_list_is_as_long_as_asked_for(shell: Shell) -> None:
    """--limit reaches past the API's pages, and what was left out is said."""
    (shell.folder / "many.dat").write_bytes(b"".join(map(format_records, generate(12_345, seed=1))))
    await shell.run("optouts", "load", "many.dat")
    listed = (await shell.run("optouts", "list", "--limit", "20000", "--json")).json()
    assert (len(listed["choices"]), listed["next"]) == (12_345, None)
    few = await shell.run("optouts", "list", "--limit", "2")
    assert len(few.rows()) == 2
    assert "the first 2; --limit shows more" in few.err


async def test_an_empty_register_says_so(shell: Shell) -> None:
    """Nobody having chosen is no error."""
    ran = await shell.run("optouts", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "nobody has made a choice" in ran.err


@pytest.mark.parametrize("form", ["list.dat", "list.dat.gz", "-"])
async def test_a_long_list_is_loaded(shell: Shell, form: str) -> None:
    """A file, a compressed one and standard input load alike, more than one block of them."""
    content = b"".join(map(format_records, generate(200_000, seed=2)))
    sent = gzip.compress(content) if form.endswith(".gz") else content
    if form != "-":
        (shell.folder / form).write_bytes(sent)
    ran = await shell.run("optouts", "load", form, "--json", stdin=sent if form == "-" else "")
    assert ran.json() == {"loaded": 200_000, "opted_out": True}
    assert await _statistics(shell) == (200_000, 0)
    text = await shell.run("optouts", "load", form, "--withdrawn", stdin=sent if form == "-" else "")
    assert text.out.split() == ["withdrawn", "200,000", "people"]
    assert await _statistics(shell) == (0, 200_000)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("at", [2, 190_001])
async def test_a_bad_line_is_named_and_nothing_loaded(shell: Shell, at: int, compressed: bool) -> None:
    """The line and its reason, early in a long list or late; the register stays as it was."""
    lines = b"".join(map(format_records, generate(200_000, seed=2))).splitlines()
    lines.insert(at - 1, WRONG.encode())
    content = b"\n".join(lines)
    (shell.folder / "bad.dat").write_bytes(gzip.compress(content) if compressed else content)
    ran = await shell.run("optouts", "load", "bad.dat")
    ran.assert_refused(2, f"bad.dat: line {at}: wrong check digit")
    assert ran.err.endswith("; nothing was loaded\n")
    assert WRONG not in ran.err
    assert await _statistics(shell) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["empty.dat"], 2, "the list is empty"),
        (["cut.dat.gz"], 2, "cut.dat.gz: the gzip data is cut short; nothing was loaded"),
        (["nothing.dat"], 1, "nothing.dat: No such file or directory"),
        (["."], 1, ".: Is a directory"),
        (["good.dat", "--at", "yesterday"], 2, "registered_at"),
        (["good.dat", "--channel", "pigeon"], 2, "channel: must be 'app'"),
    ],
)
async def test_what_is_no_list_loads_nothing(
    shell: Shell, arguments: list[str], code: int, text: str
) -> None:
    """A file that cannot be read, or options that make no sense, leave the register as it was."""
    whole = gzip.compress(b"".join(map(format_records, generate(100_000, seed=2))))
    files = {"empty.dat": b"", "good.dat": NUMBERS[0].encode(), "cut.dat.gz": whole[:50_000]}
    for name, content in files.items():
        (shell.folder / name).write_bytes(content)
    (await shell.run("optouts", "load", *arguments)).assert_refused(code, text)
    assert await _statistics(shell) == (0, 0)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_only_a_terminal_shows_progress(shell: Shell, options: tuple[str, ...]) -> None:
    """While a list loads people see how much of it is through; where a program reads, nothing is drawn."""
    (shell.folder / "many.dat").write_bytes(b"".join(map(format_records, generate(900_000, seed=2))))
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "optouts", "load", "many.dat", *options,
        cwd=shell.folder,
        env={"PATH": os.environ["PATH"], "MESH_SIM_PORT": shell.url.rpartition(":")[2], "TERM": "xterm"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    # Linux ends a terminal that nobody has open any more with an error.
    with contextlib.suppress(OSError):
        while block := await asyncio.to_thread(os.read, ours, 65536):
            drawn += block
    os.close(ours)
    assert await process.wait() == 0
    assert (b"Loading many.dat" in drawn) is not bool(options)


async def test_the_rule_for_everybody_else(shell: Shell) -> None:
    """Rate and seed are set and shown; forgetting leaves them."""
    await shell.run("optouts", "add", NUMBERS[0])
    facts = (await shell.run("optouts", "rate", "0.25", "--seed", "7")).facts()
    assert (facts["rate"].split()[0], facts["seed"].split()[0]) == ("0.25", "7")
    assert facts["opted out"].split()[0] == "1"
    assert (await shell.run("optouts", "rate", "1", "--json")).json()["rate"] == 1
    assert (await shell.run("optouts", "show", NUMBERS[1], "--json")).json()["opted_out"] is True
    forgotten = (await shell.run("optouts", "forget", "--yes", "--json")).json()
    assert forgotten == {"opted_out": 0, "withdrawn": 0, "rate": 1, "seed": 7}
    assert (await shell.run("optouts", "forget", "--yes")).code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add", NUMBERS[1], WRONG, "123"], "number 2 is no NHS number: wrong check digit"),
        (["withdraw", "12345678901"], "number 1 is no NHS number: not ten digits"),
        (["add", NUMBERS[1], "--channel", "pigeon"], "channel: must be 'app'"),
        (["add", NUMBERS[1], "--at", "2026-01-01T00:00:00"], "registered_at"),
        (["add", "-"], "standard input is empty"),
        (["add"], "Missing argument"),
        (["show", WRONG], "is no NHS number: wrong check digit"),
        (["show", "999"], "not ten digits long"),
        (["show", ""], "an empty text names nothing"),
        (["rate", "1.5"], "rate: must be at most 1"),
        (["rate", "-0.1"], "rate: must be at least 0"),
        (["rate", "often"], "Invalid value for 'RATE'"),
        (["rate", "0.1", "--seed", "-1"], "seed: must be at least 0"),
        (["forget"], "this needs --yes"),
        (["list", "--limit", "0"], "--limit"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
async def test_misuse_changes_nothing(shell: Shell, arguments: list[str], text: str) -> None:
    """What makes no sense is wrong usage with its reason; no number is repeated, no choice recorded."""
    await shell.run("optouts", "add", NUMBERS[0])
    before = (await shell.run("optouts", "statistics", "--json")).json()
    ran = await shell.run("optouts", *arguments)
    ran.assert_refused(2, text)
    assert WRONG not in ran.err
    assert (await shell.run("optouts", "statistics", "--json")).json() == before


async def test_too_many_at_a_time_are_sent_to_load(lonely: Shell) -> None:
    """More than a request takes is refused before it is sent, with the command that takes them."""
    lines = b"".join(map(format_records, generate(50_001, seed=1)))
    (await lonely.run("optouts", "add", "-", stdin=lines)).assert_refused(2, "'mesh-sim optouts load' takes")


async def test_several_numbers_are_not_shown(lonely: Shell) -> None:
    """`show` is for one person."""
    ran = await lonely.run("optouts", "show", "-", stdin="\n".join(NUMBERS))
    ran.assert_refused(2, "give one number")
