"""Choice of the XOR constants of a counter pair by an exhaustive scan of the exact certificate.

A constant on the reversed counter is a digital shift of the point set: inverters, no gates. For
each constant the largest error of one lane is known exactly for every weight (`model.certificate`),
so a layer's certificate under any assignment of constants to lanes is a sum of look-ups, and
assignments can be compared exactly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.certificate import error_table
from model.counting import counting_table
from model.sequences import counter_sequence


def scan_constants(length: int, operand_width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the largest error of a lane for every XOR constant and weight.

    Parameters
    ----------
    length : int
        Bitstream length L, a power of two.
    operand_width : int
        Operand width K in bits.

    Returns
    -------
    up, down : numpy.ndarray
        Shape (``2**K`` constants, ``2**K + 1`` weight magnitudes), int64: the largest error over
        all inputs, upwards and downwards, in units of ``1 / (L 4**K)``.
    """
    levels = 1 << operand_width
    x_sequence = counter_sequence(length, operand_width, reverse=False)
    w_sequence = counter_sequence(length, operand_width, reverse=True)
    up = np.empty((levels, levels + 1), dtype=np.int64)
    down = np.empty_like(up)
    for constant in range(levels):
        table = counting_table(x_sequence, w_sequence ^ np.int32(constant), operand_width)
        errors = error_table(table, length, operand_width)
        up[constant] = errors.max(axis=0)
        down[constant] = -errors.min(axis=0)
    return up, down


@lru_cache(maxsize=64)
def best_pair_constant(length: int, word_width: int) -> int:
    """Return a constant for a counter pair whose worst operand pair has a small error.

    Constants whose lowest bits are set, and the rest not, are tried: with operands of 8 bits and
    256 cycles the best of all 256 constants is one of them.

    Parameters
    ----------
    length : int
        Bitstream length L, a power of two.
    word_width : int
        Bits of the words.
    """
    x_sequence = counter_sequence(length, word_width, reverse=False)
    w_sequence = counter_sequence(length, word_width, reverse=True)
    worst = []
    for ones in range(word_width + 1):
        table = counting_table(x_sequence, w_sequence ^ np.int32((1 << ones) - 1), word_width)
        worst.append(int(np.abs(error_table(table, length, word_width)).max()))
    return (1 << int(np.argmin(worst))) - 1


class CertificateScan:
    """The exact certificate of one layer under every assignment of constants to its lanes.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (outputs, fan_in), integers from ``-2**K`` to ``2**K``.
    length : int
        Bitstream length L, a power of two.
    operand_width : int
        Operand width K in bits.
    input_signed : bool
        Whether inputs may be negative.
    """

    def __init__(
        self,
        weights: NDArray[np.integer],
        length: int,
        operand_width: int,
        *,
        input_signed: bool,
    ) -> None:
        up, down = scan_constants(length, operand_width)
        # costs[lane][constant, direction, output]: what the lane adds to the output's certificate.
        self._costs = []
        for lane in range(weights.shape[1]):
            magnitude = np.abs(weights[:, lane])
            lane_up, lane_down = up[:, magnitude], down[:, magnitude]
            if input_signed:
                both = np.maximum(lane_up, lane_down)
                self._costs.append(np.stack([both, both], axis=1))
            else:
                positive = weights[:, lane] >= 0
                straight = np.where(positive, lane_up, lane_down)
                crossed = np.where(positive, lane_down, lane_up)
                self._costs.append(np.stack([straight, crossed], axis=1))

    def certificate(self, constants: list[int]) -> int:
        """Return the layer's certificate, in units of ``1 / (L 4**K)``, for one constant a lane."""
        return int(self._total(constants).max())

    def best_shared(self) -> int:
        """Return the constant for all lanes with the smallest certificate; the first of equals."""
        return int(np.sum(self._costs, axis=0).max(axis=(1, 2)).argmin())

    def best_per_lane(self, sweeps: int = 4) -> list[int]:
        """Return a constant for each lane, by coordinate descent from the best shared one.

        Lane by lane, all constants are tried and the one with the smallest certificate of the layer
        stays, until a sweep changes nothing. Deterministic; never worse than the shared constant.

        Parameters
        ----------
        sweeps : int
            Largest number of sweeps over the lanes.
        """
        chosen = [self.best_shared()] * len(self._costs)
        total = self._total(chosen)
        for _ in range(sweeps):
            before = list(chosen)
            for lane, cost in enumerate(self._costs):
                others = total - cost[chosen[lane]]
                candidates = (others + cost).max(axis=(1, 2))
                best = int(candidates.argmin())
                if candidates[best] < candidates[chosen[lane]]:
                    chosen[lane] = best
                    total = others + cost[best]
            if chosen == before:
                break
        return chosen

    def _total(self, constants: list[int]) -> NDArray[np.int64]:
        """Sum the lanes' costs: shape (2, outputs)."""
        total: NDArray[np.int64] = np.sum(
            [cost[constant] for cost, constant in zip(self._costs, constants, strict=True)], axis=0
        )
        return total
