"""Every case in the catalogue's order, then the defects that assurance found in a supplier's traffic."""

from __future__ import annotations

from typing import Final

from mesh_sim.witness.cases import chunking, declared, errors, findings, receiving, sending, volume
from mesh_sim.witness.cases.base import Case

CASES: Final[tuple[Case, ...]] = (
    *sending.CASES,
    *receiving.CASES,
    *chunking.CASES,
    *volume.CASES,
    *errors.CASES,
    *declared.CASES,
    *findings.CASES,
)
"""As a report lists them."""

STAGED: Final = tuple(case for case in CASES if case.steps)
"""Those that something is set up for."""


def find(case_id: str) -> Case | None:
    """Give the case with this id; None if there is none."""
    return next((case for case in CASES if case.id == case_id.strip().lower()), None)
