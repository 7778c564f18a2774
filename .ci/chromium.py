"""Find a Chromium for the tests of the pages and print its path; with ``--install``, get one if need be.

Exit 1 where none can be had, with one line on standard error: why, and what to do. Nothing takes for ever: a
command that has not ended in its time is ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

GIVEN: Final = "MESH_SIM_TEST_CHROMIUM"
"""The variable with the path that a person gives."""

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
"""What it is called, in the order of trying."""

_APT: Final = ("-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30")
_ASK_PLAYWRIGHT: Final = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""
_ANSWER_S: Final = 60
_INSTALL_S: Final = 600
"""For each of the commands that download."""


class Unavailable(Exception):
    """Something could not be had; the text says why."""


def run(*command: str, patience_s: float) -> str:
    """Run a command to its end; give what it wrote to standard output.

    Raises:
        Unavailable: it failed, by its own words, or took too long; it and all it started have been ended.
    """
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        process = subprocess.Popen(
            command,
            env=quiet,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(error.strerror) from None
    with process:
        try:
            out, err = process.communicate(timeout=patience_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Unavailable(f"not done within {patience_s:g} s") from None
            raise
    if process.returncode:
        raise Unavailable(_reason(err.splitlines() + out.splitlines(), process.returncode))
    return out


def _reason(lines: list[str], status: int) -> str:
    # The first error is the cause; what follows it is a list of consequences, or a trace.
    said = [line.strip() for line in lines if line.strip()] or [f"exit {status}, without a word"]
    return next((line for line in said if line.startswith(("E: ", "Error: "))), said[-1])[:160]


def find() -> str | None:
    """Give the path of the one that a person names, that is on the PATH, or that Playwright downloaded.

    Raises:
        Unavailable: the one that a person names does not run. No other is taken in its stead.
    """
    if given := os.environ.get(GIVEN):
        try:
            return _running(shutil.which(given) or given)
        except Unavailable as error:
            raise Unavailable(f"{GIVEN} names {given}, which does not run: {error}") from None
    for candidate in _candidates():
        try:
            return _running(candidate)
        except Unavailable:
            continue
    return None


def _candidates() -> Iterator[str]:
    yield from filter(None, map(shutil.which, NAMES))
    try:
        yield run(sys.executable, "-c", _ASK_PLAYWRIGHT, patience_s=_ANSWER_S).strip()
    except Unavailable:
        return


def _running(program: str) -> str:
    # Some distributions have a script of that name which only says where a Chromium may be had.
    run(program, "--version", patience_s=_ANSWER_S)
    return os.path.abspath(program)  # noqa: PTH100 - a link is kept: it is the name that the person knows


def install() -> str:
    """Get one, from the distribution where that is allowed, else from Playwright; give its path.

    Raises:
        Unavailable: neither has one for us, by their own words.
    """
    reasons = []
    for name, commands in _ways():
        try:
            for command in commands:
                run(*command, patience_s=_INSTALL_S)
            if found := find():
                return found
            reasons.append(f"{name} installed none that runs")
        except Unavailable as error:
            reasons.append(f"{name} says '{error}'")
    raise Unavailable("; ".join(reasons))


def _ways() -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        get = (apt, *_APT, "install", "-y", "--no-install-recommends", "chromium")
        yield "apt-get", [(apt, *_APT, "update"), get]
    yield "playwright", [(sys.executable, "-m", "playwright", "install", "--no-shell", "chromium")]


def main() -> int:
    """Print the path, or say why there is none."""
    try:
        found = find()
        if found is None and "--install" not in sys.argv[1:]:
            raise Unavailable("none is installed, and '--install' was not given")  # noqa: TRY301 - said below
        print(found or install())
    except Unavailable as error:
        print(f"no Chromium: {error}. Install one, or give the path of one in {GIVEN}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
