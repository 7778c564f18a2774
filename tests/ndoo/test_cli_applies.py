"""``ndoo applies``: told by options, asked on a terminal, and written to a record."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from desks import Desk, Ran

from ndoo.policy import LegalBasis, Purpose

STUDY: Final = (
    "--purpose",
    "research",
    "--identifiability",
    "confidential",
    "--recipient",
    "researcher",
    "--legal-basis",
    "section-251",
)
WIDTH: Final = 80

ON_TERMINAL: Final = (
    "import fcntl, runpy, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # its keys, such as Ctrl-C, are this process's signals
    "runpy.run_module('ndoo', run_name='__main__', alter_sys=True)"
)


def run(folder: Path, *arguments: str) -> Ran:
    """Run ``ndoo applies`` in a folder, away from a terminal."""
    return Desk(folder).run_here("applies", *arguments)


def words(text: str) -> str:
    """Put a table on one line, since its cells wrap."""
    return " ".join(text.split())


class Terminal:
    """The command as a process on a terminal of its own, and the person in front of it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        kept = {name: text for name, text in os.environ.items() if not name.startswith("NDOO_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, "applies", *arguments],
            cwd=folder,
            env=kept | {"COLUMNS": str(WIDTH), "TERM": "dumb", "NO_COLOR": "1"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""
        self._seen = 0

    def read_to(self, text: str) -> str:
        """Wait until a text appears, and give what was shown up to it since the last time."""
        until = time.monotonic() + 30
        while (found := self.shown.find(text, self._seen)) < 0:
            assert time.monotonic() < until, self.shown
            assert self._read(), self.shown
        start, self._seen = self._seen, found + len(text)
        return self.shown[start : self._seen]

    def type(self, text: str) -> None:
        """Type at the keyboard."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read to the end and give the exit code."""
        while self._read():
            pass
        return self.process.wait(30)

    def close(self) -> None:
        """Put the terminal away."""
        self.process.kill()
        self.process.wait(30)
        os.close(self._master)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], 30)[0]:
            return False
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # how Linux tells that nobody holds the other end any more
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


# -- told by options --------------------------------------------------------------------------------


def test_a_study_under_section_251(tmp_path: Path) -> None:
    """The opt-outs apply, with reason and section, what to do about it, and that it is advice."""
    ran = run(tmp_path, *STUDY)
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"^national data opt-out +applies$", ran.out, re.MULTILINE)
    assert re.search(r"^Type 1 opt-outs +must be honoured, for data from GP records$", ran.out, re.MULTILINE)
    for text in (
        "under section 251 support, for a purpose the opt-out is about",
        "policy section When the opt-out applies: research, planning",
        "'ndoo check LIST'",
        "'ndoo filter LIST --type-1 FILE'",
        "this is advice from the published rules, not a decision",
    ):
        assert text in words(ran.out)
    assert max(map(len, ran.out.splitlines())) <= WIDTH


def test_a_screening_programme_names_its_approval(tmp_path: Path) -> None:
    """An exempt programme's approval is there to be cited, and Type 1 opt-outs are honoured all the same."""
    ran = run(
        tmp_path,
        *("--purpose", "aneurysm-screening", "--identifiability", "confidential"),
        *("--recipient", "other", "--legal-basis", "section-251"),
    )
    assert re.search(r"^national data opt-out +does not apply$", ran.out, re.MULTILINE)
    assert "ECC 3-04(o)/2011" in words(ran.out)
    assert "must be honoured" in ran.out
    assert "ndoo check" not in ran.out


def test_what_the_policy_does_not_say_is_for_people(tmp_path: Path) -> None:
    """Unclear is said as such, and sends to the Caldicott Guardian before anything is done."""
    ran = run(tmp_path, *STUDY[:-1], "other")
    assert ran.code == 0
    assert re.search(r"^national data opt-out +unclear$", ran.out, re.MULTILINE)
    assert "ask your Caldicott Guardian or information governance lead before you go on" in words(ran.out)


