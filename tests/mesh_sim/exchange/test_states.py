"""The transition table of a message's life (mesh-api.md section 20)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.exchange.states import TRANSITIONS, IllegalStep, Status, Step, advance

LEGAL = {
    (None, Step.SEND): Status.ACCEPTED,
    (None, Step.BEGIN): Status.UPLOADING,
    (Status.UPLOADING, Step.ADD_CHUNK): Status.UPLOADING,
    (Status.UPLOADING, Step.COMPLETE): Status.ACCEPTED,
    (Status.UPLOADING, Step.FAIL): Status.ERROR,
    (Status.ACCEPTED, Step.ACKNOWLEDGE): Status.ACKNOWLEDGED,
    (Status.ACCEPTED, Step.EXPIRE): Status.UNDELIVERABLE,
    (Status.ACCEPTED, Step.FAIL): Status.ERROR,
}
EVERY = list(itertools.product([None, *Status], Step))


@pytest.mark.parametrize(("status", "step"), EVERY, ids=str)
def test_each_step_is_legal_exactly_where_the_reference_has_it(status: Status | None, step: Step) -> None:
    """A step leads where section 20 says, and everything else raises with both its ends named."""
    if (status, step) in LEGAL:
        assert advance(status, step) is LEGAL[status, step]
        return
    with pytest.raises(IllegalStep) as raised:
        advance(status, step)
    assert (raised.value.status, raised.value.step) == (status, step)


@given(st.lists(st.sampled_from(list(Step)), max_size=12))
def test_no_series_of_steps_leaves_a_final_status(steps: list[Step]) -> None:
    """What is acknowledged, undeliverable or failed stays so whatever is tried next."""
    status: Status | None = None
    final = {Status.ACKNOWLEDGED, Status.UNDELIVERABLE, Status.ERROR}
    for step in steps:
        before = status
        try:
            status = advance(status, step)
        except IllegalStep:
            continue
        assert before not in final


def test_every_status_can_be_reached() -> None:
    """The table leads to each status that tracking can show."""
    assert set(TRANSITIONS.values()) == set(Status)
