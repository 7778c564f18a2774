"""How many connections fit into what a process may have open."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from mesh_sim.descriptors import connections_within, raise_limit


@pytest.fixture(autouse=True)
def _limits_come_back() -> Iterator[None]:
    """The limit of the process that runs the tests is as before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("allowed", "wanted", "given"),
    [(1024, 100, 100), (2048, 10_000, 1420), (1024, 10_000, 448), (80, 10_000, 35)],
    ids=["enough", "few are busy", "all may be busy", "hardly any"],
)
def test_descriptors_are_left_for_files(allowed: int, wanted: int, given: int) -> None:
    """Connections never take all that the process may open: each busy one may need a file."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    assert connections_within(wanted, busy=500) == given


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    """A server takes what it may have, up to what is always enough; it lowers nothing."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
