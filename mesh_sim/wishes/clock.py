"""What somebody wants of the simulated clock."""

from __future__ import annotations

from pydantic import Field, model_validator

from mesh_sim.durations import Duration
from mesh_sim.wishes.base import Wish


class ClockWish(Wish):
    """What is to be done to the clock: one of the two."""

    advance: Duration | None = Field(None, description="how far, such as 5d")
    reset: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> ClockWish:
        if (self.advance is not None) is self.reset:
            raise ValueError('say either {"advance": "5d"} or {"reset": true}')
        return self
