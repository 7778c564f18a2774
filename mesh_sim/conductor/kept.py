"""What is kept of rehearsals over a restart, as a JSON text."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from mesh_sim.witness.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Kept:
    """A rehearsal, and what the stage and the journal were like."""

    rehearsal: Rehearsal
    disabled: bool = False
    """Whether the rehearsal has disabled the mailbox, and has to enable it again."""
    staging: bool = False
    """Whether the first step of an attempt is being set up: what there is of it has to go again."""
    after: int | None = None
    """The number of the last request, anybody's, before it began; None until there is one after it."""


def write(kept: Iterable[Kept]) -> str:
    """Write rehearsals down."""
    return _form().dump_json(tuple(kept)).decode()


def read(content: str) -> tuple[Kept, ...]:
    """Read what :func:`write` wrote; '' is none.

    Raises:
        ValueError: it was not written by this version.
    """
    return _form().validate_json(content) if content else ()


@functools.cache
def _form() -> TypeAdapter[tuple[Kept, ...]]:
    # Made when it is first asked for: most simulators hold no rehearsal, and it takes milliseconds.
    return TypeAdapter(tuple[Kept, ...])
