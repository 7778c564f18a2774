"""What somebody wants of the opt-out register."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from mesh_sim.optouts.register import Channel, in_utc
from mesh_sim.optouts.snapshot import SyntheticRule
from mesh_sim.wishes.base import Wish

Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]


class ChoiceWish(Wish):
    """How and when a choice was made; without a time it counts from now on."""

    registered_at: Moment | None = None
    channel: Channel = Channel.STAFF


class RuleWish(Wish):
    """Which numbers without a choice count as opted out; what is not given stays."""

    rate: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)

    @property
    def changes_nothing(self) -> bool:
        """Whether nothing was given."""
        return self.rate is None and self.seed is None

    def rule(self, now: SyntheticRule) -> SyntheticRule:
        """Give the rule wished for, where ``now`` is in force."""
        return SyntheticRule(
            now.rate if self.rate is None else self.rate, now.seed if self.seed is None else self.seed
        )
