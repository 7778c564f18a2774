"""How long a body may take to come in: a rule, without clock or connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Patience:
    """With one body: it may neither stand still for long nor come too slowly as a whole.

    Only time in which the server was ready for more counts.
    """

    stall_s: float
    """How long nothing may come."""
    rate: int
    """Bytes a second that must come on average, twice ``stall_s`` at the start aside; 0 for any."""
    size: int = 0
    waited_s: float = 0.0
    stalled_s: float = 0.0

    def look(self, size: int, passed_s: float) -> str:
        """Take in that ``size`` bytes were there after ``passed_s`` more; say what is wrong, if it is."""
        self.waited_s += passed_s
        self.stalled_s = 0.0 if size > self.size else self.stalled_s + passed_s
        self.size = size
        if self.stalled_s >= self.stall_s:
            return f"nothing more of the body came for {self.stall_s:g} s (MESH_SIM_STALL_TIME)"
        if self.rate and self.waited_s > 2 * self.stall_s + size / self.rate:
            return f"the body came slower than {self.rate} bytes a second (MESH_SIM_MIN_RATE)"
        return ""