def test_json_is_one_line(tmp_path: Path) -> None:
    """Programs get the same on one line, questions that did not matter as null."""
    ran = run(tmp_path, "--purpose", "individual-care", "--recipient", "care-team", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json()
    assert (found["applies"], found["type_1"]["honour"]) == ("no", "no")
    assert found["section"] == "When the opt-out does not apply: individual care"
    assert found["answers"] == {
        "purpose": "individual-care",
        "identifiability": None,
        "recipient": "care-team",
        "legal_basis": None,
    }
    assert "advice" in found["notice"]
    assert (found["next"], found["record"]) == ([], None)


def test_a_missing_answer_is_named_and_nothing_is_asked(tmp_path: Path) -> None:
    """Away from a terminal, exit 2 names each option that the advice depends on, and what it may be."""
    ran = run(tmp_path, "--purpose", "research", "--legal-basis", "section-251")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("ndoo: the advice still depends on --identifiability (confidential, ")
    assert "--recipient (care-team, " in ran.err
    assert "--legal-basis" not in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(("option", "kind"), [("--purpose", Purpose), ("--legal-basis", LegalBasis)])
def test_a_word_that_is_none_lists_those_that_are(
    tmp_path: Path, option: str, kind: type[Purpose | LegalBasis]
) -> None:
    """Exit 2, with every word that could have been meant."""
    ran = run(tmp_path, option, "curiosity")
    assert ran.code == 2
    assert all(f"'{answer.value}'" in ran.err for answer in kind)


# -- the record -------------------------------------------------------------------------------------


def test_the_record_holds_answers_and_advice(tmp_path: Path) -> None:
    """Date, who asked, what about, answers, outcome, reason, section, and that it is advice."""
    told = ("--record", "advice.md", "--title", "Asthma\nstudy", "--by", "A. Nobody")
    ran = run(
        tmp_path, "--purpose", "payment", "--identifiability", "confidential", "--recipient", "other", *told
    )
    assert (ran.code, ran.err) == (0, "")
    assert "written                advice.md" in ran.out
    record = (tmp_path / "advice.md").read_text("utf-8")
    assert record.startswith(
        "# National data opt-out: advice on a disclosure\n\n- Disclosure: Asthma study\n"
    )
    assert re.search(r"^- Date: \d{4}-\d\d-\d\d \d\d:\d\d UTC$", record, re.MULTILINE)
    for line in (
        "- Disclosure: Asthma study",
        "- Asked by: A. Nobody",
        "- What are the data for? Payment and invoice validation (payment)",
        "- What allows it? not asked, for it would change nothing",
        "- National data opt-out: does not apply",
        "- Because: payment and invoice validation are exempt from the opt-out",
        "- Policy section: When the opt-out does not apply: payment and invoice validation",
        "- Type 1 opt-outs: must be honoured, for data from GP records",
    ):
        assert line in record.splitlines()
    assert record.count("not a decision") == 1


def test_a_record_replaces_nothing_unless_told(tmp_path: Path) -> None:
    """A file that is there stays as it is, and --force replaces it."""
    (tmp_path / "advice.md").write_text("last year's")
    told = (*STUDY, "--record", "advice.md", "--title", "Study", "--by", "A. Nobody")
    refused = run(tmp_path, *told)
    assert refused.code == 1
    assert "advice.md exists already" in refused.err
    assert (tmp_path / "advice.md").read_text() == "last year's"
    assert run(tmp_path, *told, "--force").code == 0
    assert "- Disclosure: Study" in (tmp_path / "advice.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["advice.md"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (("--record", "advice.md"), "--title is missing"),
        (("--record", "advice.md", "--title", "Study"), "--by is missing"),
        (("--record", "advice.md", "--title", " ", "--by", "A. Nobody"), "--title is missing or empty"),
        (("--title", "Study"), "name its file with --record FILE"),
        (("--force",), "name its file with --record FILE"),
    ],
)
def test_a_record_says_what_and_by_whom(tmp_path: Path, told: tuple[str, ...], said: str) -> None:
    """A record without them, or they without a record, is wrong usage, and writes nothing."""
    ran = run(tmp_path, *STUDY, *told)
    assert ran.code == 2
    assert said in ran.err
    assert not list(tmp_path.iterdir())


# -- on a terminal ----------------------------------------------------------------------------------


def test_the_questions_on_a_terminal(tmp_path: Path) -> None:
    """Numbers or words answer; what is neither is asked again; what would change nothing is not asked."""
    with contextlib.closing(Terminal(tmp_path, "--record", "advice.md", "--by", "A. Nobody")) as terminal:
        terminal.read_to("What is to be disclosed, in a few words? ")
        terminal.type("Asthma study\n")
        asked = terminal.read_to("Number: ")
        assert "What are the data for?" in asked
        assert "   3  Research\n" in asked
        terminal.type("99\n")
        assert "a number from 1 to 18" in terminal.read_to("Number: ")
        terminal.type("3\n")
        assert "tell who they are about?" in terminal.read_to("Number: ")
        terminal.type("Aggregate\n")
        assert "Who gets them?" in terminal.read_to("Number: ")
        terminal.type("5\n")
        assert terminal.end() == 0
    shown = terminal.shown
    assert "What allows it?" not in shown
    assert re.search(r"^national data opt-out +does not apply$", shown, re.MULTILINE)
    assert "not a decision" in words(shown)
    record = (tmp_path / "advice.md").read_text("utf-8").splitlines()
    assert "- Disclosure: Asthma study" in record
    assert "- Who gets them? Researchers (researcher)" in record


@pytest.mark.parametrize(
    ("key", "code", "said"), [("\x04", 2, "give it as --purpose"), ("\x03", 130, "interrupted")]
)
def test_leaving_in_the_middle(tmp_path: Path, key: str, code: int, said: str) -> None:
    """Ctrl-D and Ctrl-C end it with a word, and leave no record behind."""
    told = ("--record", "advice.md", "--title", "Study", "--by", "A. Nobody")
    with contextlib.closing(Terminal(tmp_path, *told)) as terminal:
        terminal.read_to("Number: ")
        terminal.type(key)
        assert terminal.end() == code
    assert said in terminal.shown
    assert "Traceback" not in terminal.shown
    assert not list(tmp_path.iterdir())


def test_nothing_is_asked_with_json(tmp_path: Path) -> None:
    """A program started from a terminal is not kept waiting by a question."""
    with contextlib.closing(Terminal(tmp_path, "--json")) as terminal:
        assert terminal.end() == 2
    assert "the advice still depends on --purpose" in terminal.shown
