"""What makes pages is imported with the first of them, so that a start does not wait for it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from inspect import iscoroutinefunction

import pytest

from mesh_sim.web.routes import OPEN_PAGES, PAGES


def test_a_start_imports_no_page() -> None:
    """Before a page is asked for no page has been imported, nor what renders them."""
    program = "import sys, mesh_sim.app; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    imported = set(modules.split())
    assert "mesh_sim.app" in imported
    assert imported.isdisjoint({"jinja2", "aiohttp_jinja2", "mesh_sim.web.page"})
    assert imported.isdisjoint(f"mesh_sim.web.{name.partition('.')[0]}" for _, _, name in PAGES)


@pytest.mark.parametrize("name", sorted({name for _, _, name in (*PAGES, *OPEN_PAGES)}))
def test_each_page_is_where_the_table_says(name: str) -> None:
    """There is a handler of each name in the table."""
    module, _, function = name.partition(".")
    assert iscoroutinefunction(getattr(import_module(f"mesh_sim.web.{module}"), function))
