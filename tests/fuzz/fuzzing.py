"""Feed parsers with inputs that atheris makes up, led by which lines of the program they reach.

    python tests/fuzz/fuzzing.py               # every target, a minute each
    python tests/fuzz/fuzzing.py token cursor --seconds 300

A target is a process of its own. What it found is kept in ``fuzz-findings``, named after the target, and the
exit status is 1. ``make fuzz`` installs atheris first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FINDINGS: Final = Path("fuzz-findings")
CHILD: Final = "FUZZ_TARGET"
"""The variable that tells a process which target it is for."""


def run_all(names: list[str], seconds: int) -> int:
    """Run each target for so long; give the exit status."""
    failed = []
    for name in names:
        print(f"{name}: {seconds} s", flush=True)  # noqa: T201 - a command speaks to its user
        if run(name, seconds):
            failed.append(name)
    print("found something: " + ", ".join(failed) if failed else "nothing found")  # noqa: T201
    return bool(failed)


def run(name: str, seconds: int) -> int:
    """Run one target in a process of its own; give its exit status."""
    from targets import TARGETS  # noqa: PLC0415 - in the child it must not be there before atheris

    parser = TARGETS[name]
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mesh-sim-fuzz-") as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(parser.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        words = Path(folder, "words")
        words.write_text("".join(f'"{as_hex(word)}"\n' for word in parser.words))
        options = [
            f"-max_total_time={seconds}",
            "-max_len=8192",
            "-timeout=10",
            "-rss_limit_mb=2048",
            *([f"-dict={words}"] if parser.words else []),
            f"-artifact_prefix={FINDINGS / name}-",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        command = [sys.executable, __file__, *options, str(corpus)]
        return subprocess.run(
            command, env={**os.environ, CHILD: name, "TMPDIR": folder}, check=False
        ).returncode


def as_hex(word: bytes) -> str:
    """Write a word as libFuzzer's dictionaries want it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def fuzz(name: str) -> None:
    """Be the process of one target."""
    import atheris  # noqa: PLC0415 - only the processes that are fuzzed need it

    with atheris.instrument_imports(include=["mesh_sim", "ndoo"]):
        from targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported

    atheris.Setup(sys.argv, TARGETS[name].check)
    atheris.Fuzz()


def main() -> None:
    """Read the command line."""
    sys.path.insert(0, str(HERE))
    if CHILD in os.environ:
        fuzz(os.environ[CHILD])
        return
    from targets import TARGETS  # noqa: PLC0415 - found beside this file

    arguments = argparse.ArgumentParser(description="Feed parsers with inputs that atheris makes up.")
    arguments.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"all, or some of {', '.join(TARGETS)}"
    )
    arguments.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    given = arguments.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        arguments.error(f"no such target: {', '.join(sorted(unknown))}")
    sys.exit(run_all(given.targets or list(TARGETS), given.seconds))


if __name__ == "__main__":
    main()
