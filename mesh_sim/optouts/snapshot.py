"""Who has opted out at one moment: explicit choices first, then the synthetic rule. Pure and vectorised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ndoo.lists import Mask, Numbers, NumberSet

_WORD: Final = (1 << 64) - 1
_INCREMENT: Final = 0x9E3779B97F4A7C15
_MULTIPLIERS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT: Final = 31


@dataclass(frozen=True, slots=True)
class SyntheticRule:
    """Counts a seeded share of all numbers as opted out, so that any list gets a realistic answer.

    Args:
        rate: the share, from 0 (nobody) to 1 (everybody); 0.054 is England's (ndoo-service.md).
        seed: which numbers; any integer.

    Raises:
        ValueError: the rate is not from 0 to 1.
    """

    rate: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"an opt-out rate must be from 0 to 1, not {self.rate}")

    def opted_out(self, numbers: Numbers) -> Mask:
        """Tell which numbers, int64 (n,), count as opted out: bool (n,)."""
        threshold = int(self.rate * 2.0**64)
        if threshold == 0:
            return np.zeros(len(numbers), np.bool_)
        if threshold > _WORD:
            return np.ones(len(numbers), np.bool_)
        return _hashed(numbers, self.seed) < np.uint64(threshold)


def _hashed(numbers: Numbers, seed: int) -> npt.NDArray[np.uint64]:
    """Mix numbers as splitmix64 mixes its counter: every bit of the result depends on every bit given."""
    # The seed is mixed before it is added: neighbouring seeds must not give shifted copies of one choice.
    offset = int(_mixed(np.array([seed * _INCREMENT & _WORD], np.uint64))[0])
    words = numbers.view(np.uint64) * np.uint64(_INCREMENT)
    words += np.uint64(offset)
    return _mixed(words)


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    for shift, multiplier in _MULTIPLIERS:
        words ^= words >> np.uint64(shift)
        words *= np.uint64(multiplier)
    words ^= words >> np.uint64(_LAST_SHIFT)
    return words


@dataclass(frozen=True, slots=True)
class OptOutSnapshot:
    """The register as it stood at one moment; nothing that happens later changes it."""

    explicit: NumberSet
    withdrawn: NumberSet
    synthetic: SyntheticRule

    def opted_out(self, numbers: Numbers) -> Mask:
        """Tell which numbers, int64 (n,), have opted out: bool (n,). An explicit choice always wins."""
        result = self.synthetic.opted_out(numbers)
        if len(self.withdrawn) and self.synthetic.rate:
            result &= ~self.withdrawn.contains(numbers)
        if len(self.explicit):
            result |= self.explicit.contains(numbers)
        return result


def resolve(choices: Sequence[tuple[Numbers, bool]], synthetic: SyntheticRule) -> OptOutSnapshot:
    """Work out the valid choice of every number.

    Args:
        choices: (numbers int64 (n,), whether they opted out), in the order in which they took effect:
            of several choices for one number the last is the valid one.
        synthetic: the rule for numbers without a choice.
    """
    if not choices:
        nobody = NumberSet.from_arrays(())
        return OptOutSnapshot(nobody, nobody, synthetic)
    numbers = np.concatenate([batch for batch, _ in choices])
    opted_out = np.repeat([flag for _, flag in choices], [len(batch) for batch, _ in choices])
    # Stable: the choices of one number stay in the order of their taking effect.
    order = np.argsort(numbers, kind="stable")
    numbers, opted_out = numbers[order], opted_out[order]
    valid = np.append(numbers[1:] != numbers[:-1], True)
    return OptOutSnapshot(
        NumberSet(numbers[valid & opted_out]), NumberSet(numbers[valid & ~opted_out]), synthetic
    )
