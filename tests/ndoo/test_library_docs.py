"""The library's page and its docstrings: every example runs, and every public name is explained."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Final

import pytest

import ndoo
import ndoo.errors
import ndoo.policy
import ndoo.sync
from mesh_sim import Simulator

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "library.md").read_text("utf-8")
ADDRESS: Final = "http://127.0.0.1:8700"

NOT_FOR_CALLERS: Final = {"LocalIdTaken", "MailboxBusy"}
"""Errors that the library handles itself, and one that only the command raises."""


def examples() -> list[tuple[str, str]]:
    """Give the page's programs in order, each with what it prints."""
    blocks = re.findall(r"^```(python|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    following = [*blocks[1:], ("", "")]
    return [
        (text, shown if kind == "text" else "")
        for (language, text), (kind, shown) in zip(blocks, following, strict=True)
        if language == "python"
    ]


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Give what a class adds of its own to be used by others."""
    for name, member in vars(kind).items():
        if not name.startswith("_"):
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isroutine(function):
                yield f"{kind.__module__}.{kind.__name__}.{name}", function


def public() -> dict[str, Any]:
    """Give every public class, function and method by its name."""
    found: dict[str, Any] = {}
    policy = [
        value for value in vars(ndoo.policy).values() if getattr(value, "__module__", "") == "ndoo.policy"
    ]
    for thing in (
        *(getattr(ndoo, name) for name in ndoo.__all__),
        *(getattr(ndoo.sync, name) for name in ndoo.sync.__all__),
        *(value for value in policy if not value.__name__.startswith("_")),
    ):
        if isinstance(thing, UnionType):  # ndoo.Body: documented where it is taken
            continue
        found[f"{thing.__module__}.{thing.__name__}"] = thing
        if inspect.isclass(thing):
            found |= dict(members(thing))
    return found


# -- the page ---------------------------------------------------------------------------------------


def test_the_examples_print_what_the_page_says(tmp_path: Path) -> None:
    """Each program runs by itself, after those before it, against a simulator with its default settings."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("NDOO_")}
    shown = []
    with Simulator(opt_out_rate=0.054) as sim:
        for program, _ in examples():
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", program.replace(ADDRESS, sim.url)],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), program + done.stderr
            shown.append(done.stdout)
    assert shown == [expected for _, expected in examples()]


def test_the_page_names_every_error_there_is_to_catch() -> None:
    """An error that is exported is explained, and every one that callers may see is exported."""
    tree = {
        name
        for name, kind in vars(ndoo.errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    exported = tree & set(ndoo.__all__)
    assert tree - exported == NOT_FOR_CALLERS
    assert {name for name in exported if f"`{name}`" not in PAGE} <= {"NdooError"}


# -- docstrings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(public()))
def test_a_public_name_is_documented(name: str) -> None:
    """Its docstring is its own, ends like a sentence, and names the errors it raises itself."""
    thing = public()[name]
    text = inspect.cleandoc(thing.__doc__ or "")
    assert text, f"{name} has no docstring"
    assert not text.startswith(f"{thing.__name__}("), f"{name} has the docstring dataclasses make"
    assert text.partition("\n\n")[0].rstrip().endswith((".", ":")), name
    if inspect.isroutine(thing):
        source = inspect.getsource(inspect.unwrap(thing))
        raised = set(re.findall(r"^ +raise ([A-Z]\w+)\(", source, re.MULTILINE))
        assert {error for error in raised if error not in text} <= {"RuntimeError"}, name


def test_arguments_that_are_times_and_sizes_have_units() -> None:
    """Seconds and bytes are said to be such, where the type does not."""
    for name, thing in public().items():
        if not inspect.isroutine(thing):
            continue
        for parameter in {"timeout", "chunk_size"} & set(inspect.signature(thing).parameters):
            assert re.search(r"second|byte", thing.__doc__ or ""), f"{name}: {parameter}"


def test_importing_loads_nothing_that_only_the_command_needs() -> None:
    """A program that imports the library does not wait for terminals, settings or workbooks."""
    heavy = ("rich", "typer", "pydantic", "keyring", "openpyxl", "filelock", "mesh_sim")
    program = f"import sys, ndoo, ndoo.sync, ndoo.policy; print({set(heavy)!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"
