"""Rules that the code of both packages keeps, read from the code itself."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = sorted(path for package in ("mesh_sim", "client/ndoo") for path in (ROOT / package).rglob("*.py"))
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")

SECRET = re.compile(r"password|token|secret|signature|digest|hmac|shared_key", re.IGNORECASE)
"""What secrets, and what is made of them, are called here."""

COMPARED = {
    "mesh_sim/scenario.py: done.content != self.scenario.digest",  # of a file's content, to see it change
    "client/ndoo/_cache_file.py: sha256.hexdigest() != frame.sha256",  # of a file, keyed with nothing
    "client/ndoo/_secrets.py: read_secrets(secrets, url, mailbox) != dict(secrets)",  # its owner's, both
}
"""Comparisons in which no secret is guessed by a stranger, each with the reason."""


def _words(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and not part.id.isupper():
            yield part.id
        elif isinstance(part, ast.Attribute) and not part.attr.isupper():
            yield part.attr


def _is_plain(node: ast.expr) -> bool:
    """Tell whether it is a constant: a literal, or a name in capitals, such as an enumeration's member."""
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id).isupper()
    )


def _comparisons(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Compare) and all(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if not any(map(_is_plain, sides)) and any(
                SECRET.search(" ".join(_words(each))) for each in sides
            ):
                yield f"{path.relative_to(ROOT).as_posix()}: {ast.unparse(node)}"


def test_secrets_are_compared_in_constant_time() -> None:
    """Nowhere is a password, key, token or keyed hash compared with ``==``, which tells by its time."""
    found = {comparison for path in CODE for comparison in _comparisons(path)}
    assert found <= COMPARED


def test_each_check_of_a_secret_is_one_of_constant_time() -> None:
    """The three checks there are, of a request's token, of the control token and of a cache, use hmac's."""
    used = {
        path.relative_to(ROOT).as_posix() for path in CODE if "compare_digest(" in path.read_text("utf-8")
    }
    assert {
        "client/ndoo/protocol.py",
        "client/ndoo/_cache_file.py",
        "mesh_sim/api/control/requests.py",
    } <= used


def test_the_security_linter_is_on() -> None:
    """The rules of ruff against eval, pickle, shells, YAML and guessed names of files are on."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [code for code in lint["ignore"] if code.startswith("S")] == []
    loosened = {
        place: [code for code in codes if re.fullmatch(r"S\d*", code)]
        for place, codes in lint["per-file-ignores"].items()
        if place.startswith(("mesh_sim", "client"))
    }
    assert {place: codes for place, codes in loosened.items() if codes} == {
        "mesh_sim/storage/sql.py": ["S608"]
    }


def _exceptions() -> set[str]:
    found = set()
    for path in CODE:
        for codes in re.findall(r"# (?:ruff: )?noqa: ([A-Z0-9, ]+)", path.read_text("utf-8")):
            found |= {
                f"{path.relative_to(ROOT).as_posix()}` | {code}"
                for code in codes.replace(" ", "").split(",")
                if re.fullmatch(r"S\d{3}", code)
            }
    return found


@pytest.mark.parametrize("exception", sorted(_exceptions()))
def test_every_exception_to_it_is_on_the_page(exception: str) -> None:
    """A line that the security linter would refuse has its file, its rule and the reason in the page."""
    assert f"| `{exception} | " in PAGE


def test_the_page_lists_no_exception_that_is_gone() -> None:
    """What the page lists of exceptions is in the code."""
    listed = set(re.findall(r"^\| `([\w/.]+` \| S\d{3}) \|", PAGE, re.MULTILINE))
    assert listed - {"mesh_sim/storage/sql.py` | S608"} == _exceptions()


def test_no_code_runs_what_it_reads() -> None:
    """Nothing is unpickled, evaluated or handed to a shell, and no XML is parsed but by openpyxl."""
    forbidden = {"pickle", "marshal", "shelve", "yaml", "xml", "lxml", "telnetlib", "ftplib"}
    allowed = {ROOT / "mesh_sim/witness/report/junit.py": {"xml"}}  # it writes XML, and reads none
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                modules += [alias.name for alias in node.names]
                roots = {module.partition(".")[0] for module in modules}
                assert forbidden.isdisjoint(roots - allowed.get(path, set())), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in {"os.system", "os.popen", "tempfile.mktemp"}, path
                assert node.attr not in {"create_subprocess_shell", "fromstring", "iterparse"}, path
