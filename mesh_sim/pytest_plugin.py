"""The fixture ``mesh_sim``. Every pytest run imports this module, so it imports nothing until it is used."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mesh_sim.embedded.simulator import Simulator

_STARTED = pytest.StashKey[list["Simulator"]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "mesh_sim(**settings): settings of the test's simulator, such as opt_out_rate=0.1"
    )


@pytest.fixture
def mesh_sim_settings() -> dict[str, Any]:
    """Settings of every simulator here; to be overridden in a conftest.py, a module or a class."""
    return {}


@pytest.fixture
def mesh_sim_factory(
    request: pytest.FixtureRequest, mesh_sim_settings: dict[str, Any]
) -> Iterator[Callable[..., Simulator]]:
    """Give a function that starts one more simulator, with settings beyond the test's; all stop after it."""
    from mesh_sim.embedded.simulator import Simulator  # noqa: PLC0415 - see the module's docstring

    settings = dict(mesh_sim_settings)
    for marker in reversed(list(request.node.iter_markers("mesh_sim"))):  # the closest has the last word
        if marker.args:
            raise pytest.UsageError("@pytest.mark.mesh_sim takes settings by name, such as opt_out_rate=0.1")
        settings |= marker.kwargs
    started = request.node.stash.setdefault(_STARTED, [])

    with ExitStack() as stack:

        def start(**further: Any) -> Simulator:
            simulator = stack.enter_context(Simulator(**settings | further))
            started.append(simulator)
            return simulator

        yield start
        started.clear()


@pytest.fixture
def mesh_sim(mesh_sim_factory: Callable[..., Simulator]) -> Simulator:
    """A simulator of the test's own, started afresh: nobody opted out, no messages, real time."""
    return mesh_sim_factory()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test which requests its simulators refused, and why."""
    report = yield
    if report.failed:
        for simulator in item.stash.get(_STARTED, []):
            if simulator.running and (refusals := simulator.refusals()):
                report.sections.append((f"mesh-sim journal, {simulator.url}", refusals))
    return report
