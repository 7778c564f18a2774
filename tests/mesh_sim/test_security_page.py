"""docs/security.md: each claim names tests, and each of these is there, runs and is collected."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SYSTEM = re.compile(r"os\.name|sys\.platform|/dev/|ssl\.HAS_")
"""What a test may be left out for: a system other than the ones it is about."""


def claims() -> dict[str, list[tuple[str, str]]]:
    """Give the tests that each claim names, by its text."""
    tables = re.findall(r"^\| claim \| shown by \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [line.strip("| ").split(" | ") for table in tables for line in table.splitlines()]
    return {claim: TEST.findall(shown) for claim, shown in rows}


CLAIMS = claims()
NAMED = sorted({test for tests in CLAIMS.values() for test in tests})


@cache
def module(path: str) -> ast.Module:
    """Read a test file."""
    return ast.parse((ROOT / path).read_text("utf-8"))


def test_there_are_claims_of_every_kind() -> None:
    """The page has a table of claims in each of its sections, and no row is without a test."""
    sections = PAGE.partition("## What is defended\n")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(sections) == 7
    assert all("| claim | shown by |" in section for section in sections)
    assert len(CLAIMS) == sum(section.count("\n| ") - 1 for section in sections)
    assert [claim for claim, tests in CLAIMS.items() if not tests] == []


def test_everything_named_is_read_as_a_test() -> None:
    """No reference is misspelt in a way that would leave it unchecked."""
    assert PAGE.count("::") == sum(map(len, CLAIMS.values()))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_each_test_that_is_named_runs(path: str, name: str) -> None:
    """It is a function of its file, once, and nothing in the file skips it or expects it to fail."""
    tree = module(path)
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    assert len(found) == 1, "no such test, or two of its name"
    marks = [ast.unparse(mark) for mark in found[0].decorator_list]
    marks += [
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    left_out = [mark for mark in marks if re.search(r"\bmark\.(skip|skipif|xfail)\b", mark)]
    assert [mark for mark in left_out if not SYSTEM.search(mark)] == []
    assert "pytest.skip(" not in ast.unparse(found[0])
    assert Path(path).name.startswith("test_")
    assert name.startswith("test_")


def test_each_test_that_is_named_is_collected(request: pytest.FixtureRequest) -> None:
    """In a run of whole files, those of this run hold the tests that the page names."""
    if request.config.getoption("keyword") or any("::" in each for each in request.config.args):
        pytest.skip("only some of the tests were asked for")
    collected = {item.nodeid.partition("[")[0] for item in request.session.items}
    files = {nodeid.partition("::")[0] for nodeid in collected}
    assert [
        f"{path}::{name}" for path, name in NAMED if path in files and f"{path}::{name}" not in collected
    ] == []


def test_no_secret_is_built_into_the_image() -> None:
    """The Dockerfile sets no secret and takes none as an argument; what is copied holds no key."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert not re.search(r"^(ARG|ADD)\b", text, re.MULTILINE)
    assert not re.search(r"TOKEN|PASSWORD|SHARED_KEY|SECRET|\.env|certs/", text)
    let_through = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in let_through
    copied = {"pyproject.toml", "README.md", "LICENSE", "client", "mesh_sim", "examples/patients.csv"}
    assert {line[1:] for line in let_through if line.startswith("!")} == copied
    kept = [path for name in ("client", "mesh_sim") for path in (ROOT / name).rglob("*")]
    assert not [path for path in kept if path.suffix in {".key", ".pem", ".crt", ".env", ".p12"}]


def test_a_flaw_can_be_reported() -> None:
    """SECURITY.md says how, leads to the page of claims, and comes with the sources."""
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    for said in ('"Report a vulnerability"', "docs/security.md", "Never real patient data", "CHANGELOG.md"):
        assert said in policy
    assert "@" not in policy
    assert "[SECURITY.md](SECURITY.md)" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "*.md" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
