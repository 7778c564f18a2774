"""Parsers of what others write: any bytes are understood or refused as documented, and nothing else."""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table import Target
from targets import TARGETS

CASES: Final = int(os.environ.get("MESH_SIM_TEST_INPUTS", "40"))
"""Inputs to each parser; more for a long run."""


def altered(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Change bytes here and there: at a place, take some out and put others in."""
    for place, taken, put in changes:
        start = place % (len(seed) + 1)
        seed = seed[:start] + put + seed[start + taken :]
    return seed


def inputs(parser: Target) -> st.SearchStrategy[bytes]:
    """Anything, something near to what is right, and the words of the language in any order."""
    word = st.sampled_from(parser.words) if parser.words else st.binary(max_size=3)
    piece = st.one_of(word, st.binary(max_size=3))
    changes = st.lists(
        st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), st.one_of(piece, st.just(b""))), max_size=4
    )
    return st.one_of(
        st.builds(altered, st.sampled_from(parser.seeds), changes),
        st.lists(piece, max_size=12).map(b"".join),
        st.binary(max_size=200),
        st.builds(lambda opening, times: opening * times, piece, st.sampled_from([2, 100, 5_000])),
    )


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_understood_or_refused(name: str) -> None:
    """Nothing but a result or the documented refusal comes of any input, as the target's docstring says."""
    parser = TARGETS[name]

    @settings(max_examples=CASES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs(parser))
    def check(data: bytes) -> None:
        parser.check(data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_known_inputs_are_understood_or_refused(name: str) -> None:
    """Sound inputs, and those that once broke a parser, are read without a fault."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)
