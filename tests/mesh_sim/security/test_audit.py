"""The audit of dependencies: what it makes of a report, and that it never passes for one it could not do."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
BAD: dict[str, Any] = {
    "name": "example",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-0000-1", "aliases": ["CVE-0000-1"], "fix_versions": ["1.1"], "description": "…"}],
}
UNKNOWN = {"name": "private", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The script that ``make audit`` runs, as a module."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module  # dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["audit"]
    return module


def judged(audit: ModuleType, *packages: dict[str, Any]) -> tuple[int, str]:
    """Give the verdict on a report of pip-audit's."""
    code, said = audit.verdict(audit.Findings.of({"dependencies": list(packages), "fixes": []}))
    return code, said


def test_a_vulnerable_package_fails(audit: ModuleType) -> None:
    """One package with a known vulnerability is exit 1, and is named with where it is mended."""
    code, said = judged(audit, GOOD, BAD)
    assert code == 1
    assert "example 1.0: PYSEC-0000-1 = CVE-0000-1, mended in 1.1" in said


def test_good_packages_pass(audit: ModuleType) -> None:
    """Without one it is exit 0; how many were examined and which could not be is said."""
    assert judged(audit, GOOD, UNKNOWN) == (
        0,
        "audit: 1 packages examined, 1 not known to the service (private); no known vulnerability",
    )


def test_what_is_not_the_project_s_does_not_count(audit: ModuleType) -> None:
    """The environment's own pip is no dependency, whatever is known of it."""
    assert judged(audit, GOOD, BAD | {"name": "pip"})[0] == 0


def test_an_accepted_vulnerability_passes(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not concern the project is accepted by its id or alias, with a reason."""
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-0000-1": "the function concerned is not called"})
    assert judged(audit, GOOD, BAD)[0] == 0


def test_an_audit_that_was_not_done_says_so(audit: ModuleType) -> None:
    """Where nobody can be asked the exit is 0, and nothing reads as if all were well."""
    code, said = audit.verdict({"pypi": "the service knows none of these packages", "osv": "no way there"})
    assert code == 0
    assert said.startswith("audit: NOT DONE")
    assert "osv: no way there" in said
    assert "no known vulnerability" not in said


def test_ci_ends_with_the_audit() -> None:
    """CI runs the audit, and what it needs is declared."""
    assert "\nmake audit\n" in (ROOT / ".ci" / "run").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "\t$(BIN)/python .ci/audit.py\n" in makefile
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert any(package.startswith("pip-audit>=") for package in extras["audit"])
