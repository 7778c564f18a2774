"""The page for practices: what it says can be typed, and what it says will be said."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from desks import Desk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "practices.md").read_text("utf-8")

TYPED = re.compile(r"`ndoo ([^`\n]+)`|^(?:\$ |.*&& )?ndoo ([^\n]+)|^\$refresh = \"([^\"]+)", re.MULTILINE)
"""Within a sentence; on a line of its own, or of cron's; and what PowerShell is given to remember."""


def commands() -> list[str]:
    """Find what the page tells people to type after ``ndoo``."""
    found = {inside or line or kept for inside, line, kept in TYPED.findall(PAGE)}
    return sorted(
        re.split(r" >> |\"$", each)[0] if each.count('"') % 2 or ">>" in each else each for each in found
    )


@pytest.mark.parametrize("command", commands())
def test_what_the_page_says_can_be_typed(desk: Desk, command: str) -> None:
    """Each command of the page is one, and knows the options the page gives it."""
    words = shlex.split(command)
    root = re.findall(r"--?[a-z][a-z0-9-]*", desk.run_here("--help").out)
    while words and words[0].startswith("-"):
        assert words.pop(0) in root, command
        if words and not words[0].startswith("-") and "." in words[0]:
            words.pop(0)  # the value of --log
    name: list[str] = []
    while words and desk.run_here(*name, words[0], "--help").code == 0 and re.fullmatch("[a-z]+", words[0]):
        name.append(words.pop(0))
        if name[-1] not in ("cache", "numbers", "mailbox"):
            break
    assert name or not words, command
    known = re.findall(r"--?[a-z][a-z0-9-]*", desk.run_here(*name, "--help").out)
    assert [word for word in words if word.startswith("-") and word not in known] == [], command


def test_the_page_is_not_empty_of_commands() -> None:
    """The commands are found: those of the text, the scheduled tasks and the tables."""
    starts = {command.split()[0] for command in commands()}
    assert {"init", "doctor", "check", "collect", "pending", "filter", "cache", "--log"} <= starts
    assert len(commands()) >= 20


def test_what_the_page_says_will_be_said() -> None:
    """Each message of the table is in the code, word for word."""
    said = [
        node.value
        for path in (ROOT / "client" / "ndoo").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    section = PAGE.partition("## When it says")[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert len(messages) >= 15
    assert [message for message in messages if not any(message in text for text in said)] == []


@pytest.mark.parametrize("name", ["check", "check-waiting"])
def test_the_pictures_are_whole(name: str) -> None:
    """The recordings are there, well-formed, and fetch nothing; the text of the page is one of them."""
    images = ROOT / "docs" / "images"
    assert f"images/{name}.svg" in PAGE
    drawing = (images / f"{name}.svg").read_text("utf-8")
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert "url(http" not in drawing
    text = (images / f"{name}.txt").read_text("utf-8")
    assert not re.search(r"\d{10}", re.sub(r"X99GP001-\d{6}-\d{4}", "", text))
    if name == "check":
        shown = re.sub(r"-\d{6}-", "-DDMMYY-", text)
        assert shown in re.sub(r"-\d{6}-", "-DDMMYY-", PAGE)
