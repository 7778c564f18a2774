"""The Chromium for the tests of the pages: found or got, and what CI and the suite do where there is none."""

from __future__ import annotations

import importlib.util
import os
import re
import select
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
RUNS = "echo Chromium 1.0"
ONLY_TELLS = "echo 'requires the chromium snap to be installed' >&2; exit 1"
CHMOD, SLEEP = shutil.which("chmod"), shutil.which("sleep")
ASKED = """
from pathlib import Path
from types import SimpleNamespace

class sync_playwright:
    def __enter__(self):
        return SimpleNamespace(chromium=SimpleNamespace(executable_path=Path(__file__).with_name("chrome")))

    def __exit__(self, *_):
        pass
"""
"""As much of Playwright as is asked where its Chromium is."""


class Machine:
    """A machine with the programs that the test puts there, and Playwright without a Chromium."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.playwright = folder / "packages" / "playwright"
        self.log = folder / "calls"
        self.programs.mkdir()
        self.playwright.mkdir(parents=True)
        (self.playwright / "__init__.py").write_text("")
        (self.playwright / "sync_api.py").write_text(ASKED)
        self.installs("raise SystemExit('Error: no way to the cdn\\n    at a line of a trace')")

    def has(self, name: str, does: str, folder: Path | None = None) -> str:
        """Put a program there, and give its path."""
        path = (folder or self.programs) / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
        return str(path)

    def installs(self, does: str) -> None:
        """Say in Python what ``playwright install`` does beside noting the call."""
        note = f"import sys\nprint('playwright', *sys.argv[1:], file=open({str(self.log)!r}, 'a'))\n"
        (self.playwright / "__main__.py").write_text(note + does)

    @property
    def calls(self) -> list[str]:
        """The installers that ran, with their arguments."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of the test's own, whose user is not root."""
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.programs))
    monkeypatch.setenv("PYTHONPATH", str(machine.playwright.parent))
    monkeypatch.delenv("MESH_SIM_TEST_CHROMIUM", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return machine


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that ``make test-browser`` runs, as a module."""
    spec = importlib.util.spec_from_file_location("chromium", ROOT / ".ci" / "chromium.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["chromium.py"])
    return module


@pytest.fixture
def installing(chromium: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same with ``--install``."""
    monkeypatch.setattr(sys, "argv", ["chromium.py", "--install"])
    return chromium


def refused(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    """Give the one line with which the script fails."""
    assert script.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("no Chromium: ")
    assert line.endswith("Install one, or give the path of one in MESH_SIM_TEST_CHROMIUM.")
    return line


def test_the_given_one_is_taken(
    machine: Machine,
    chromium: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a person names comes before what is found; a relative path is made absolute."""
    machine.has("chromium", RUNS)
    given = machine.has("mine", RUNS, machine.programs.parent)
    monkeypatch.chdir(machine.programs.parent)
    monkeypatch.setenv("MESH_SIM_TEST_CHROMIUM", "./mine")
    assert chromium.main() == 0
    assert capsys.readouterr() == (f"{given}\n", "")


def test_a_given_one_that_does_not_run_is_not_replaced(
    machine: Machine,
    installing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong path is an error that names it, whatever else could be found or got."""
    machine.has("chromium", RUNS)
    monkeypatch.setenv("MESH_SIM_TEST_CHROMIUM", "/nowhere/chromium")
    line = refused(installing, capsys)
    assert "MESH_SIM_TEST_CHROMIUM names /nowhere/chromium, which does not run: No such file" in line
    assert machine.calls == []


def test_one_on_the_path_is_found(
    machine: Machine, installing: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first that runs is taken; a script that only tells where to get one is passed over."""
    machine.has("chromium-browser", ONLY_TELLS)
    found = machine.has("google-chrome", RUNS)
    assert installing.main() == 0
    assert capsys.readouterr() == (f"{found}\n", "")
    assert machine.calls == []


def test_playwright_s_own_is_found(
    machine: Machine, chromium: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one on the PATH, the one that Playwright downloaded earlier is taken."""
    found = machine.has("chrome", RUNS, machine.playwright)
    assert chromium.main() == 0
    assert capsys.readouterr() == (f"{found}\n", "")


def test_nothing_is_installed_unasked(
    machine: Machine, chromium: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the option the script only looks."""
    assert "'--install' was not given" in refused(chromium, capsys)
    assert machine.calls == []


def test_root_gets_the_distribution_s(
    machine: Machine,
    installing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As root it comes from apt-get, of whose output nothing is shown."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    new = machine.programs / "chromium"
    machine.has(
        "apt-get",
        f'echo "apt-get $*" >> {machine.log}; echo talk; echo more >&2\n'
        f"case $* in *' install '*) echo '#!/bin/sh' > {new}; {CHMOD} +x {new};; esac",
    )
    assert installing.main() == 0
    assert capsys.readouterr() == (f"{new}\n", "")
    update, install = machine.calls
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends chromium")


def test_others_get_playwright_s(
    machine: Machine, installing: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is not root gets Playwright's build; apt-get is not even tried."""
    machine.has("apt-get", f'echo "apt-get $*" >> {machine.log}')
    new = machine.playwright / "chrome"
    machine.installs(f"import os\nopen({str(new)!r}, 'w').write('#!/bin/sh')\nos.chmod({str(new)!r}, 0o755)")
    assert installing.main() == 0
    assert capsys.readouterr() == (f"{new}\n", "")
    (install,) = machine.calls
    assert install == "playwright install --no-shell chromium"


def test_why_none_can_be_had_is_one_line(
    machine: Machine,
    installing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where apt-get fails Playwright is tried; where both fail, the cause is told in each one's own words."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    failure = "echo reading; echo 'E: Unable to locate package' >&2; echo 'E: a consequence' >&2; exit 100"
    machine.has("apt-get", f'case $* in *" install "*) {failure};; esac')
    line = refused(installing, capsys)
    assert "apt-get says 'E: Unable to locate package'" in line
    assert "playwright says 'Error: no way to the cdn'" in line


def test_one_that_was_installed_and_does_not_run_is_none(
    machine: Machine, installing: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installer's success is not believed until what it installed runs."""
    machine.installs("")
    assert "playwright installed none that runs" in refused(installing, capsys)


def test_a_command_that_does_not_end_is_ended(machine: Machine, chromium: ModuleType) -> None:
    """What takes too long is killed, with all that it started."""
    fifo = machine.log.with_name("fifo")
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        endless = machine.has("endless", f"exec 3> {fifo}; echo begun >&3; {SLEEP} 60 & wait")
        with pytest.raises(chromium.Unavailable, match=r"not done within 1 s"):
            chromium.run(endless, patience_s=1)
        assert os.read(held, 100) == b"begun\n"
        assert select.select([held], [], [], 10)[0], "something that the command started is still there"
        assert os.read(held, 100) == b""
    finally:
        os.close(held)


def test_the_suite_says_what_it_does_not_do(tmp_path: Path) -> None:
    """Without a Chromium the tests of the pages are skipped, with one line and without Playwright."""
    (tmp_path / "playwright.py").write_text("raise ImportError('not installed')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/browser"],
        cwd=ROOT,
        env=kept | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    told = "the pages in a real browser: run 'make test-browser'"
    assert [line.endswith(told) for line in lines if line.startswith("SKIPPED")] == [True], done.stderr
    assert re.fullmatch(r"=+ \d+ skipped in .*", lines[-1]), done.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_test_browser_has_them_run() -> None:
    """The target gets the packages and the browser, and writes pictures into docs only when told to."""
    # What a make that runs the suite was told is not for the one here.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "PICTURES")}

    def make(*arguments: str) -> str:
        command = ["make", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    plain = make("--dry-run", "test-browser")
    assert "pip install --quiet --editable '.[browser]'" in plain
    assert "$(.venv/bin/python .ci/chromium.py --install) && MESH_SIM_TEST_CHROMIUM=$chromium" in plain
    assert "pytest tests/browser" in plain
    assert "MESH_SIM_TEST_PICTURES" not in plain
    assert "MESH_SIM_TEST_PICTURES=docs/images/pages .venv/bin/pytest" in make(
        "--dry-run", "test-browser", "PICTURES=1"
    )
    assert "\ntest-browser\t" in make("help")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert [package.partition(">=")[0] for package in extras["browser"]] == [
        "axe-playwright-python",
        "playwright",
    ]


class TestCi:
    """The script that CI runs, where ``make`` only notes its calls and Python does what the test says."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Machine:
        """A checkout of nothing but the script, on a machine with an obedient ``make``."""
        machine = Machine(tmp_path)
        (tmp_path / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
        self.python(tmp_path, "echo path")
        machine.has("make", f'echo "$*" >> {machine.log}')
        return machine

    def python(self, folder: Path, does: str) -> None:
        """Say what the environment's Python does."""
        path = folder / ".venv" / "bin" / "python"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def run(self, machine: Machine) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        path = f"{machine.programs}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [machine.programs.parent / ".ci" / "run"],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_with_a_browser_its_tests_run(self, checkout: Machine) -> None:
        """Where a Chromium can be had, the browser tests come after the demo."""
        done = self.run(checkout)
        assert done.returncode == 0, done.stderr
        assert checkout.calls == ["test", "demo", "test-browser", "soak SHORT=1", "audit"]
        assert "NOT RUN" not in done.stdout

    def test_with_a_browser_its_tests_must_pass(self, checkout: Machine) -> None:
        """A browser test that fails is CI's failure."""
        checkout.has("make", f'echo "$*" >> {checkout.log}; test "$1" != test-browser')
        assert self.run(checkout).returncode != 0
        assert checkout.calls[-1] == "test-browser"

    @pytest.mark.parametrize("step", ["pip", ".ci/chromium.py"])
    def test_without_one_that_is_said(self, checkout: Machine, step: str) -> None:
        """Where Playwright or Chromium cannot be had, CI says so and why, and goes on."""
        failure = "echo noise >&2; echo 'no way there' >&2; exit 1"
        self.python(checkout.programs.parent, f'case "$*" in *{step}*) {failure};; esac')
        done = self.run(checkout)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "browser tests: NOT RUN: no way there\n"
        assert checkout.calls == ["test", "demo", "soak SHORT=1", "audit"]
