"""Programs as the processes they are: servers started and stopped, commands run to their end, their memory.

Every process is started here and ended by its own id, also when the benchmark is interrupted.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BIN = Path(sys.executable).parent
SHARED_KEY = "TestKey"
PASSWORD = "password"


class Failed(SystemExit):
    """A program did not start, or ended with a failure; the text has its last lines.

    It ends the benchmark with this text, unless the benchmark goes on without.
    """


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    host: str
    port: int
    pid: int
    started_s: float
    """Seconds from starting the process until it answered."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    def processor_s(self) -> float:
        """Give the processor time it has used, with its child processes: what others do hardly changes it."""
        return sum(_processor_s(pid) for pid in family(self.pid))

    def memory_mb(self) -> float:
        """Give the memory it holds now, with its child processes."""
        return sum(_status_mb(pid, "VmRSS") for pid in family(self.pid))

    def peak_mb(self) -> float:
        """Give the most it held since it began, or since :meth:`forget_peak`; with its child processes."""
        return sum(_status_mb(pid, "VmHWM") for pid in family(self.pid))

    def forget_peak(self) -> float:
        """Count the peak from now on; give the memory held now in MB."""
        for pid in family(self.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self.memory_mb()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that goes, with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-sim-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def mesh_sim(folder: Path, **environment: str) -> Iterator[Server]:
    """Run ``mesh-sim serve`` with its default settings and its data in a folder."""
    port = free_port()
    command = [str(BIN / "mesh-sim"), "serve", "--port", str(port), "--data", str(folder)]
    with serving("mesh-sim", command, port, "/health", environment) as server:
        yield server


@contextlib.contextmanager
def mesh_sandbox(folder: Path | None) -> Iterator[Server]:
    """Run NHS's mesh-sandbox under uvicorn: its messages in files of a folder, or in memory if there is none.

    uvloop is used by it too, since uvicorn takes what is installed.

    Raises:
        Failed: it is not installed, or does not start.
    """
    if not installed("mesh_sandbox"):
        raise Failed("it is not installed")
    port = free_port()
    command = [str(BIN / "uvicorn"), "mesh_sandbox.api:app", "--host", "127.0.0.1", "--port", str(port)]
    environment = {"AUTH_MODE": "full", "SHARED_KEY": SHARED_KEY, "STORE_MODE": "memory"}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        environment |= {"STORE_MODE": "file", "MAILBOXES_DATA_DIR": str(folder)}
    name = sandbox_name(files=folder is not None)
    with serving(name, command, port, "/health", environment) as server:
        yield server


def sandbox_name(*, files: bool) -> str:
    """Name a mode of mesh-sandbox, as it stands in results."""
    return "mesh-sandbox, files" if files else "mesh-sandbox, memory"


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], port: int, path: str, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Start a server, wait until it answers a GET of a path at its port, and end it afterwards.

    Raises:
        Failed: it ended by itself, or gave no answer in half a minute.
    """
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=_environment(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            _wait_for_answer(name, process, port, path, output)
            yield Server(name, "127.0.0.1", port, process.pid, time.perf_counter() - began)
        finally:
            stop(process)


def stop(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a process that was started here: politely, and by force if it takes too long."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Run:
    """A command that ran to its end."""

    seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; its peak memory is that of the process itself.

    Raises:
        Failed: it ended with a failure.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            stop(process)
        if process.returncode != 0:
            raise Failed(f"{Path(command[0]).name} ended with {process.returncode}: {_tail(errors)}")
        output.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, output.read())


def program(name: str) -> str | None:
    """Find a program that is installed, also where only administrators look."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def installed(module: str) -> bool:
    """Tell whether a Python package is there."""
    return importlib.util.find_spec(module) is not None


def free_port() -> int:
    """Give a loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """Give a process and all its descendants."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def _wait_for_answer(
    name: str, process: subprocess.Popen[bytes], port: int, path: str, output: IO[str]
) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.002)
        else:
            return
        finally:
            connection.close()
    raise Failed(f"{name} did not start: {_tail(output)}")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Give the environment without settings of those who run the benchmark: everything has its defaults."""
    theirs = re.compile(r"(MESH_|NDOO_|MAILBOXES_DATA_DIR$|SHARED_KEY$|STORE_MODE$|AUTH_MODE$|COVERAGE_)")
    return {name: value for name, value in os.environ.items() if not theirs.match(name)} | dict(more)


def _tail(output: IO[str]) -> str:
    output.seek(0)
    return "\n".join(output.read().strip().splitlines()[-8:])


def _processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it has ended since
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status_mb(pid: int, field: str) -> float:
    try:
        found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0  # it has ended since
    return int(found[1]) / 1024 if found else 0.0
